package bulletproof

import (
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/transcript"
)

// Claim is a proof and the commitment that it is about.
type Claim struct {
	Commitment curve.Point
	Proof      *Proof
}

// Verify reports whether a commitment holds less than 2^64.
func (p *Proof) Verify(commitment curve.Point) bool {
	s, claim := newSum(1), []Claim{{commitment, p}}
	s.add(claim[0], curve.ScalarOf(1), &replayAll(claim)[0])
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
	all := make([]weighed, len(claims))
	for i, known := range replayAll(claims) {
		all[i] = weighed{i, claims[i], weight(t.Weight("weight")), known}
	}
	return bisect(all, false)
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
	terms            []term // the points of the proofs
	g, h             [Bits]curve.Scalar
	amount, blinding curve.Scalar // of the bases
}

type term struct {
	point  curve.Point
	scalar curve.Scalar
}

// few is up to how many terms are summed up without buckets.
const few = 40

func newSum(claims int) *sum { return &sum{terms: make([]term, 0, claims*(4+2*rounds))} }

// add adds a proof's equation times a weight: the argument's last check (figure 1),
//
//	e^2*P + e*A1 + B - r'e*g - s'e*h - r'ys'*H - d'*G = 0
//
// with P unfolded to the beginning, where it is A and the public shift of it (figure 3).
func (s *sum) add(in Claim, weight curve.Scalar, c *challenges) {
	p, inverse := in.Proof, &c.inverse
	invY := inverse[rounds]
	e2 := c.e.Mul(c.e)
	we2 := weight.Mul(e2)
	s.terms = append(s.terms, term{p.A, we2})
	s.terms = append(s.terms, term{p.A1, weight.Mul(c.e)})
	s.terms = append(s.terms, term{p.B, weight})
	for j := range rounds {
		s.terms = append(s.terms, term{p.L[j], we2.Mul(c.round[j]).Mul(c.round[j])})
		s.terms = append(s.terms, term{p.R[j], we2.Mul(inverse[j]).Mul(inverse[j])})
	}

	y := powers(c.y, Bits+2)
	z2 := c.z.Mul(c.z)
	s.terms = append(s.terms, term{in.Commitment, we2.Mul(z2).Mul(y[Bits+1])})

	// products of the rounds' challenges: of g's generator i, e_j where bit j of i is set (the
	// first round's bit is the highest) and 1/e_j where not; of h's the inverse, which is that
	// of the generator from the other end
	var products [Bits]curve.Scalar
	products[0] = curve.ScalarOf(1)
	for j := range rounds {
		products[0] = products[0].Mul(inverse[j])
	}
	for j := range rounds {
		squared := c.round[rounds-1-j].Mul(c.round[rounds-1-j])
		for i := range 1 << j {
			products[1<<j+i] = products[i].Mul(squared)
		}
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

func (s *sum) isZero() bool {
	scalars := append(append(make([]curve.Scalar, 0, 2*Bits+2), s.g[:]...), s.h[:]...)
	total := fixed().Sum(append(scalars, s.amount, s.blinding))
	if len(s.terms) > few {
		m := curve.NewSum(len(s.terms))
		for i := range s.terms {
			m.Add(&s.terms[i].point, s.terms[i].scalar)
		}
		return m.Total().Add(total).IsInfinity()
	}
	points, terms := make([]curve.Point, len(s.terms)), make([]curve.Term, len(s.terms))
	for i := range s.terms {
		points[i] = s.terms[i].point
	}
	for i, table := range curve.Tables(points...) {
		terms[i] = curve.Term{K: s.terms[i].scalar, P: table}
	}
	return curve.FewVarTime(curve.Scalar{}, terms...).Add(total).IsInfinity()
}
