package mempool

import (
	"bytes"
	"container/heap"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// tails is a heap of queues, the one whose last transaction pays least first.
type tails []*queue

func (t tails) Len() int { return len(t) }
func (t tails) Less(i, j int) bool {
	return cheaper(t[i].bySeq[t[i].last].tx, t[j].bySeq[t[j].last].tx)
}

func (t tails) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i, j
}

func (t *tails) Push(x any) {
	q := x.(*queue)
	q.place = len(*t)
	*t = append(*t, q)
}

func (t *tails) Pop() any {
	old := *t
	q := old[len(old)-1]
	*t = old[:len(old)-1]
	return q
}

// head is a sender's next transaction to be selected.
type head struct {
	queue *queue
	tx    *types.Tx
}

// heads is a heap of heads, the best paying first.
type heads []head

func (h heads) Len() int { return len(h) }
func (h heads) Less(i, j int) bool {
	if cheaper(h[j].tx, h[i].tx) {
		return true
	}
	if cheaper(h[i].tx, h[j].tx) {
		return false
	}
	a, b := h[i].tx.Sender(), h[j].tx.Sender()
	return bytes.Compare(a[:], b[:]) < 0
}
func (h heads) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)   { *h = append(*h, x.(head)) }
func (h *heads) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// Select picks transactions for a block: the best paying first, each sender's in
// order of sequence without a gap. Those for which skip is true are in blocks
// that are not executed yet: they are passed over, and their successors count as
// ready.
func (p *Pool) Select(maxBytes, maxTxs int, skip func(hash.Hash) bool) []*types.Tx {
	ready := make(heads, 0, len(p.queue))
	for _, q := range p.queue {
		if tx := q.from(q.next, p.tip, skip); tx != nil {
			ready = append(ready, head{q, tx})
		}
	}
	heap.Init(&ready)
	picked := make([]*types.Tx, 0, min(maxTxs, len(p.byID)))
	size := 0
	for len(ready) > 0 && len(picked) < maxTxs {
		best := ready[0]
		if n := len(best.tx.Raw()); size+n <= maxBytes {
			picked = append(picked, best.tx)
			size += n
			if best.tx = best.queue.from(best.tx.Sequence+1, p.tip, skip); best.tx != nil {
				ready[0] = best
				heap.Fix(&ready, 0)
				continue
			}
		}
		heap.Pop(&ready) // nothing more of this sender, or it does not fit
	}
	return picked
}

// from returns the first transaction from a sequence on that is not skipped, nil
// where there is a gap or one that is about to expire.
func (q *queue) from(seq uint64, tip types.Height, skip func(hash.Hash) bool) *types.Tx {
	for ; ; seq++ {
		e := q.bySeq[seq]
		if e == nil {
			return nil
		}
		if !skip(e.tx.ID()) {
			if e.tx.Expiry <= tip {
				return nil
			}
			return e.tx
		}
	}
}
