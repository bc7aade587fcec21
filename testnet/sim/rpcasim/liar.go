package rpcasim

import (
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// propose sends a position. A liar shows some of the others another one with the
// same number: other transactions, or another time.
func (n *node) propose(p rpca.Position) {
	if !n.liar {
		n.toOthers(rpca.PositionIn{Position: p})
		return
	}
	twin := p
	half := rpca.NewTxSet(n.pool[:n.w.rand.IntN(len(n.pool)+1)])
	n.sets[half.ID()] = half
	switch n.w.rand.IntN(3) {
	case 0:
		twin.Set = half.ID()
	case 1:
		twin.Close = 0
	default:
		twin.Set, twin.Close = half.ID(), p.Close+timing().Resolution.Milliseconds()
	}
	n.w.tell(n, twin, p)
}

// tell shows each of the others one of two positions, or none.
func (w *world) tell(from *node, a, b rpca.Position) {
	a.Signature = consensustest.Scheme{Self: from.self}.Sign(a.Message(w.chain))
	for _, other := range w.nodes {
		if other == from {
			continue
		}
		switch w.rand.IntN(5) {
		case 0, 1:
			w.send(from.self, other.self, rpca.PositionIn{Position: a})
		case 2, 3:
			w.send(from.self, other.self, rpca.PositionIn{Position: b})
		}
	}
}

// validate sends a validation. A liar shows some a full one of a ledger that it
// made up, and keeps it from others.
func (n *node) validate(v rpca.Validation) {
	if !n.liar {
		n.toOthers(rpca.ValidationIn{Validation: v})
		return
	}
	twin := n.forge(v)
	for _, other := range n.w.nodes {
		if other == n {
			continue
		}
		switch n.w.rand.IntN(3) {
		case 0:
			n.w.send(n.self, other.self, rpca.ValidationIn{Validation: twin})
		case 1:
			n.w.send(n.self, other.self, rpca.ValidationIn{Validation: v})
		}
	}
}

// forge validates a ledger beside the one that v is for.
func (n *node) forge(v rpca.Validation) rpca.Validation {
	blocks := n.core.Undecided(v.Block)
	if len(blocks) == 0 {
		return v
	}
	b := blocks[len(blocks)-1]
	h := b.BlockHeader
	h.Time++
	twin, err := types.NewBlock(h, b.Txs, func(hash.Hash) ([]byte, error) { return []byte{}, nil })
	if err != nil {
		return v
	}
	n.forged[twin.Hash()] = twin
	return n.full(twin.Height, twin.Hash())
}

func (n *node) full(height types.Height, block hash.Hash) rpca.Validation {
	v := rpca.Validation{Height: height, Block: block, Full: true, Voter: n.self}
	v.Signature = consensustest.Scheme{Self: n.self}.Sign(v.Message(n.w.chain))
	return v
}

// overhear: a liar validates whatever anybody validates, to some of the others.
func (n *node) overhear(ev rpca.Event) {
	in, ok := ev.(rpca.ValidationIn)
	if !n.liar || !ok || !in.Validation.Full {
		return
	}
	v := n.full(in.Validation.Height, in.Validation.Block)
	if n.echoed[v.Block] {
		return // or two liars would never stop
	}
	n.echoed[v.Block] = true
	for _, other := range n.w.nodes {
		if other != n && n.w.rand.IntN(2) == 0 {
			n.w.send(n.self, other.self, rpca.ValidationIn{Validation: v})
		}
	}
}
