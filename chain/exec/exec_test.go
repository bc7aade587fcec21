package exec

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

type stamp struct{}

func (stamp) Sign(m []byte) ([]byte, error) { return m[:8], nil }

var key = []byte{1, 2}

func testGenesis() *types.Genesis {
	return &types.Genesis{
		Network: "exec", AddressPrefix: "tstar", Params: types.DefaultParams(),
		Accounts: []types.GenesisAccount{{Address: types.AddressOf(key).Format("tstar"), Balance: 100 * types.DropsPerCoin}},
	}
}

// site is an executor on a disk.
type site struct {
	t        *testing.T
	genesis  *types.Genesis
	db       *state.DB
	state    *state.State
	store    *store.Store
	exec     *Executor
	tip      *types.Block
	executed chan Executed
	refuse   error // of the listener
}

func openSite(t *testing.T, dir string, keep uint64) *site {
	s := &site{t: t, genesis: testGenesis(), executed: make(chan Executed, 64)}
	var err error
	s.db, err = state.OpenDB(dir, state.DBOptions{})
	require.NoError(t, err)
	s.state, err = state.Open(s.db, state.Options{Chain: []byte("exec")})
	require.NoError(t, err)
	s.store = store.New(s.state)
	l := ledger.New(s.genesis)
	tip, err := Begin(s.genesis, l, s.state, s.store)
	require.NoError(t, err)
	s.tip = tip.Block
	decode := func(b *types.Block) (txs []*types.Tx, err error) {
		for _, raw := range b.Txs {
			tx, err := types.DecodeTx(raw)
			if err != nil {
				return nil, err
			}
			txs = append(txs, tx)
		}
		return txs, nil
	}
	s.exec = New(l, s.state, s.store, proofs(s.t), keep, func() error { return nil }, nil, decode, func(x Executed) error {
		s.executed <- x
		return s.refuse
	})
	return s
}

func (s *site) pay(seq uint64) []byte {
	tx, err := types.SignTx(types.Header{Chain: s.genesis.ChainID(), Key: key, Sequence: seq, Fee: 10, Expiry: 50},
		&types.Payment{To: types.AddressOf([]byte{9}), Amount: types.DropsPerCoin}, stamp{})
	require.NoError(s.t, err)
	return tx.Raw()
}

// next decides one more block.
func (s *site) next(txs ...[]byte) consensus.Decision {
	h := types.BlockHeader{
		Chain: s.genesis.ChainID(), Height: s.tip.Height + 1, View: s.tip.View + 1, Time: s.tip.Time + 1,
		Justify: types.QC{View: s.tip.View, Block: s.tip.Hash(), Signers: []byte{}, Signature: []byte{}},
	}
	b, err := types.NewBlock(h, txs, func(hash.Hash) ([]byte, error) { return []byte{1}, nil })
	require.NoError(s.t, err)
	s.tip = b
	return consensus.Decision{
		Block: b, Cert: types.QC{View: b.View, Block: b.Hash(), Signers: []byte{7}, Signature: []byte{1}},
		Passage: consensus.Passage{Prepare: time.UnixMicro(5), Decide: time.UnixMicro(9)},
	}
}

// run executes what was decided and stops.
func (s *site) run(count int) (out []Executed) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.exec.Run(ctx) }()
	for range count {
		out = append(out, <-s.executed)
	}
	cancel()
	require.NoError(s.t, <-done)
	return out
}

func TestDecidedBlocksAreExecutedInOrderAndSurvive(t *testing.T) {
	dir := t.TempDir()
	s := openSite(t, dir, 0)
	first, second := s.next(s.pay(0)), s.next(s.pay(0), s.pay(1))
	s.exec.Decided(first)
	s.exec.Decided(second)
	require.Len(t, s.exec.Pending(), 2)
	out := s.run(2)
	require.Empty(t, s.exec.Pending())
	require.Equal(t, ledger.Applied, out[0].Result.Receipts[0].Code)
	require.Equal(t, ledger.SequencePast, out[1].Result.Receipts[0].Code, "the same transaction again does nothing")
	require.Equal(t, ledger.Applied, out[1].Result.Receipts[1].Code)
	require.Equal(t, s.state.Root(), out[1].Root)
	require.NoError(t, s.db.Close())

	again := openSite(t, dir, 0)
	defer again.db.Close()
	require.Equal(t, second.Block.Hash(), again.tip.Hash())
	d, err := Read(1, again.store)
	require.NoError(t, err)
	require.Equal(t, first.Block.Raw(), d.Block.Raw())
	require.Equal(t, first.Cert, d.Cert)
	require.Equal(t, first.Passage, d.Passage)
	tx, err := types.DecodeTx(s.pay(0))
	require.NoError(t, err)
	height, index, err := again.store.TxLocation(tx.ID())
	require.NoError(t, err)
	require.Equal(t, []any{uint64(1), uint32(0)}, []any{height, index}, "found where it was applied")
	again.exec.Decided(again.next(again.pay(2)))
	again.run(1)
}

func TestBlockOutOfOrderStopsTheExecutor(t *testing.T) {
	s := openSite(t, t.TempDir(), 0)
	defer s.db.Close()
	s.next()
	s.exec.Decided(s.next())
	require.ErrorIs(t, s.exec.Run(t.Context()), ErrOutOfOrder)
}

func TestListenerAndFullDiskStopTheExecutor(t *testing.T) {
	s := openSite(t, t.TempDir(), 0)
	defer s.db.Close()
	s.refuse = consensus.ErrDiverged
	s.exec.Decided(s.next())
	require.ErrorIs(t, s.exec.Run(t.Context()), consensus.ErrDiverged)

	full := errors.New("full")
	s.exec.space = func() error { return full }
	before := s.state.Version()
	s.exec.Decided(s.next())
	require.ErrorIs(t, s.exec.Run(t.Context()), full)
	require.Equal(t, before, s.state.Version(), "nothing was begun")
}

func TestOldBlocksAreDroppedIfAskedFor(t *testing.T) {
	s := openSite(t, t.TempDir(), 2)
	defer s.db.Close()
	for range 5 {
		s.exec.Decided(s.next())
	}
	s.run(5)
	_, err := Read(3, s.store)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = Read(4, s.store)
	require.NoError(t, err)
}

func proofs(tb testing.TB) *confidential.Verifier {
	v, err := confidential.NewVerifier()
	require.NoError(tb, err)
	return v
}
