package mempool

import (
	"time"

	"github.com/starlingmesh/starling/chain/types"
)

const (
	leastTx    = 64 // bytes; no signed transaction is shorter
	maxMisfits = 64 // transactions too long for the room left before a selection ends
)

// candidate is a transaction that may be selected next.
type candidate struct {
	*entry
	left types.Drops // of the balance, before this transaction
	node int         // of the heap of heads, -1 if it follows another of its sender
}

// frontier is a heap of candidates, the best first. It is typed and not a
// container/heap, which would allocate for every candidate.
type frontier []candidate

func (f *frontier) push(c candidate) {
	h := append(*f, c)
	i := len(h) - 1
	for i > 0 && better(c.entry, h[(i-1)/2].entry) {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = c
	*f = h
}

func (f *frontier) pop() candidate {
	h := *f
	best, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*f = h
	for i := 0; len(h) > 0; {
		child := 2*i + 1
		if child+1 < len(h) && better(h[child+1].entry, h[child].entry) {
			child++
		}
		if child >= len(h) || !better(h[child].entry, last.entry) {
			h[i] = last
			break
		}
		h[i] = h[child]
		i = child
	}
	return best
}

// Choice is what becomes of a transaction whose turn it is in a selection.
type Choice int

// The choices.
const (
	Take  Choice = iota // it is picked
	Taken               // it is in a block that is not executed yet: its successors' turn comes
	Leave               // not now, and so none of its sender's after it
)

// Select picks transactions for a block: the best paying first, among equals the
// one that came first, each sender's in order of sequence without a gap and only
// as far as the balance pays the fees after what is sent before them. choose is
// asked about each in its turn, with the time since when it waits.
//
// The heap of heads is not taken apart: a node is looked at once its parent was,
// so the cost follows what is picked, not what waits.
func (p *Pool) Select(maxBytes, maxTxs int, choose func(tx *types.Tx, since time.Time) Choice) []*types.Tx {
	picked := make([]*types.Tx, 0, min(maxTxs, len(p.byID)))
	open := make(frontier, 0, 256)
	reach := func(node int) {
		if node < len(p.heads) {
			q := p.heads[node]
			open.push(candidate{q.head, q.balance, node})
		}
	}
	reach(0)
	misfits, work := 0, 0
	for len(open) > 0 && len(picked) < maxTxs && maxBytes >= leastTx && misfits < maxMisfits {
		c := open.pop()
		if c.node >= 0 {
			reach(2*c.node + 1)
			reach(2*c.node + 2)
		}
		left, pays := p.ledger.Left(c.tx, c.left)
		if !pays || c.tx.Expiry <= p.tip {
			continue // and so nothing after it
		}
		choice := choose(c.tx, c.added)
		if choice == Leave {
			continue
		}
		if choice == Take {
			size := len(c.tx.Raw())
			proofs := types.ProofWork(c.tx.Body)
			if size > maxBytes || work+proofs > types.MaxProofWork {
				misfits++
				continue
			}
			picked = append(picked, c.tx)
			maxBytes -= size
			work += proofs
		}
		if _, changes := c.tx.Body.(*types.SetSigners); c.entry == c.queue.tail || changes {
			continue // what the former signers sign behind a change has no effect, and pays no fee
		}
		if next := c.queue.bySeq[c.tx.Sequence+1]; next != nil {
			open.push(candidate{next, left, -1})
		}
	}
	return picked
}
