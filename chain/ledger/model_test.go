package ledger

import (
	"maps"
	"math/big"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
)

// model is the ledger told again, with unbounded integers and no cleverness.
type model struct {
	balance map[types.Address]*big.Int
	next    map[types.Address]uint64
	burned  *big.Int
}

func (m *model) run(tx *types.Tx, h types.Height) Code {
	sender, pay := tx.Sender(), tx.Body.(*types.Payment)
	had, exists := m.balance[sender]
	fee, amount := drops(tx.Fee), drops(pay.Amount)
	reserve := drops(testReserve)
	switch {
	case tx.Expiry < h:
		return Expired
	case tx.Expiry > h-1+testExpiry:
		return ExpiryTooFar
	case fee.Cmp(drops(testMinFee)) < 0:
		return FeeTooLow
	case !exists:
		return NoAccount
	case tx.Sequence < m.next[sender]:
		return SequencePast
	case tx.Sequence > m.next[sender]:
		return SequenceFuture
	case had.Cmp(fee) < 0:
		return CannotPayFee
	}
	m.next[sender]++
	m.burned.Add(m.burned, fee)
	m.balance[sender] = new(big.Int).Sub(had, fee)
	if pay.To == sender {
		return SelfPayment
	}
	kept := new(big.Int).Sub(had, amount)
	if kept.Cmp(reserve) < 0 || kept.Cmp(fee) < 0 {
		return Underfunded
	}
	if _, there := m.balance[pay.To]; !there {
		if amount.Cmp(reserve) < 0 {
			return DestinationBelowReserve
		}
		m.balance[pay.To] = new(big.Int)
	}
	m.balance[sender].Sub(m.balance[sender], amount)
	m.balance[pay.To].Add(m.balance[pay.To], amount)
	return Applied
}

func drops(d types.Drops) *big.Int { return new(big.Int).SetUint64(uint64(d)) }

func TestRandomHistoriesAgreeWithTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		funds := map[string]types.Drops{}
		m := &model{map[types.Address]*big.Int{}, map[types.Address]uint64{}, new(big.Int)}
		for i := range 4 {
			funds[person(i)] = types.Drops(rapid.Uint64Range(0, 20_000).Draw(rt, "funds"))
			m.balance[address(person(i))] = drops(funds[person(i)])
		}
		n := newNet(t, funds)
		for range rapid.IntRange(1, 6).Draw(rt, "blocks") {
			var txs []*types.Tx
			for range rapid.IntRange(0, 8).Draw(rt, "txs") {
				txs = append(txs, drawPayment(rt, n, m))
			}
			r := n.run(txs...) // audits
			require.Empty(rt, r.Defects)
			for i, tx := range txs {
				require.Equal(rt, m.run(tx, n.height), r.Receipts[i].Code)
			}
			compare(rt, m, n, r.Totals)
		}
	})
}

// drawPayment is mostly plausible: the expected sequence, an amount near a limit.
func drawPayment(rt *rapid.T, n *testNet, m *model) *types.Tx {
	from, to := rapid.IntRange(0, 5).Draw(rt, "from"), rapid.IntRange(0, 5).Draw(rt, "to")
	amount := rapid.OneOf(rapid.Uint64Range(1, 3000), rapid.Uint64Range(1, 25_000), rapid.Just(uint64(testReserve)),
		rapid.Just(uint64(types.MaxSupply))).Draw(rt, "amount")
	next := m.next[address(person(from))] + rapid.SampledFrom([]uint64{0, 0, 0, 0, 1, 2}).Draw(rt, "ahead")
	paid := types.Drops(rapid.SampledFrom([]uint64{9, 10, 10, 10, 100, 2000}).Draw(rt, "fee"))
	until := n.height + types.Height(rapid.SampledFrom([]uint64{0, 1, 50, 50, 50, 100, 101}).Draw(rt, "expiry"))
	return n.pay(person(from), person(to), types.Drops(amount), sequence(next), fee(paid), expiry(until))
}

func compare(rt *rapid.T, m *model, n *testNet, got Totals) {
	supply := new(big.Int)
	for a, balance := range m.balance {
		account, err := ReadAccount(n.state, a)
		require.NoError(rt, err)
		require.Zero(rt, balance.Cmp(drops(account.Balance)))
		require.Equal(rt, m.next[a], account.Sequence)
		supply.Add(supply, balance)
	}
	require.Len(rt, n.state, len(m.balance)+2)
	require.Zero(rt, m.burned.Cmp(drops(got.Burned)))
	require.Zero(rt, supply.Cmp(drops(got.Supply)))
}

func TestExecutionIsDeterministic(t *testing.T) {
	funds := map[string]types.Drops{}
	for i := range 40 {
		funds[person(i)] = 100_000
	}
	n := newNet(t, funds)
	var txs []*types.Tx
	for i := range 400 {
		txs = append(txs, n.pay(person(i%40), person((i*7+3)%60), types.Drops(900+i), sequence(uint64(i/40))))
	}
	first, err := n.ledger.Execute(Block{Height: 1, Txs: txs}, n.state)
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(first.Changes, func(a, b state.Change) int { return slices.Compare(a.Key, b.Key) }))
	for range 20 { // map order differs from run to run
		again, err := n.ledger.Execute(Block{Height: 1, Txs: txs}, maps.Clone(n.state))
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
}
