package node

import (
	"sync"

	"github.com/starlingmesh/starling/crypto/hash"
)

// waiters wakes those who wait for transactions to become final.
type waiters struct {
	mu   sync.Mutex
	byTx map[hash.Hash]*waiter
}

type waiter struct {
	done  chan struct{}
	count int
}

// join returns a channel that is closed when the transaction is final, and a
// function that must be called when the caller stops waiting.
func (w *waiters) join(id hash.Hash) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byTx == nil {
		w.byTx = map[hash.Hash]*waiter{}
	}
	one := w.byTx[id]
	if one == nil {
		one = &waiter{done: make(chan struct{})}
		w.byTx[id] = one
	}
	one.count++
	return one.done, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if one.count--; one.count == 0 && w.byTx[id] == one {
			delete(w.byTx, id)
		}
	}
}

// wake tells everybody who waits for one of the transactions.
func (w *waiters) wake(ids ...hash.Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if one := w.byTx[id]; one != nil {
			close(one.done)
			delete(w.byTx, id)
		}
	}
}
