package mempool

import (
	"math/bits"
	"time"

	"github.com/starlingmesh/starling/chain/types"
)

// entry is a waiting transaction.
type entry struct {
	tx    *types.Tx
	added time.Time
	order uint64 // of arrival: among equals, first come is first served
	rank  uint64 // see rank
	queue *queue
}

// queue is one sender's transactions. Those from the account's next sequence on
// without a gap can be executed; the rest wait for what is missing.
type queue struct {
	sender  types.Address
	next    uint64        // the account's
	balance types.Drops   // the account's
	signer  types.Address // the account's
	fees    types.Drops   // of all that waits: never more than balance
	last    uint64        // the highest sequence held
	bySeq   map[uint64]*entry

	head  *entry // at next; nil if that is missing
	tail  *entry // at last
	ready int    // place in Pool.heads, -1 without a head
	place int    // in Pool.tails
}

// contiguous reports whether nothing is missing before the last transaction.
func (q *queue) contiguous() bool { return q.last-q.next+1 == uint64(len(q.bySeq)) }

// continues reports whether nothing would be missing before a transaction at seq.
func (q *queue) continues(seq uint64) bool {
	for n := q.next; n < seq; n++ {
		if q.bySeq[n] == nil {
			return false
		}
	}
	return true
}

// cheaper compares fees per byte exactly.
func cheaper(a, b *types.Tx) bool {
	hiA, loA := bits.Mul64(uint64(a.Fee), uint64(len(b.Raw())))
	hiB, loB := bits.Mul64(uint64(b.Fee), uint64(len(a.Raw())))
	if hiA != hiB {
		return hiA < hiB
	}
	return loA < loB
}

// rank is the fee per byte rounded down, in 2^-23 drops: different ranks tell
// which of two pays more, and only equal ones need [cheaper].
func rank(tx *types.Tx) uint64 {
	return min(uint64(tx.Fee), 1<<40) << 23 / uint64(len(tx.Raw()))
}

// better orders entries: the higher fee per byte, then the earlier arrival.
func better(a, b *entry) bool {
	if a.rank != b.rank {
		return a.rank > b.rank
	}
	if cheaper(b.tx, a.tx) {
		return true
	}
	return !cheaper(a.tx, b.tx) && a.order < b.order
}

// heads is a heap of the queues that have a head, the best head first.
type heads []*queue

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return better(h[i].head, h[j].head) }

func (h heads) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].ready, h[j].ready = i, j
}

func (h *heads) Push(x any) {
	q := x.(*queue)
	q.ready = len(*h)
	*h = append(*h, q)
}

func (h *heads) Pop() any {
	old := *h
	q := old[len(old)-1]
	*h, q.ready = old[:len(old)-1], -1
	return q
}

// tails is a heap of all queues, the one to lose its last transaction first: one
// behind a gap, which cannot be executed, before one that can, then the worst.
type tails []*queue

func (t tails) Len() int { return len(t) }

func (t tails) Less(i, j int) bool {
	if a, b := t[i].contiguous(), t[j].contiguous(); a != b {
		return b
	}
	return better(t[j].tail, t[i].tail)
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
