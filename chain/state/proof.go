package state

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

const (
	// MaxKey is the longest key in bytes; the shortest is 1.
	MaxKey = 128
	// MaxValue is the longest value in bytes.
	MaxValue = 1 << 20
	// MaxProof is the longest encoded proof in bytes; usual ones over a million
	// keys take about 700.
	MaxProof = 9 << 10

	keyBits = 8 * hash.Size
)

// Proof shows that a key has a value, or has none, under a root. It holds the
// sibling hashes on the way from the root down to the place of the key.
type Proof struct {
	_        struct{}    `cbor:",toarray"`
	Depth    uint16      // binary levels from the root to the place, 0 to 256
	Mask     []byte      // bit i, from the top, is set if the sibling on level i is not empty; (Depth+7)/8 bytes
	Siblings []hash.Hash // those siblings, from the root down
	Other    []OtherLeaf // of an absent key whose place another key takes: that one
}

// OtherLeaf is the leaf of another key, by the hashes it commits to.
type OtherLeaf struct {
	_     struct{} `cbor:",toarray"`
	Key   hash.Hash
	Value hash.Hash
}

// Encode returns the canonical encoding, at most [MaxProof] bytes.
func (p *Proof) Encode() []byte { return canon.MustMarshal(p) }

// DecodeProof reads what [Proof.Encode] wrote. Errors wrap [ErrProof].
func DecodeProof(b []byte) (*Proof, error) {
	if len(b) > MaxProof {
		return nil, fmt.Errorf("%w: %d bytes, the longest has %d", ErrProof, len(b), MaxProof)
	}
	p := &Proof{}
	if err := canon.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	// Only one spelling of an empty list is canonical: CBOR null is not.
	if p.Mask == nil || p.Siblings == nil || p.Other == nil {
		return nil, fmt.Errorf("%w: a list is missing", ErrProof)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// check refuses what no honest prover makes, so a proof has one form.
func (p *Proof) check() error {
	depth := int(p.Depth)
	if depth > keyBits || len(p.Mask) != (depth+7)/8 || len(p.Other) > 1 {
		return fmt.Errorf("%w: depth %d with %d mask bytes, %d other leaves", ErrProof, depth, len(p.Mask), len(p.Other))
	}
	count := 0
	for _, m := range p.Mask {
		count += bits.OnesCount8(m)
	}
	if count != len(p.Siblings) {
		return fmt.Errorf("%w: mask names %d siblings, %d given", ErrProof, count, len(p.Siblings))
	}
	for i := range p.Siblings {
		if p.Siblings[i].IsZero() {
			return fmt.Errorf("%w: an empty sibling is listed", ErrProof)
		}
	}
	for i := depth; i < 8*len(p.Mask); i++ {
		if p.at(i) {
			return fmt.Errorf("%w: mask has bits beyond the depth", ErrProof)
		}
	}
	if depth > 0 && !p.at(depth-1) {
		return fmt.Errorf("%w: the deepest sibling is empty", ErrProof)
	}
	return nil
}

func (p *Proof) at(i int) bool { return p.Mask[i>>3]>>(7-i&7)&1 == 1 }

// VerifyProof checks that under root the key has the value, or is absent if
// value is nil (an empty value that is not nil is a value). A nil error is the
// only success; errors wrap [ErrProof]. It needs no database and does no I/O.
func VerifyProof(root hash.Hash, key, value []byte, p *Proof) error {
	if p == nil {
		return fmt.Errorf("%w: there is none", ErrProof)
	}
	if err := p.check(); err != nil {
		return err
	}
	k := hashKey(key)
	current, err := p.bottom(&k, value)
	if err != nil {
		return err
	}
	next := len(p.Siblings)
	for i := int(p.Depth) - 1; i >= 0; i-- {
		var sibling hash.Hash
		if p.at(i) {
			next--
			sibling = p.Siblings[next]
		}
		if bit(&k, i) == 0 {
			current = hashInner(&current, &sibling)
		} else {
			current = hashInner(&sibling, &current)
		}
	}
	if current != root {
		return fmt.Errorf("%w: it leads to root %s, not %s", ErrProof, current.Short(), root.Short())
	}
	return nil
}

// bottom is the hash that the proof claims at the place of the key.
func (p *Proof) bottom(key *hash.Hash, value []byte) (hash.Hash, error) {
	if value != nil {
		if len(p.Other) != 0 {
			return hash.Hash{}, fmt.Errorf("%w: it shows that the key is absent", ErrProof)
		}
		return hashLeaf(&leaf{key: *key, value: hashValue(value)}), nil
	}
	if len(p.Other) == 0 {
		return hash.Hash{}, nil
	}
	other := leaf{key: p.Other[0].Key, value: p.Other[0].Value}
	if other.key == *key || commonBits(&other.key, key) < int(p.Depth) {
		return hash.Hash{}, fmt.Errorf("%w: the other leaf does not take the place of the key", ErrProof)
	}
	return hashLeaf(&other), nil
}

func commonBits(a, b *hash.Hash) int {
	if bytes.Equal(a[:], b[:]) {
		return keyBits
	}
	i := 0
	for a[i] == b[i] {
		i++
	}
	return 8*i + bits.LeadingZeros8(a[i]^b[i])
}

// prove collects the siblings on the way to key. It also returns what takes the
// place of key: its leaf, another one, or nothing.
func prove(load loader, root hash.Hash, key *hash.Hash) (*Proof, slot, error) {
	var above []hash.Hash // the sibling on every binary level, from the root down
	var end slot
	err := trace(load, root, key, func(depth int, n *node) {
		at := 1
		for i := 0; i < 4 && n.single>>at&1 == 0 && !n.heap[at].IsZero(); i++ {
			at = 2*at + int(bit(key, 4*depth+i))
			above = append(above, n.heap[at^1])
		}
		end = n.covered(at)
	})
	if err != nil {
		return nil, slot{}, err
	}
	p := &Proof{Depth: uint16(len(above)), Mask: make([]byte, (len(above)+7)/8), Siblings: []hash.Hash{}, Other: []OtherLeaf{}}
	for i := range above {
		if !above[i].IsZero() {
			p.Mask[i>>3] |= 1 << (7 - i&7)
			p.Siblings = append(p.Siblings, above[i])
		}
	}
	if end.kind == kindLeaf && end.leaf.key != *key {
		p.Other = append(p.Other, OtherLeaf{Key: end.leaf.key, Value: end.leaf.value})
	}
	return p, end, nil
}
