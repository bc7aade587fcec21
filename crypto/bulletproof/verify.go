package bulletproof

import (
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/pedersen"
	"github.com/starlingmesh/starling/crypto/transcript"
)

// Claim is a proof and the commitment that it is about.
type Claim struct {
	Commitment curve.Point
	Proof      *Proof
}

// Verify reports whether a commitment holds less than 2^64.
func (p *Proof) Verify(commitment curve.Point) bool {
	s := newSum(1)
	s.add(Claim{commitment, p}, curve.ScalarOf(1), nil)
	return s.isZero()
}

// bisectLeast is how many claims of a failed sum are verified one by one.
const bisectLeast = 2

// BatchVerify verifies many proofs at once and returns the indexes of the bad ones in ascending
// order, nil if all are good: exactly those that [Proof.Verify] refuses, except with probability
// 2^-127. Each proof's equation is weighted by a number that depends on all claims, so that
// nobody can let the errors of two cancel; the result is a function of the claims alone. It runs
// on the caller's goroutine; to use more cores, split the claims.
func BatchVerify(claims []Claim) []int {
	t := transcript.New(protocol + "/batch")
	for _, c := range claims {
		t.Points("commitment", c.Commitment)
		t.Bytes("proof", c.Proof.Bytes())
	}
	weighed := make([]weighed, len(claims))
	for i, c := range claims {
		weighed[i].index, weighed[i].claim = i, c
		weighed[i].challenges = c.Proof.replay(c.Commitment)
		weighed[i].weight = weight(t.Weight("weight"))
	}
	return bisect(weighed, false)
}

// weighed is a claim with what every sum needs of it.
type weighed struct {
	index      int
	claim      Claim
	weight     curve.Scalar
	challenges challenges
}

func weight(words [2]uint64) curve.Scalar {
	shift := curve.ScalarOf(1 << 32)
	return curve.ScalarOf(words[1]).Mul(shift).Mul(shift).Add(curve.ScalarOf(words[0]))
}

// bisect returns the indexes of the bad claims. knownBad says that at least one is.
func bisect(claims []weighed, knownBad bool) []int {
	if len(claims) == 0 || !knownBad && hold(claims) {
		return nil
	}
	if len(claims) <= bisectLeast {
		var bad []int
		for _, c := range claims {
			if knownBad && len(claims) == 1 || !c.claim.Proof.Verify(c.claim.Commitment) {
				bad = append(bad, c.index)
			}
		}
		return bad
	}
	half := len(claims) / 2
	left := bisect(claims[:half], false)
	return append(left, bisect(claims[half:], len(left) == 0)...)
}

func hold(claims []weighed) bool {
	s := newSum(len(claims))
	for i := range claims {
		s.add(claims[i].claim, claims[i].weight, &claims[i].challenges)
	}
	return s.isZero()
}

// sum collects the equations of proofs: what is verified is that it is infinity. The factors of
// the generators, which all proofs have in common, merge.
type sum struct {
	points           *curve.Sum
	g, h             [Bits]curve.Scalar
	amount, blinding curve.Scalar // of the bases
}

func newSum(claims int) *sum {
	return &sum{points: curve.NewSum(claims*(4+2*rounds) + 2*Bits + 2)}
}

// add adds a proof's equation times a weight: the argument's last check (figure 1),
//
//	e^2*P + e*A1 + B - r'e*g - s'e*h - r'ys'*H - d'*G = 0
//
// with P unfolded to the beginning, where it is A and the public shift of it (figure 3).
func (s *sum) add(in Claim, weight curve.Scalar, known *challenges) {
	p := in.Proof
	var c challenges
	if known != nil {
		c = *known
	} else {
		c = p.replay(in.Commitment)
	}
	// all inverses at once
	inverse := make([]curve.Scalar, rounds+1)
	copy(inverse, c.round[:])
	inverse[rounds] = c.y
	curve.InvertAll(inverse)
	invY := inverse[rounds]

	e2 := c.e.Mul(c.e)
	we2 := weight.Mul(e2)
	s.points.Add(&p.A, we2)
	s.points.Add(&p.A1, weight.Mul(c.e))
	s.points.Add(&p.B, weight)
	for j := range rounds {
		s.points.Add(&p.L[j], we2.Mul(c.round[j]).Mul(c.round[j]))
		s.points.Add(&p.R[j], we2.Mul(inverse[j]).Mul(inverse[j]))
	}

	y := powers(c.y, Bits+2)
	z2 := c.z.Mul(c.z)
	s.points.Add(&in.Commitment, we2.Mul(z2).Mul(y[Bits+1]))

	// products of the rounds' challenges: of g's generator i, e_j where bit j of i is set (the
	// first round's bit is the highest) and 1/e_j where not; of h's the inverse, which is that
	// of the generator from the other end
	var products [Bits]curve.Scalar
	products[0] = curve.ScalarOf(1)
	for j := range rounds {
		products[0] = products[0].Mul(inverse[j])
	}
	for i := 1; i < Bits; i++ {
		j := highestBit(i)
		e := c.round[rounds-1-j]
		products[i] = products[i-1<<j].Mul(e).Mul(e)
	}
	re, se := weight.Mul(p.R1).Mul(c.e), weight.Mul(p.S1).Mul(c.e)
	wez := we2.Mul(c.z)
	shift := we2.Mul(z2)
	sumY := curve.Scalar{}
	for i := range Bits {
		s.g[i] = s.g[i].Sub(wez).Sub(re.Mul(products[i]))
		s.h[i] = s.h[i].Add(wez).Add(shift.Mul(y[Bits-i])).Sub(se.Mul(products[Bits-1-i]))
		re = re.Mul(invY)
		shift = shift.Add(shift) // times 2^i
		sumY = sumY.Add(y[i+1])
	}
	// zeta of figure 3: (z - z^2)*sum(y^i) - z^3*y^65*(2^64 - 1)
	most := curve.ScalarOf(1<<64 - 1)
	zeta := c.z.Sub(z2).Mul(sumY).Sub(z2.Mul(c.z).Mul(y[Bits+1]).Mul(most))
	s.amount = s.amount.Add(we2.Mul(zeta)).Sub(weight.Mul(p.R1).Mul(c.y).Mul(p.S1))
	s.blinding = s.blinding.Sub(weight.Mul(p.D1))
}

func highestBit(i int) (j int) {
	for i > 1 {
		i, j = i>>1, j+1
	}
	return j
}

func (s *sum) isZero() bool {
	gens := generators()
	for i := range Bits {
		s.points.Add(&gens.g[i], s.g[i])
		s.points.Add(&gens.h[i], s.h[i])
	}
	s.points.Add(&pedersen.H, s.amount)
	s.points.Add(&curve.Generator, s.blinding)
	return s.points.Total().IsInfinity()
}
