package rpca

import (
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// node is a ledger in the tree.
type node struct {
	block    *types.Block
	parent   *node // nil at the root
	children []*node
	passage  passage
}

// tree holds the last final ledger, its root, and known ledgers above it.
type tree struct {
	root   *node
	byHash map[hash.Hash]*node
}

func newTree(root *types.Block) *tree {
	n := &node{block: root}
	return &tree{root: n, byHash: map[hash.Hash]*node{root.Hash(): n}}
}

func (t *tree) get(h hash.Hash) *node { return t.byHash[h] }

// insert adds a block below its parent, or finds it.
func (t *tree) insert(b *types.Block, parent *node) *node {
	if n := t.byHash[b.Hash()]; n != nil {
		return n
	}
	n := &node{block: b, parent: parent}
	parent.children = append(parent.children, n)
	t.byHash[b.Hash()] = n
	return n
}

// path lists the ledgers from above the root up to and including n.
func (t *tree) path(n *node) []*node {
	out := make([]*node, n.block.Height-t.root.block.Height)
	for ; n != t.root; n = n.parent {
		out[n.block.Height-t.root.block.Height-1] = n
	}
	return out
}

// ancestorAt finds n's ancestor (or n itself) of a height; nil if n is lower or
// the height is below the root.
func (n *node) ancestorAt(h types.Height) *node {
	for n != nil && n.block.Height > h {
		n = n.parent
	}
	if n == nil || n.block.Height < h {
		return nil
	}
	return n
}

// extends says that n is a or descends from it.
func (n *node) extends(a *node) bool { return n.ancestorAt(a.block.Height) == a }

// reroot makes n the root and forgets all that does not descend from it.
func (t *tree) reroot(n *node) {
	n.parent = nil
	t.root = n
	t.byHash = map[hash.Hash]*node{}
	t.keep(n)
}

func (t *tree) keep(n *node) {
	t.byHash[n.block.Hash()] = n
	for _, c := range n.children {
		t.keep(c)
	}
}

// prune forgets every ledger that is neither an ancestor of a wanted one nor
// wanted itself.
func (t *tree) prune(wanted []*node) {
	kept := map[*node]bool{t.root: true}
	for _, n := range wanted {
		for ; n != nil && !kept[n]; n = n.parent {
			kept[n] = true
		}
	}
	t.byHash = map[hash.Hash]*node{}
	var walk func(n *node)
	walk = func(n *node) {
		t.byHash[n.block.Hash()] = n
		var children []*node
		for _, c := range n.children {
			if kept[c] {
				children = append(children, c)
				walk(c)
			}
		}
		n.children = children
	}
	walk(t.root)
}
