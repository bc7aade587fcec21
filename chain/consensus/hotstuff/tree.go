package hotstuff

import (
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Tree holds the last decided block, the root, and the undecided blocks known
// to descend from it.
type Tree struct {
	root  *Node
	nodes map[hash.Hash]*Node
}

// Node is a block in the tree.
type Node struct {
	Block    *types.Block
	Parent   *Node // nil for the root
	Passage  consensus.Passage
	standing Standing // of the leaders, on top of this block
	children []*Node
}

func newTree(root *types.Block) *Tree {
	n := &Node{Block: root}
	return &Tree{root: n, nodes: map[hash.Hash]*Node{root.Hash(): n}}
}

// Get finds a block, nil if it is not in the tree.
func (t *Tree) Get(h hash.Hash) *Node { return t.nodes[h] }

// Root is the last decided block.
func (t *Tree) Root() *Node { return t.root }

// insert adds a block below its parent, which must be in the tree.
func (t *Tree) insert(b *types.Block, parent *Node) *Node {
	n := &Node{Block: b, Parent: parent}
	parent.children = append(parent.children, n)
	t.nodes[b.Hash()] = n
	return n
}

func (n *Node) childrenIn(v types.View) (count int) {
	for _, child := range n.children {
		if child.Block.View == v {
			count++
		}
	}
	return count
}

// path lists the nodes from below the root down to n.
func (t *Tree) path(n *Node) []*Node {
	nodes := make([]*Node, n.Block.Height-t.root.Block.Height)
	for i := len(nodes) - 1; i >= 0; i-- {
		nodes[i] = n
		n = n.Parent
	}
	return nodes
}

// prune makes n the root and forgets everything that does not descend from it.
func (t *Tree) prune(n *Node) {
	kept := make(map[hash.Hash]*Node, len(t.nodes))
	for stack := []*Node{n}; len(stack) > 0; {
		last := stack[len(stack)-1]
		kept[last.Block.Hash()] = last
		stack = append(stack[:len(stack)-1], last.children...)
	}
	n.Parent = nil
	t.root, t.nodes = n, kept
}
