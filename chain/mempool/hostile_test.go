package mempool

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
)

// What follows is what somebody would do who wants others' payments to wait and
// does not want to pay for it.

// long is a payment with a long memo.
func long(t require.TestingT, payer byte, seq uint64, fee types.Drops) *types.Tx {
	tx, err := types.SignTx(types.Header{
		Chain: testGenesis.ChainID(), Key: []byte{1, payer}, Sequence: seq, Fee: fee, Expiry: 1000, Memo: make([]byte, 200),
	}, &types.Payment{Amount: 1}, stamp{})
	require.NoError(t, err)
	return tx
}

func paying(t require.TestingT, payer byte, seq uint64, fee, amount types.Drops) *types.Tx {
	tx, err := types.SignTx(types.Header{
		Chain: testGenesis.ChainID(), Key: []byte{1, payer}, Sequence: seq, Fee: fee, Expiry: 1000,
	}, &types.Payment{Amount: amount}, stamp{})
	require.NoError(t, err)
	return tx
}

// fullPool has room for two short transactions and holds them: a cheap one of
// payer 1 and an expensive one of payer 2.
func fullPool(t *testing.T) (p *Pool, cheap, dear *types.Tx) {
	cheap, dear = payment(t, 1, 0, 100), payment(t, 2, 0, 9000)
	p = poolOn(Config{MaxBytes: int64(len(cheap.Raw()) + len(dear.Raw()))}, nil)
	require.NoError(t, p.Add(now, cheap))
	require.NoError(t, p.Add(now, dear))
	return p, cheap, dear
}

func TestRefusedReplacementLeavesTheOldOne(t *testing.T) {
	p, cheap, dear := fullPool(t)
	require.ErrorIs(t, p.Add(now, long(t, 1, 0, 110)), ErrFull)
	require.Equal(t, ids([]*types.Tx{dear, cheap}), ids(p.Select(1<<20, 10, none)))
}

func TestRefusedNewcomerEvictsNobody(t *testing.T) {
	p, cheap, dear := fullPool(t)
	require.ErrorIs(t, p.Add(now, long(t, 3, 0, 1000)), ErrFull, "it would have to evict both, and outbids one")
	require.Equal(t, ids([]*types.Tx{dear, cheap}), ids(p.Select(1<<20, 10, none)))
}

func TestFeesThatWaitNeverExceedTheBalance(t *testing.T) {
	p := poolOn(Config{}, nil)
	require.NoError(t, p.Add(now, payment(t, 1, 0, 600_000)))
	require.ErrorIs(t, p.Add(now, payment(t, 1, 1, 400_001)), ledger.ErrCannotPayFee)
	require.NoError(t, p.Add(now, payment(t, 1, 1, 400_000)))
	require.NoError(t, p.Add(now, payment(t, 2, 0, 500_000)))
	require.NoError(t, p.Add(now, payment(t, 2, 0, 1_000_000)), "a replacement counts once")
}

func TestWhatWaitsBehindAGapIsEvictedFirst(t *testing.T) {
	p := poolOn(Config{MaxTxs: 3}, nil)
	honest := payment(t, 2, 0, 10)
	gapped := payment(t, 1, 1, 300_000)
	for _, tx := range []*types.Tx{honest, gapped, payment(t, 1, 2, 300_000)} {
		require.NoError(t, p.Add(now, tx))
	}
	require.ErrorIs(t, p.Add(now, payment(t, 3, 5, 200_000)), ErrFull, "what cannot run evicts only what cannot run and pays less")
	require.NoError(t, p.Add(now, payment(t, 3, 0, 10)))
	require.NoError(t, p.Add(now, payment(t, 4, 0, 10)))
	require.Equal(t, 3, p.Stats().Txs)
	_, kept := p.Get(honest.ID())
	require.True(t, kept)
	_, kept = p.Get(gapped.ID())
	require.False(t, kept)
}

// Without looking at amounts, the first payment takes away what the second
// declares as its fee, and the rest fill a block that nobody pays for.
func TestSpentBalancesFillNoBlock(t *testing.T) {
	p := NewPool(Config{}, ledger.New(testGenesis), func(*types.Tx) (ledger.Account, error) {
		return ledger.Account{Balance: 2 * types.DropsPerCoin}, nil
	})
	first := paying(t, 1, 0, 10, types.DropsPerCoin-10)
	require.NoError(t, p.Add(now, first))
	require.NoError(t, p.Add(now, payment(t, 1, 1, 1_500_000)))
	for seq := range uint64(100) {
		require.NoError(t, p.Add(now, payment(t, 1, 2+seq, 1000)))
	}
	require.Equal(t, ids([]*types.Tx{first}), ids(p.Select(1<<20, 4096, none)))
	p.Executed(1, map[types.Address]ledger.Account{first.Sender(): {Balance: types.DropsPerCoin, Sequence: 1}}, nil)
	require.Empty(t, p.Select(1<<20, 4096, none), "the next fee is more than is left")
	for _, q := range p.queue {
		require.LessOrEqual(t, q.fees, q.balance)
	}
}

func TestFirstComeFirstServedAmongEquals(t *testing.T) {
	p := poolOn(Config{}, nil)
	var want []*types.Tx
	for _, payer := range []byte{9, 2, 7, 4, 5} {
		tx := payment(t, payer, 0, 10)
		want = append(want, tx)
		require.NoError(t, p.Add(now, tx))
	}
	require.Equal(t, ids(want), ids(p.Select(1<<20, 10, none)))
}
