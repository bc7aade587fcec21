package bls

import (
	"crypto/rand"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc"
	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// Item is one signature to be verified in a batch.
type Item struct {
	Key *PublicKey
	Msg []byte
	Sig Signature
}

// batchLeast is the least number of signatures for which weighing them is
// cheaper than verifying one by one.
const batchLeast = 4

// BatchVerify verifies many signatures at once and returns the indexes of the
// bad ones in ascending order, nil if all are good. Every item gets a random
// weight of 128 bits, so bad signatures that cancel each other out are found
// except with probability 2^-128. Items of one message share a pairing, which
// makes this the way to find the culprits behind a failed aggregate.
func BatchVerify(items []Item) []int {
	b := &batch{hashes: map[string]bls12381.G1Affine{}}
	var bad []int
	for i, it := range items {
		p, err := it.Sig.point()
		if it.Key == nil || err != nil {
			bad = append(bad, i)
			continue
		}
		if _, known := b.hashes[string(it.Msg)]; !known {
			b.hashes[string(it.Msg)] = hashToG1(it.Msg, voteDST)
		}
		b.members = append(b.members, member{index: i, item: it, sig: p, weight: randomWeight()})
	}
	found := b.bisect(b.members, false)
	return mergeSorted(bad, found)
}

type batch struct {
	members []member
	hashes  map[string]bls12381.G1Affine // by message
}

type member struct {
	index  int
	item   Item
	sig    bls12381.G1Affine
	weight fr.Element
}

// randomWeight draws from [1, 2^128].
func randomWeight() fr.Element {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	var w, one fr.Element
	w.SetBytes(b[:])
	return *w.Add(&w, one.SetOne())
}

// bisect returns the indexes of the bad members in ascending order. knownBad
// says that at least one is bad, which spares the check of the whole.
func (b *batch) bisect(members []member, knownBad bool) []int {
	switch {
	case len(members) < batchLeast:
		return b.oneByOne(members)
	case !knownBad && b.holds(members):
		return nil
	}
	half := len(members) / 2
	left := b.bisect(members[:half], false)
	right := b.bisect(members[half:], len(left) == 0)
	return append(left, right...)
}

func (b *batch) oneByOne(members []member) []int {
	var bad []int
	for i := range members {
		m := &members[i]
		if !pairs(m.item.Key, b.hashes[string(m.item.Msg)], m.sig) {
			bad = append(bad, m.index)
		}
	}
	return bad
}

// holds checks sum w*e(H(m), key) = e(sum w*sig, g2) over the members.
func (b *batch) holds(members []member) bool {
	sigs := make([]bls12381.G1Affine, len(members))
	weights := make([]fr.Element, len(members))
	groups := map[string][]*member{}
	var order []string
	for i := range members {
		m := &members[i]
		sigs[i], weights[i] = m.sig, m.weight
		msg := string(m.item.Msg)
		if groups[msg] == nil {
			order = append(order, msg)
		}
		groups[msg] = append(groups[msg], m)
	}
	left := make([]bls12381.G1Affine, 1, len(groups)+1)
	right := make([]bls12381.G2Affine, 1, len(groups)+1)
	if _, err := left[0].MultiExp(sigs, weights, oneTask); err != nil {
		return false
	}
	right[0] = negGenerator()
	for _, msg := range order {
		p, q, ok := weighted(b.hashes[msg], groups[msg])
		if !ok {
			return false
		}
		left, right = append(left, p), append(right, q)
	}
	ok, err := bls12381.PairingCheck(left, right)
	return err == nil && ok
}

// oneTask keeps multi-exponentiations on one core: several nodes may share it.
var oneTask = ecc.MultiExpConfig{NbTasks: 1}

// weighted returns the two sides of the pairing of one message's members. The
// weight of a lone member goes to the hash, as G1 is the cheaper group.
func weighted(h bls12381.G1Affine, members []*member) (bls12381.G1Affine, bls12381.G2Affine, bool) {
	if len(members) == 1 {
		var p bls12381.G1Affine
		p.ScalarMultiplication(&h, members[0].weight.BigInt(new(big.Int)))
		return p, members[0].item.Key.point, true
	}
	keys := make([]bls12381.G2Affine, len(members))
	weights := make([]fr.Element, len(members))
	for i, m := range members {
		keys[i], weights[i] = m.item.Key.point, m.weight
	}
	var q bls12381.G2Affine
	_, err := q.MultiExp(keys, weights, oneTask)
	return h, q, err == nil
}

// mergeSorted merges two ascending lists.
func mergeSorted(a, b []int) []int {
	if len(a) == 0 {
		return b
	}
	out := make([]int, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] < b[0] {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return append(append(out, a...), b...)
}
