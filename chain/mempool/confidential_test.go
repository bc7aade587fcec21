package mempool

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bulletproof"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// spends is a transaction with key images and a fee, which proves nothing: the pool does not look.
func spends(tb testing.TB, paid types.Drops, images ...uint64) *types.Tx {
	body := &types.Transfer{Version: types.Confidential1, Inputs: []types.ConfidentialInput{}}
	for _, n := range images {
		body.Inputs = append(body.Inputs, types.ConfidentialInput{
			Ring: []uint64{1, 2}, Image: image(n), Pseudo: curve.Generator, Signature: make([]byte, ring.SizeOf(2)),
		})
	}
	slices.SortFunc(body.Inputs, func(a, b types.ConfidentialInput) int {
		x, y := a.Image.Bytes(), b.Image.Bytes()
		return slices.Compare(x[:], y[:])
	})
	for range types.MinOutputs {
		body.Outputs = append(body.Outputs, types.ConfidentialOutput{
			Ephemeral: curve.Generator, Key: curve.Generator, Commitment: curve.Generator,
			Sealed: make([]byte, stealth.SealedSize), Proof: make([]byte, bulletproof.Size),
		})
	}
	tx, err := types.NewAnonymousTx(types.Header{Chain: testGenesis.ChainID(), Fee: paid, Expiry: 9}, body)
	require.NoError(tb, err)
	return tx
}

func image(n uint64) curve.Point { return curve.BaseMulVarTime(curve.ScalarOf(n + 1)) }

// anonymousPool is a pool over a state in which some outputs are spent.
func anonymousPool(spent map[curve.Point]bool) *Pool {
	return NewPool(Config{}, ledger.New(testGenesis), func(tx *types.Tx) (ledger.Account, error) {
		return ledger.AccountOf(imageState(spent), tx)
	})
}

type imageState map[curve.Point]bool

func (s imageState) Get(key []byte) ([]byte, error) {
	for p := range s {
		if string(types.ImageKey(p)) == string(key) {
			return []byte{1}, nil
		}
	}
	return nil, nil
}

func TestOfThoseThatSpendOneOutputTheBestPayingWaits(t *testing.T) {
	p := anonymousPool(nil)
	now := time.Unix(1, 0)
	first := spends(t, 10_000, 1, 2)
	require.NoError(t, p.Add(now, first))
	require.ErrorIs(t, p.Add(now, first), ErrKnown)
	require.ErrorIs(t, p.Add(now, spends(t, 10_999, 2)), ErrReplaceFee, "a tenth more it must pay")
	require.ErrorIs(t, p.Add(now, spends(t, 9_000, 1, 2)), ErrReplaceFee)
	require.ErrorIs(t, p.Add(now, spends(t, 9_000, 1, 3)), ErrReplaceFee)
	_, waits := p.Get(first.ID())
	require.True(t, waits, "a refusal changes nothing")

	other := spends(t, 20_000, 3)
	require.NoError(t, p.Add(now, other))
	require.ErrorIs(t, p.Add(now, spends(t, 15_000, 2, 3)), ErrReplaceFee, "it must outbid both")
	both := spends(t, 22_000, 2, 3)
	require.NoError(t, p.Add(now, both))
	require.Equal(t, 1, p.Stats().Txs)
	require.Equal(t, []*types.Tx{both}, p.Select(1<<20, 10, none))
	require.NoError(t, p.Add(now, spends(t, 10_000, 1)), "what it spends is free again")
	p.Remove(both.ID())
	require.NoError(t, p.Add(now, spends(t, 10_000, 2)))
}

func TestWhatIsSpentLeavesThePool(t *testing.T) {
	spent := map[curve.Point]bool{}
	p := anonymousPool(spent)
	now := time.Unix(1, 0)
	one, two := spends(t, 10_000, 1, 2), spends(t, 10_000, 3)
	require.NoError(t, p.Add(now, one))
	require.NoError(t, p.Add(now, two))
	spent[image(2)] = true
	p.Executed(1, nil, []curve.Point{image(2)})
	require.Equal(t, []*types.Tx{two}, p.Select(1<<20, 10, none))
	require.ErrorIs(t, p.Add(now, one), ledger.ErrImageSpent)
	require.ErrorIs(t, p.Add(now, spends(t, 1, 4)), ledger.ErrFeeTooLow)
}

func TestBlocksHoldNoMoreProofsThanCanBeVerifiedInTime(t *testing.T) {
	p := anonymousPool(nil)
	work := types.ProofWork(spends(t, 10_000, 0).Body)
	require.Equal(t, 2+10*types.MinOutputs, work)
	most := types.MaxProofWork / work
	var raws [][]byte
	for n := range uint64(most + 5) {
		tx := spends(t, 10_000, n)
		require.NoError(t, p.Add(time.Unix(1, 0), tx))
		raws = append(raws, tx.Raw())
	}
	require.Len(t, p.Select(64<<20, 10_000, none), most)
	_, err := newDesk(t, t.TempDir(), rich{}).VerifyBlock(t.Context(), raws)
	require.ErrorIs(t, err, errProofWork)
}

func TestRelayersOfProofsThatDoNotHoldAreBlamed(t *testing.T) {
	d := newDesk(t, t.TempDir(), rich{})
	fresh, bad := d.Gossiped(t.Context(), [][]byte{spends(t, 10_000, 1).Raw()})
	require.False(t, fresh)
	require.True(t, bad)
	_, err := d.VerifyBlock(t.Context(), [][]byte{spends(t, 10_000, 2).Raw()})
	require.ErrorIs(t, err, ledger.ErrProof)
}
