package state

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/starlingmesh/starling/crypto/hash"
)

// leaf commits to one key and its value by their hashes.
type leaf struct{ key, value hash.Hash }

// slot is what hangs at one of the sixteen places of a node: nothing, a leaf,
// or a node with at least two leaves below it.
type slot struct {
	kind kind
	hash hash.Hash
	leaf leaf // if kind is kindLeaf
}

type kind uint8

const (
	kindNone kind = iota
	kindLeaf
	kindInner
)

func leafSlot(l leaf) slot { return slot{kind: kindLeaf, hash: hashLeaf(&l), leaf: l} }

// node is four levels of the binary tree. It is immutable once made, so readers
// and the cache share it without locks.
type node struct {
	inner, leafs uint16 // which slots hold a node, which a leaf
	single       uint32 // which positions of heap cover exactly one leaf
	leaves       []leaf // of the slots in leafs, in order
	heap         *heap
}

// heap holds the hashes of the four levels: 1 is the root, 2i and 2i+1 are the
// halves of i, 16+i is slot i. It is apart because the garbage collector need
// not look into it.
type heap [32]hash.Hash

var noHashes heap

// newNode is a node with empty slots.
func newNode() *node { return &node{heap: &noHashes} }

func (n *node) root() hash.Hash { return n.heap[1] }

func (n *node) slot(i int) slot {
	switch {
	case n.inner>>i&1 == 1:
		return slot{kind: kindInner, hash: n.heap[16+i]}
	case n.leafs>>i&1 == 1:
		at := bits.OnesCount16(n.leafs & (1<<i - 1))
		return slot{kind: kindLeaf, hash: n.heap[16+i], leaf: n.leaves[at]}
	}
	return slot{}
}

// only returns the one leaf of a node that holds nothing else.
func (n *node) only() (slot, bool) {
	if n.inner != 0 || bits.OnesCount16(n.leafs) != 1 {
		return slot{}, false
	}
	return n.slot(bits.TrailingZeros16(n.leafs)), true
}

// covered returns the one leaf below heap position at, or an empty slot if
// there is none or more than that.
func (n *node) covered(at int) slot {
	if n.single>>at&1 == 0 {
		return slot{}
	}
	for at < 16 {
		at = 2*at + int(n.single>>(2*at+1)&1)
	}
	return n.slot(at - 16)
}

func (n *node) empty() bool { return n.inner|n.leafs == 0 }

// with returns a copy of n in which the slots of mask are replaced. Only the
// hashes above them are computed again.
func (n *node) with(changed *[16]slot, mask uint16) *node {
	c := &node{
		inner: n.inner &^ mask, leafs: n.leafs &^ mask, single: n.single,
		heap: new(heap),
	}
	*c.heap = *n.heap
	for m := mask; m != 0; m &= m - 1 {
		i := bits.TrailingZeros16(m)
		s := &changed[i]
		c.heap[16+i] = s.hash
		c.single &^= 1 << (16 + i)
		switch s.kind {
		case kindLeaf:
			c.leafs |= 1 << i
			c.single |= 1 << (16 + i)
		case kindInner:
			c.inner |= 1 << i
		}
	}
	c.leaves = make([]leaf, 0, bits.OnesCount16(c.leafs))
	for m := c.leafs; m != 0; m &= m - 1 {
		i := bits.TrailingZeros16(m)
		if mask>>i&1 == 1 {
			c.leaves = append(c.leaves, changed[i].leaf)
		} else {
			c.leaves = append(c.leaves, n.slot(i).leaf)
		}
	}
	c.rehash(mask)
	return c
}

// rehash computes the heap positions above the slots of mask.
func (n *node) rehash(mask uint16) {
	dirty := uint32(mask) << 16
	for first := 8; first >= 1; first >>= 1 {
		var up uint32
		for i := first; i < 2*first; i++ {
			if dirty>>(2*i)&3 != 0 {
				n.combine(i)
				up |= 1 << i
			}
		}
		dirty = up
	}
}

// combine is the rule of the binary tree: zero for nothing, the leaf itself for
// one leaf, else the hash of both halves.
func (n *node) combine(i int) {
	left, right := &n.heap[2*i], &n.heap[2*i+1]
	n.single &^= 1 << i
	switch {
	case left.IsZero() && (right.IsZero() || n.single>>(2*i+1)&1 == 1):
		n.heap[i] = *right
		n.single |= n.single >> (2*i + 1) & 1 << i
	case right.IsZero() && n.single>>(2*i)&1 == 1:
		n.heap[i] = *left
		n.single |= 1 << i
	default:
		n.heap[i] = hashInner(left, right)
	}
}

// encode writes the slot maps, then per slot 32 bytes (node hash) or 64 bytes
// (key hash, value hash): at most 1028 bytes.
func (n *node) encode() []byte {
	b := make([]byte, 4, 4+hash.Size*(bits.OnesCount16(n.inner)+2*len(n.leaves)))
	binary.BigEndian.PutUint16(b, n.inner)
	binary.BigEndian.PutUint16(b[2:], n.leafs)
	next := 0
	for m := n.inner | n.leafs; m != 0; m &= m - 1 {
		i := bits.TrailingZeros16(m)
		if n.inner>>i&1 == 1 {
			b = append(b, n.heap[16+i][:]...)
			continue
		}
		b = append(b, n.leaves[next].key[:]...)
		b = append(b, n.leaves[next].value[:]...)
		next++
	}
	return b
}

// decodeNode reads what encode wrote and computes every hash of the node. The
// caller compares the root with the hash it expects.
func decodeNode(b []byte) (*node, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("tree node of %d bytes", len(b))
	}
	n := &node{inner: binary.BigEndian.Uint16(b), leafs: binary.BigEndian.Uint16(b[2:]), heap: new(heap)}
	leaves := bits.OnesCount16(n.leafs)
	if n.inner&n.leafs != 0 || len(b) != 4+hash.Size*(bits.OnesCount16(n.inner)+2*leaves) {
		return nil, fmt.Errorf("tree node of %d bytes with slots %016b, %016b", len(b), n.inner, n.leafs)
	}
	n.leaves = make([]leaf, 0, leaves)
	n.single = uint32(n.leafs) << 16
	b = b[4:]
	for m := n.inner | n.leafs; m != 0; m &= m - 1 {
		i := bits.TrailingZeros16(m)
		if n.inner>>i&1 == 1 {
			b = b[copy(n.heap[16+i][:], b):]
			continue
		}
		var l leaf
		b = b[copy(l.key[:], b):]
		b = b[copy(l.value[:], b):]
		n.leaves = append(n.leaves, l)
		n.heap[16+i] = hashLeaf(&l)
	}
	n.rehash(n.inner | n.leafs)
	return n, nil
}
