package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestCheckRefusesWhatExecuteWouldNotApply(t *testing.T) {
	sender := Account{Balance: 5000, Sequence: 3}
	const tip = 20
	for _, c := range []struct {
		name   string
		change func(*types.Header)
		want   error
	}{
		{"good", mutate(func(*types.Header) {}), nil},
		{"future sequence", sequence(9), nil},
		{"wrong chain", mutate(func(h *types.Header) { h.Chain = hash.Hash{9} }), ErrWrongChain},
		{"expired", expiry(tip), ErrExpired},
		{"expires in the next block", expiry(tip + 1), nil},
		{"furthest", expiry(tip + testExpiry), nil},
		{"too far", expiry(tip + testExpiry + 1), ErrExpiryTooFar},
		{"no fee", fee(0), ErrFeeTooLow},
		{"past", sequence(2), ErrSequencePast},
		{"poor", fee(5001), ErrCannotPayFee},
		{"poor in the future", mutate(func(h *types.Header) { h.Sequence, h.Fee = 9, 5001 }), ErrCannotPayFee},
	} {
		n := newNet(t, map[string]types.Drops{"alice": 5000})
		n.height = tip
		tx := n.pay("alice", "bob", 5, sequence(3), c.change)
		err := n.ledger.Check(tx, sender, tip)
		require.ErrorIs(t, err, c.want, c.name)
		if c.want == nil {
			require.NoError(t, err, c.name)
		}

		n.state[string(types.AccountKey(address("alice")))] = sender.Encode()
		r, err := n.ledger.Execute(Block{Height: tip + 1, Txs: []*types.Tx{tx}}, n.state)
		require.NoError(t, err)
		require.Equal(t, c.want == nil && tx.Sequence == sender.Sequence, r.Receipts[0].Code.Final(), c.name)
	}
}

func TestEveryRefusalHasAnError(t *testing.T) {
	for _, code := range Codes() {
		if !code.Final() && code != FeeInvariantBroken {
			require.Error(t, refusals[code], code)
		}
	}
}

// What the pool reckons with must never be more than what the ledger leaves.
func TestLeftIsWhatExecutingLeaves(t *testing.T) {
	for _, balance := range []types.Drops{0, 9, 10, 500, 1500, 3000, 10_000} {
		for _, amount := range []types.Drops{1, 500, 501, 1490, 9000, types.MaxSupply} {
			for _, paid := range []types.Drops{10, 2000} {
				n := newNet(t, map[string]types.Drops{"alice": balance, "bob": 5000})
				tx := n.pay("alice", "bob", amount, fee(paid))
				left, ok := n.ledger.Left(tx, balance)
				r := n.run(tx)
				require.Equal(t, ok, r.Receipts[0].Code.Final())
				require.Equal(t, left, n.balance("alice"))
			}
		}
	}
}
