package mempool

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
)

var testGenesis = &types.Genesis{Network: "test", AddressPrefix: "tstar", Params: types.DefaultParams()}

// stamp is no signature: the pool is given transactions that were verified.
type stamp struct{}

func (stamp) Sign(m []byte) ([]byte, error) { return m[:8], nil }

func payment(t require.TestingT, payer byte, seq uint64, fee types.Drops) *types.Tx {
	tx, err := types.SignTx(types.Header{
		Chain: testGenesis.ChainID(), Key: []byte{1, payer}, Sequence: seq, Fee: fee, Expiry: 1000,
	}, &types.Payment{Amount: 1}, stamp{})
	require.NoError(t, err)
	return tx
}

// poolOn makes a pool over accounts that all have the same balance.
func poolOn(cfg Config, sequences map[types.Address]uint64) *Pool {
	return NewPool(cfg, ledger.New(testGenesis), func(tx *types.Tx) (ledger.Account, error) {
		a := tx.Sender()
		return ledger.Account{Balance: 1_000_000, Sequence: sequences[a]}, nil
	})
}

func none(*types.Tx, time.Time) Choice { return Take }

// skipping passes over what is in blocks already.
func skipping(taken func(hash.Hash) bool) func(*types.Tx, time.Time) Choice {
	return func(tx *types.Tx, _ time.Time) Choice {
		if taken(tx.ID()) {
			return Taken
		}
		return Take
	}
}

func ids(txs []*types.Tx) (out []hash.Hash) {
	for _, tx := range txs {
		out = append(out, tx.ID())
	}
	return out
}

var now = time.UnixMilli(1_000_000)

func TestBestPayingFirstButEachSenderInOrder(t *testing.T) {
	p := poolOn(Config{}, nil)
	a0, a1, b0, c1 := payment(t, 1, 0, 20), payment(t, 1, 1, 900), payment(t, 2, 0, 100), payment(t, 3, 1, 5000)
	for _, tx := range []*types.Tx{a1, a0, b0, c1} {
		require.NoError(t, p.Add(now, tx))
	}
	require.Equal(t, ids([]*types.Tx{b0, a0, a1}), ids(p.Select(1<<20, 10, none)), "c's first is missing")
	require.Equal(t, ids([]*types.Tx{b0, a0}), ids(p.Select(1<<20, 2, none)))
	taken := func(id hash.Hash) bool { return id == a0.ID() }
	require.Equal(t, ids([]*types.Tx{b0, a1}), ids(p.Select(1<<20, 10, skipping(taken))), "a0 is in a block that is not executed yet: its turn is a1's")
	require.Len(t, p.Select(len(b0.Raw()), 10, none), 1)
}

func TestRefusals(t *testing.T) {
	sequences := map[types.Address]uint64{payment(t, 9, 0, 10).Sender(): 5}
	p := poolOn(Config{PerSender: 4}, sequences)
	first := payment(t, 1, 0, 100)
	require.NoError(t, p.Add(now, first))
	p.tip = 10
	for name, c := range map[string]struct {
		tx   *types.Tx
		want error
	}{
		"known":                {first, ErrKnown},
		"replacement too low":  {payment(t, 1, 0, 109), ErrReplaceFee},
		"gap too wide":         {payment(t, 1, 4, 100), ErrSequenceGap},
		"used sequence":        {payment(t, 9, 4, 100), ledger.ErrSequencePast},
		"fee below the least":  {payment(t, 2, 0, 9), ledger.ErrFeeTooLow},
		"fee above the wealth": {payment(t, 2, 0, 2_000_000), ledger.ErrCannotPayFee},
	} {
		require.ErrorIs(t, p.Add(now, c.tx), c.want, name)
	}
	better := payment(t, 1, 0, 110)
	require.NoError(t, p.Add(now, better))
	require.Equal(t, ids([]*types.Tx{better}), ids(p.Select(1<<20, 10, none)))
}

func TestFullPoolEvictsTheCheapestTailOnly(t *testing.T) {
	p := poolOn(Config{MaxTxs: 3}, nil)
	a0, a1, b0 := payment(t, 1, 0, 10), payment(t, 1, 1, 50), payment(t, 2, 0, 60)
	for _, tx := range []*types.Tx{a0, a1, b0} {
		require.NoError(t, p.Add(now, tx))
	}
	require.ErrorIs(t, p.Add(now, payment(t, 3, 0, 40)), ErrFull, "a0 pays less but is not a tail")
	c0 := payment(t, 3, 0, 55)
	require.NoError(t, p.Add(now, c0))
	require.Equal(t, ids([]*types.Tx{b0, c0, a0}), ids(p.Select(1<<20, 10, none)))
}

func TestTransactionsOfFormerSignersLeave(t *testing.T) {
	p := poolOn(Config{}, nil)
	a0, a1, a2, b0 := payment(t, 1, 0, 10), payment(t, 1, 1, 10), payment(t, 1, 2, 10), payment(t, 2, 0, 10)
	for _, tx := range []*types.Tx{a0, a1, a2, b0} {
		require.NoError(t, p.Add(now, tx))
	}
	p.Executed(1, map[types.Address]ledger.Account{a0.Sender(): {Balance: 1_000_000, Sequence: 1, Signer: types.Address{9}}}, nil)
	require.Equal(t, ids([]*types.Tx{b0}), ids(p.Select(1<<20, 10, none)))
	require.Equal(t, 1, p.Stats().Txs)
	require.Equal(t, uint64(1), p.NextSequence(a0.Sender(), 1))
}

// Whoever changes the signers of an account gets no room for what the former key signed behind it:
// it would have no effect, and pay nothing.
func TestNothingFollowsAChangeOfSigners(t *testing.T) {
	p := poolOn(Config{}, nil)
	key, err := keys.FromSeed(keys.Ed25519, make([]byte, 32))
	require.NoError(t, err)
	a0, a2 := payment(t, 1, 0, 10), payment(t, 1, 2, 10)
	h := a0.Header
	h.Sequence = 1
	change, err := types.SignTx(h, &types.SetSigners{Key: key.Public().Bytes()}, stamp{})
	require.NoError(t, err)
	for _, tx := range []*types.Tx{a0, change, a2} {
		require.NoError(t, p.Add(now, tx))
	}
	require.Equal(t, ids([]*types.Tx{a0, change}), ids(p.Select(1<<20, 10, none)))
	waits := map[hash.Hash]bool{a0.ID(): true, change.ID(): true}
	require.Empty(t, p.Select(1<<20, 10, skipping(func(id hash.Hash) bool { return waits[id] })), "nor while it waits in a block")
}

func TestOnlyWhoSignsForAnAccountGetsIntoItsQueue(t *testing.T) {
	p := poolOn(Config{}, nil)
	a0 := payment(t, 1, 0, 10)
	h := a0.Header
	h.Key, h.Account, h.Fee = []byte{1, 2}, a0.Sender(), 1000
	stranger, err := types.SignTx(h, a0.Body, stamp{})
	require.NoError(t, err)
	require.Equal(t, a0.Sender(), stranger.Sender())
	require.ErrorIs(t, p.Add(now, stranger), ledger.ErrNotSigner)
	require.NoError(t, p.Add(now, a0))
	require.ErrorIs(t, p.Add(now, stranger), ledger.ErrNotSigner, "no higher fee takes the place")
}

func TestExecutedAndExpiredLeave(t *testing.T) {
	p := poolOn(Config{TTL: time.Minute}, nil)
	a0, a1, b0 := payment(t, 1, 0, 10), payment(t, 1, 1, 10), payment(t, 2, 0, 10)
	for _, tx := range []*types.Tx{a0, a1, b0} {
		require.NoError(t, p.Add(now, tx))
	}
	require.Equal(t, uint64(2), p.NextSequence(a0.Sender(), 0))
	p.Executed(1, map[types.Address]ledger.Account{a0.Sender(): {Balance: 1_000_000, Sequence: 1}}, nil)
	require.Equal(t, 2, p.Stats().Txs)
	require.Empty(t, p.Expire(now.Add(time.Minute)))
	require.Len(t, p.Expire(now.Add(time.Minute+1)), 2)
	require.Equal(t, Stats{}, p.Stats())
	require.NoError(t, p.Add(now, b0))
	p.tip = 1000
	require.Len(t, p.Expire(now), 1, "its expiry height is reached")
}
