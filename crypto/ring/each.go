package ring

import (
	"slices"

	"github.com/starlingmesh/starling/crypto/curve"
)

// Prepared is a member with what makes verifying fast where it stands in many rings; see
// [Prepare]. It takes 9 KB.
type Prepared struct {
	Member
	key, commitment, base *curve.Prepared
}

// Prepare prepares members.
func Prepare(members ...Member) []*Prepared {
	keys := make([]curve.Point, len(members))
	for i, m := range members {
		keys[i] = m.Key
	}
	points := append(keys, allBases(keys)...)
	for _, m := range members {
		points = append(points, m.Commitment)
	}
	all := curve.Prepare(points...)
	out := make([]*Prepared, len(members))
	for i, m := range members {
		out[i] = &Prepared{m, all[i], all[2*len(members)+i], all[len(members)+i]}
	}
	return out
}

// Claim is that a signature is of a statement. The ring's members are prepared: the statement's ring is not looked
// at.
type Claim struct {
	Statement
	Members   []*Prepared
	Signature *Signature
}

// inStep is how many signatures go round their rings in step: enough to share inversions, and few enough for
// a processor's cache.
const inStep = 8

// VerifyEach returns what [Signature.Verify] does, for each of the claims. Some signatures at a time go round
// their rings in step, so that their sums at one place are made at once.
func VerifyEach(claims []Claim) []error {
	errs := make([]error, len(claims))
	var walks []*walk
	for i := range claims {
		if errs[i] = claims[i].check(); errs[i] == nil {
			walks = append(walks, &walk{Claim: &claims[i], at: i})
		}
	}
	var combiner curve.Combiner
	once := newOnce(min(len(walks), inStep))
	for some := range slices.Chunk(walks, inStep) {
		begin(once, some)
		goRound(&combiner, slices.Clone(some))
	}
	for _, w := range walks {
		if w.c != w.Signature.First {
			errs[w.at] = ErrSignature
		}
	}
	return errs
}

// check takes the ring from the members.
func (c *Claim) check() error {
	c.Ring = make([]Member, len(c.Members))
	for i, m := range c.Members {
		c.Ring[i] = m.Member
	}
	if err := c.Statement.check(); err != nil {
		return err
	}
	if c.Signature.D.IsInfinity() || len(c.Signature.Responses) != len(c.Ring) {
		return ErrSignature
	}
	return nil
}

// walk is a claim on its way round the ring.
type walk struct {
	*Claim
	at              int // among the claims
	loop            loop
	muKey, muAmount curve.Scalar
	pseudo, image   *curve.Prepared // what the left side lacks c*muAmount times, and the right one has c times
	c               curve.Scalar
}

// newOnce is room for what [begin] prepares for so many walks.
func newOnce(walks int) []*curve.Prepared {
	once := make([]*curve.Prepared, 2*walks)
	for i := range once {
		once[i] = new(curve.Prepared)
	}
	return once
}

// begin prepares what all places of a ring have in common, in a room for it.
func begin(once []*curve.Prepared, walks []*walk) {
	points := make([]curve.Point, 0, 2*len(walks))
	for i, w := range walks {
		d := w.Signature.D
		w.loop.transcript = w.transcript(d)
		w.muKey, w.muAmount = w.loop.transcript.Challenge("weight of the key"), w.loop.transcript.Challenge("weight of the amount")
		w.c = w.Signature.First
		w.pseudo, w.image = once[2*i], once[2*i+1]
		points = append(points, w.Pseudo, w.weighedImage(d, w.muKey, w.muAmount))
	}
	curve.PrepareInto(once[:len(points)], points)
}

// goRound takes walks round their rings; it takes those that end out of the slice.
func goRound(combiner *curve.Combiner, walks []*walk) {
	for i := 0; ; i++ {
		walks = slices.DeleteFunc(walks, func(w *walk) bool { return i == len(w.Members) })
		if len(walks) == 0 {
			return
		}
		sides := make([]curve.Combination, 0, 2*len(walks))
		for _, w := range walks {
			sides = append(sides, w.left(i), w.right(i))
		}
		points := combiner.CombineVarTime(sides)
		for j, w := range walks {
			w.c = w.loop.challenge(points[2*j], points[2*j+1])
		}
	}
}

func (w *walk) left(i int) curve.Combination {
	m, amount := w.Members[i], w.c.Mul(w.muAmount)
	return curve.Combination{Base: w.Signature.Responses[i], Terms: []curve.Multiple{
		{K: w.c.Mul(w.muKey), P: m.key}, {K: amount, P: m.commitment}, {K: amount.Neg(), P: w.pseudo},
	}}
}

func (w *walk) right(i int) curve.Combination {
	return curve.Combination{Terms: []curve.Multiple{{K: w.Signature.Responses[i], P: w.Members[i].base}, {K: w.c, P: w.image}}}
}
