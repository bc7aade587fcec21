package exec

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// opaque makes an executor that takes transactions for empty blocks.
func opaque(s *site) *Executor {
	none := func(*types.Block) ([]*types.Tx, error) { return nil, nil }
	return New(ledger.New(s.genesis), s.state, s.store, proofs(s.t), 0, func() error { return nil }, nil, none, func(x Executed) error {
		s.executed <- x
		return nil
	})
}

func TestFlippedBitInAStoredBlockIsAnError(t *testing.T) {
	body := bytes.Repeat([]byte("starling"), 8<<10) // 64 KiB: blocks of this size are in the value log
	for _, at := range []int{0, len(body) / 2, len(body) - 1} {
		dir := t.TempDir()
		s := openSite(t, dir, 0)
		s.exec = opaque(s)
		s.exec.Decided(s.next(body))
		s.exec.Decided(s.next())
		s.run(2)
		require.NoError(t, s.db.Close())
		flip(t, dir, body, at)

		s = openSite(t, dir, 0)
		_, err := Read(1, s.store)
		require.ErrorIs(t, err, state.ErrCorrupt)
		_, err = Read(2, s.store)
		require.NoError(t, err, "the others are well")
		require.NoError(t, s.db.Close())
	}
}

// flip flips a bit of what is found in the files of a database.
func flip(t *testing.T, dir string, what []byte, at int) {
	files, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	require.NoError(t, err)
	for _, path := range files {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		if i := bytes.Index(data, what); i >= 0 {
			data[i+at] ^= 4
			require.NoError(t, os.WriteFile(path, data, 0o600))
			return
		}
	}
	require.FailNow(t, "the block is in no file")
}

func TestRecordsThatAreNoBlocksAreErrors(t *testing.T) {
	s := openSite(t, t.TempDir(), 0)
	defer s.db.Close()
	d := s.next()
	good := entry(d, ledger.Result{})
	cert := canon.MustMarshal(finality(d))
	for name, c := range map[string]struct{ block, cert []byte }{
		"no block":              {[]byte("rubbish"), cert},
		"empty block":           {[]byte{}, cert},
		"block cut short":       {good.Block[:len(good.Block)-1], cert},
		"no certificate":        {good.Block, []byte("rubbish")},
		"certificate cut short": {good.Block, cert[:len(cert)-1]},
		"certificate too long":  {good.Block, append(bytes.Clone(cert), 0)},
	} {
		e := good
		e.Height, e.Block, e.Cert = s.state.Version()+1, c.block, c.cert
		_, err := s.state.Commit(e.Height, nil, s.store.Stage(e))
		require.NoError(t, err)
		_, err = Read(e.Height, s.store)
		require.Error(t, err, name)
		_, err = Begin(s.genesis, ledger.New(s.genesis), s.state, s.store)
		require.Error(t, err, "%s: a node does not start from it", name)
	}
	_, err := Read(1000, s.store)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestGenesisIsCommittedOnce(t *testing.T) {
	dir := t.TempDir()
	s := openSite(t, dir, 0)
	root := s.state.Root()
	require.Equal(t, s.genesis.ChainID(), s.tip.Hash())
	require.NoError(t, s.db.Close())

	s = openSite(t, dir, 0)
	defer s.db.Close()
	require.Equal(t, root, s.state.Root())
	tip, err := Begin(s.genesis, ledger.New(s.genesis), s.state, s.store)
	require.NoError(t, err)
	require.Equal(t, s.genesis.ChainID(), tip.Block.Hash())
	require.Equal(t, types.GenesisQC(tip.Block.Hash()), tip.Cert)
	require.Equal(t, s.state.Version(), uint64(0))
}

func TestBlockWhoseListenerFailedIsNotExecutedAgain(t *testing.T) {
	dir := t.TempDir()
	s := openSite(t, dir, 0)
	s.refuse = errors.New("no")
	d := s.next(s.pay(0))
	s.exec.Decided(d)
	s.exec.Decided(s.next(s.pay(1)))
	require.ErrorIs(t, s.exec.Run(t.Context()), s.refuse)
	require.NoError(t, s.db.Close())

	s = openSite(t, dir, 0)
	defer s.db.Close()
	require.Equal(t, d.Block.Hash(), s.tip.Hash(), "it was committed")
	s.exec.Decided(d)
	require.ErrorIs(t, s.exec.Run(t.Context()), ErrOutOfOrder)
}

func TestTransactionsThatCannotBeDecodedStopTheExecutor(t *testing.T) {
	s := openSite(t, t.TempDir(), 0)
	defer s.db.Close()
	s.exec.Decided(s.next([]byte("rubbish")))
	require.ErrorIs(t, s.exec.Run(t.Context()), types.ErrTx)
	require.Zero(t, s.state.Version())
}

func TestStoppedExecutorLeavesTheRestForLater(t *testing.T) {
	s := openSite(t, t.TempDir(), 0)
	defer s.db.Close()
	s.exec.Decided(s.next())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.exec.Run(ctx))
	require.Len(t, s.exec.Pending(), 1)
	require.Zero(t, s.state.Version())
	s.run(1)
}

func TestBlockCountsAsPendingUntilTheListenerHasFollowed(t *testing.T) {
	s := openSite(t, t.TempDir(), 0)
	defer s.db.Close()
	var seen []types.Height
	s.exec.listener = func(x Executed) error {
		for _, b := range s.exec.Pending() {
			seen = append(seen, b.Height)
		}
		s.executed <- x
		return nil
	}
	s.exec.Decided(s.next())
	s.exec.Decided(s.next())
	s.run(2)
	require.Equal(t, []types.Height{1, 2, 2}, seen)
}

// sign makes a payment that differs from those of [site.pay].
func (s *site) sign(seq uint64, to types.Address) *types.Tx {
	tx, err := types.SignTx(types.Header{Chain: s.genesis.ChainID(), Key: key, Sequence: seq, Fee: 10, Expiry: 50},
		&types.Payment{To: to, Amount: types.DropsPerCoin}, stamp{})
	require.NoError(s.t, err)
	return tx
}

func TestOnlyWhatUsedUpItsSequenceNumberIsIndexed(t *testing.T) {
	s := openSite(t, t.TempDir(), 0)
	defer s.db.Close()
	future, selfish, past := s.sign(7, types.Address{1}), s.sign(0, types.AddressOf(key)), s.sign(0, types.Address{2})
	s.exec.Decided(s.next(future.Raw(), selfish.Raw(), past.Raw(), selfish.Raw()))
	out := s.run(1)
	var codes []ledger.Code
	for _, r := range out[0].Result.Receipts {
		codes = append(codes, r.Code)
	}
	require.Equal(t, []ledger.Code{ledger.SequenceFuture, ledger.SelfPayment, ledger.SequencePast, ledger.SequencePast}, codes)
	height, index, err := s.store.TxLocation(selfish.ID())
	require.NoError(t, err)
	require.Equal(t, []any{uint64(1), uint32(1)}, []any{height, index})
	for _, tx := range []*types.Tx{future, past} {
		_, _, err := s.store.TxLocation(tx.ID())
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	raw, err := s.store.Receipts(1)
	require.NoError(t, err)
	receipts, err := ledger.DecodeReceipts(raw)
	require.NoError(t, err)
	require.Equal(t, out[0].Result.Receipts, receipts)
}

func TestDroppedBlocksLeaveTheirTransactionsInTheIndex(t *testing.T) {
	s := openSite(t, t.TempDir(), 1)
	defer s.db.Close()
	tx := s.sign(0, types.Address{1})
	s.exec.Decided(s.next(tx.Raw()))
	s.exec.Decided(s.next(tx.Raw()))
	s.exec.Decided(s.next())
	out := s.run(3)
	require.Equal(t, ledger.SequencePast, out[1].Result.Receipts[0].Code)
	_, err := s.store.Receipts(1)
	require.ErrorIs(t, err, store.ErrNotFound)
	height, _, err := s.store.TxLocation(tx.ID())
	require.NoError(t, err)
	require.Equal(t, uint64(1), height)
}

// Two nodes that execute the same blocks in batches of their own end alike.
func TestStateDoesNotDependOnHowBlocksArrive(t *testing.T) {
	blocks := func(s *site) (out []consensus.Decision) {
		for i := range uint64(4) {
			out = append(out, s.next(s.pay(i)))
		}
		return out
	}
	var roots [2][]hash.Hash
	for i := range roots {
		s := openSite(t, t.TempDir(), 0)
		defer s.db.Close()
		ds := blocks(s)
		for _, d := range ds {
			s.exec.Decided(d)
			if i == 0 {
				roots[i] = append(roots[i], s.run(1)[0].Root)
			}
		}
		if i == 1 {
			for _, x := range s.run(4) {
				roots[i] = append(roots[i], x.Root)
			}
		}
	}
	require.Equal(t, roots[0], roots[1])
}
