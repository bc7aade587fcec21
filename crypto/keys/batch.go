package keys

import (
	"crypto/rand"
	"encoding/binary"
	"slices"

	"github.com/starlingmesh/starling/crypto/curve"
)

// Item is one signature to be verified in a batch.
type Item struct {
	Key PublicKey
	Msg []byte
	Sig []byte
}

const (
	// batchChunk is how many signatures share one equation. More gain little and
	// push the points out of the processor's cache.
	batchChunk = 256
	// batchLeast is the least number of signatures for which the equation is
	// cheaper than verifying one by one.
	batchLeast = 3
	// bisectLeast is how many signatures of a failed sum are verified one by one;
	// it bounds what a batch full of bad ones costs.
	bisectLeast = 8
)

// BatchVerify verifies many signatures at once and returns the indexes of the
// bad ones in ascending order, nil if all are good. It finds exactly those that
// [PublicKey.Verify] refuses, except with probability 2^-127. It runs on the
// caller's goroutine; to use more cores, split the items.
//
// For secp256k1 every signature names its point R completely (that is what v is
// for), so one random combination checks them all:
//
//	sum z*(R - (e/s)*G - (r/s)*Q) = 0
//
// with a z of 127 random bits for each. All terms of G, and all of one signer's Q,
// merge into one. A failed sum is bisected, and what is left at the end of that is
// verified one by one, so no fault in the sum can refuse a good signature. Those of a multi-key's
// members stand in the sum like others; other kinds are verified one by one.
func BatchVerify(items []Item) []int {
	if !slices.ContainsFunc(items, func(it Item) bool { return it.Key.Kind() == Multi }) {
		return batchVerify(items)
	}
	flat, owners, bad := spread(items)
	for _, i := range batchVerify(flat) {
		bad = append(bad, owners[i])
	}
	slices.Sort(bad)
	return slices.Compact(bad)
}

func batchVerify(items []Item) []int {
	var bad []int
	if len(items) < batchLeast { // spare them the square root
		for i, it := range items {
			if !it.Key.Verify(it.Msg, it.Sig) {
				bad = append(bad, i)
			}
		}
		return bad
	}
	chunk := make([]claim, 0, min(len(items), batchChunk))
	for i := range items {
		it := &items[i]
		if it.Key.Kind() != Secp256k1 {
			if !it.Key.Verify(it.Msg, it.Sig) {
				bad = append(bad, i)
			}
			continue
		}
		c, ok := newClaim(i, it)
		if !ok {
			bad = append(bad, i)
			continue
		}
		if chunk = append(chunk, c); len(chunk) == batchChunk {
			bad = append(bad, verifyClaims(chunk)...)
			chunk = chunk[:0]
		}
	}
	bad = append(bad, verifyClaims(chunk)...)
	slices.Sort(bad)
	return bad
}

// claim says that R = u1*G + u2*Q. The fields of the second group are set by
// weigh.
type claim struct {
	index int
	item  *Item
	sig   secpSignature
	minus curve.Point // -R

	z      [2]uint64    // the weight, little-endian words
	u1, u2 curve.Scalar // z*e/s and z*r/s
}

func newClaim(index int, it *Item) (claim, bool) {
	sig, ok := parseSecpSignature(it.Sig)
	if !ok {
		return claim{}, false
	}
	minus, ok := curve.LiftX(sig.x, !sig.odd) // the other parity than R
	if !ok {
		return claim{}, false
	}
	return claim{index: index, item: it, sig: sig, minus: minus}, true
}

func verifyClaims(claims []claim) []int {
	if len(claims) >= batchLeast {
		weigh(claims)
	}
	return bisect(claims, false)
}

// weigh draws the weights and computes the scalars, with one inversion for all.
func weigh(claims []claim) {
	weights := make([]byte, 16*len(claims))
	_, _ = rand.Read(weights) // never fails (crypto/rand)
	s := make([]curve.Scalar, len(claims))
	for i := range claims {
		s[i] = claims[i].sig.s
	}
	curve.InvertAll(s)
	for i := range claims {
		c := &claims[i]
		w := weights[16*i : 16*i+16]
		w[15] |= 1 // not zero; 127 random bits remain
		c.z = [2]uint64{binary.BigEndian.Uint64(w[8:]), binary.BigEndian.Uint64(w)}
		z := curve.ReduceScalar(w).Mul(s[i])
		c.u1, c.u2 = z.Mul(challenge(c.item.Msg)), z.Mul(c.sig.r)
	}
}

// bisect returns the indexes of the bad claims in ascending order. knownBad says
// that at least one is bad, which spares the check of the whole.
func bisect(claims []claim, knownBad bool) []int {
	if len(claims) >= batchLeast && !knownBad && hold(claims) {
		return nil
	}
	if len(claims) <= bisectLeast {
		var bad []int
		for i := range claims {
			if it := claims[i].item; !it.Key.verifySecp(it.Msg, it.Sig) {
				bad = append(bad, claims[i].index)
			}
		}
		return bad
	}
	half := len(claims) / 2
	left := bisect(claims[:half], false)
	right := bisect(claims[half:], len(left) == 0)
	return append(left, right...)
}

// hold checks sum z*(-R) + (sum u1)*G + sum over signers (sum u2)*Q = 0.
func hold(claims []claim) bool {
	var base curve.Scalar
	type signer struct {
		key    *PublicKey
		scalar curve.Scalar
	}
	signers := make([]signer, 0, len(claims))
	place := make(map[string]int, len(claims))
	m := curve.NewSum(2*len(claims) + 1)
	for i := range claims {
		c := &claims[i]
		m.AddHalf(&c.minus, c.z)
		base = base.Add(c.u1)
		at, known := place[c.item.Key.enc]
		if !known {
			at = len(signers)
			place[c.item.Key.enc] = at
			signers = append(signers, signer{key: &c.item.Key})
		}
		signers[at].scalar = signers[at].scalar.Add(c.u2)
	}
	m.Add(&curve.Generator, base)
	for i := range signers {
		s := &signers[i]
		m.Add(&s.key.point, s.scalar)
	}
	return m.Total().IsInfinity()
}
