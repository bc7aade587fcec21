package mempool

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// world is a chain told in a few lines, and a pool beside it.
type world struct {
	*Pool
	accounts map[types.Address]ledger.Account
	taken    map[hash.Hash]bool // in a block that is not executed yet
	unrun    []*types.Tx        // that block
	height   types.Height
	now      time.Time
}

func (w *world) account(a types.Address) ledger.Account {
	if found, ok := w.accounts[a]; ok {
		return found
	}
	return ledger.Account{Balance: 5000}
}

// Whatever happens, the pool stays within its bounds, its books balance, and what
// it selects can be executed in that order.
func TestPoolKeepsItsLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{accounts: map[types.Address]ledger.Account{}, taken: map[hash.Hash]bool{}, now: now}
		cfg := Config{MaxTxs: rapid.IntRange(1, 12).Draw(t, "max"), MaxBytes: 1500, PerSender: 6, TTL: time.Minute}
		w.Pool = NewPool(cfg, ledger.New(testGenesis), func(tx *types.Tx) (ledger.Account, error) { return w.account(tx.Sender()), nil })
		t.Repeat(map[string]func(*rapid.T){
			"add": w.add, "propose": w.propose, "execute": w.execute,
			"wait": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
				w.Expire(w.now)
			},
			"": w.check,
		})
	})
}

func (w *world) add(t *rapid.T) {
	payer, seq := byte(rapid.IntRange(1, 4).Draw(t, "payer")), rapid.Uint64Range(0, 9).Draw(t, "seq")
	fee := types.Drops(rapid.SampledFrom([]int{10, 11, 12, 50, 99, 2000}).Draw(t, "fee"))
	tx := payment(t, payer, seq, fee)
	if rapid.Bool().Draw(t, "long") {
		tx = long(t, payer, seq, fee)
	}
	before := w.listed()
	_, known := before[tx.ID()]
	replaced := w.at(tx.Sender(), seq)
	err := w.Add(w.now, tx)
	after := w.listed()
	if err != nil {
		require.Equal(t, before, after, "a refusal changes nothing")
		return
	}
	require.False(t, known)
	require.Contains(t, after, tx.ID())
	if replaced != nil {
		require.NoError(t, outbids(tx, replaced))
		require.NotContains(t, after, replaced.ID())
	}
	for id, gone := range before {
		if _, kept := after[id]; !kept && gone != replaced {
			require.Nil(t, w.at(gone.Sender(), gone.Sequence+1), "only ends of queues are evicted")
		}
	}
}

func (w *world) propose(t *rapid.T) {
	if len(w.unrun) > 0 {
		return
	}
	w.unrun = w.Select(rapid.IntRange(0, 1500).Draw(t, "bytes"), rapid.IntRange(0, 5).Draw(t, "txs"), none)
	for _, tx := range w.unrun {
		w.taken[tx.ID()] = true
	}
	follow := w.Select(1<<20, 100, skipping(func(id hash.Hash) bool { return w.taken[id] }))
	w.runnable(t, append(slices.Clip(w.unrun), follow...))
}

// runnable checks what must hold for a selection.
func (w *world) runnable(t *rapid.T, txs []*types.Tx) map[types.Address]ledger.Account {
	changed := map[types.Address]ledger.Account{}
	for _, tx := range txs {
		a, seen := changed[tx.Sender()]
		if !seen {
			a = w.account(tx.Sender())
		}
		require.Equal(t, a.Sequence, tx.Sequence)
		require.GreaterOrEqual(t, a.Balance, tx.Fee)
		a.Sequence++
		a.Balance -= tx.Fee // amounts stay away: every account here is below the reserve
		changed[tx.Sender()] = a
	}
	return changed
}

func (w *world) execute(t *rapid.T) {
	changed := w.runnable(t, w.unrun)
	if rapid.Bool().Draw(t, "income") {
		for a, account := range changed {
			account.Balance += 3000
			changed[a] = account
		}
	}
	maps.Copy(w.accounts, changed)
	w.height++
	w.Executed(w.height, changed, nil)
	w.unrun = nil
	clear(w.taken)
}

func (w *world) check(t *rapid.T) {
	s := w.Stats()
	require.LessOrEqual(t, s.Txs, w.cfg.MaxTxs)
	require.LessOrEqual(t, s.Bytes, w.cfg.MaxBytes)
	bytes, count := int64(0), 0
	for _, q := range w.queue {
		fees := types.Drops(0)
		for seq, e := range q.bySeq {
			require.Equal(t, seq, e.tx.Sequence)
			require.Same(t, q, e.queue)
			require.Same(t, e, w.byID[e.tx.ID()])
			require.LessOrEqual(t, seq, q.last)
			require.GreaterOrEqual(t, seq, q.next)
			bytes += int64(len(e.tx.Raw()))
			fees += e.tx.Fee
			count++
		}
		require.Equal(t, fees, q.fees)
		require.LessOrEqual(t, fees, q.balance)
		require.Same(t, q.bySeq[q.last], q.tail)
		require.Same(t, q, w.tails[q.place])
		require.Equal(t, q.continues(q.last), q.contiguous())
		require.Equal(t, q.bySeq[q.next], q.head)
		if q.head != nil {
			require.Same(t, q, w.heads[q.ready])
		}
	}
	require.Equal(t, Stats{Txs: count, Bytes: bytes}, s)
	require.Len(t, w.byID, count)
	require.Len(t, w.tails, len(w.queue))
	for i := range w.tails {
		require.False(t, i > 0 && w.tails.Less(i, (i-1)/2), "tails are a heap")
	}
	for i := range w.heads {
		require.False(t, i > 0 && w.heads.Less(i, (i-1)/2), "heads are a heap")
	}
	w.bestFirst(t)
}

// bestFirst holds a selection against every head anew: nothing ready pays more
// than what was picked.
func (w *world) bestFirst(t *rapid.T) {
	next := map[types.Address]uint64{}
	for _, tx := range w.Select(1<<20, 100, none) {
		for _, q := range w.queue {
			if e := q.bySeq[max(next[q.sender], q.next)]; e != nil {
				if left := q.balance - w.spent(q, e.tx.Sequence); left >= e.tx.Fee {
					require.False(t, better(e, w.byID[tx.ID()]))
				}
			}
		}
		next[tx.Sender()] = tx.Sequence + 1
	}
}

func (w *world) spent(q *queue, before uint64) (sum types.Drops) {
	for seq := q.next; seq < before; seq++ {
		if e := q.bySeq[seq]; e != nil {
			sum += e.tx.Fee
		}
	}
	return sum
}

func (w *world) listed() map[hash.Hash]*types.Tx {
	out := map[hash.Hash]*types.Tx{}
	for id, e := range w.byID {
		out[id] = e.tx
	}
	return out
}

func (w *world) at(a types.Address, seq uint64) *types.Tx {
	if q := w.queue[a]; q != nil && q.bySeq[seq] != nil {
		return q.bySeq[seq].tx
	}
	return nil
}
