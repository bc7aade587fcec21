package fec

import (
	"crypto/sha256"
)

// nodeSize is the length of a hash inside the tree. 20 bytes leave a liar a second
// preimage to be found with 2^160 hashes; a collision of its own making needs 2^80 and
// would only show that it lies. Agave and MonadBFT cut them to the same length.
const nodeSize = 20

type node [nodeSize]byte

// leafOf hashes the payload of a shred. Payloads are multiples of 64 bytes and inner
// nodes hash 40, so that one never stands for the other.
func leafOf(payload []byte) node {
	sum := sha256.Sum256(payload)
	return node(sum[:nodeSize])
}

func parentOf(left, right node) node {
	var pair [2 * nodeSize]byte
	copy(pair[:], left[:])
	copy(pair[nodeSize:], right[:])
	sum := sha256.Sum256(pair[:])
	return node(sum[:nodeSize])
}

// tree is a Merkle tree over the leaves of a set, padded with zeros to a power of two.
// levels[0] are the leaves.
type tree struct{ levels [][]node }

// growTree makes a tree for n leaves, which are to be put into levels[0].
func growTree(n int) *tree {
	width := 1
	for width < n {
		width *= 2
	}
	nodes := make([]node, 2*width-1)
	t := &tree{}
	for {
		t.levels = append(t.levels, nodes[:width:width])
		nodes = nodes[width:]
		if width == 1 {
			return t
		}
		width /= 2
	}
}

// build computes all above the leaves and returns the root.
func (t *tree) build() node {
	for l := 1; l < len(t.levels); l++ {
		below := t.levels[l-1]
		for i := range t.levels[l] {
			t.levels[l][i] = parentOf(below[2*i], below[2*i+1])
		}
	}
	return t.root()
}

func (t *tree) root() node { return t.levels[len(t.levels)-1][0] }

// prove writes the proof of a leaf, lowest sibling first, into out.
func (t *tree) prove(index int, out []byte) {
	for _, level := range t.levels[:len(t.levels)-1] {
		out = out[copy(out, level[index^1][:]):]
		index /= 2
	}
}

// path is a tree of which parts are known: those that verified proofs led through. Where
// a node is known, so are its sibling, its parent and all above.
type path struct {
	*tree
	known [][]bool
}

func newPath(leaves int) *path {
	p := &path{tree: growTree(leaves)}
	for _, level := range p.levels {
		p.known = append(p.known, make([]bool, len(level)))
	}
	return p
}

// verify reports whether a proof leads from a leaf to the root, hashing only up to the
// first known node. From there on the proof must be what is known, byte for byte: it is
// passed on to others, who may know nothing yet.
func (p *path) verify(leaf node, index int, proof []byte, root node) bool {
	var climbed [12]node // MaxShreds has 11 levels above the leaves
	at, level, i := leaf, 0, index
	for level < len(p.levels)-1 && !p.known[level][i] {
		climbed[level] = at
		sibling := node(proof[level*nodeSize:])
		if i%2 == 0 {
			at = parentOf(at, sibling)
		} else {
			at = parentOf(sibling, at)
		}
		level, i = level+1, i/2
	}
	if level == len(p.levels)-1 {
		if at != root {
			return false
		}
	} else if at != p.levels[level][i] {
		return false
	}
	for l, j := level, i; l < len(p.levels)-1; l, j = l+1, j/2 {
		if p.levels[l][j^1] != node(proof[l*nodeSize:]) {
			return false
		}
	}
	for l, j := 0, index; l < level; l, j = l+1, j/2 {
		p.levels[l][j], p.levels[l][j^1] = climbed[l], node(proof[l*nodeSize:])
		p.known[l][j], p.known[l][j^1] = true, true
	}
	return true
}

// climb computes the root that a proof leads to.
func climb(leaf node, index int, proof []byte) node {
	for ; len(proof) > 0; proof = proof[nodeSize:] {
		if sibling := node(proof[:nodeSize]); index%2 == 0 {
			leaf = parentOf(leaf, sibling)
		} else {
			leaf = parentOf(sibling, leaf)
		}
		index /= 2
	}
	return leaf
}
