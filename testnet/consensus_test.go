package testnet

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/exec"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
)

// disk0 opens the stopped node0 of a network.
func disk0(t *testing.T, l *Layout) (*state.State, *store.Store) {
	db, err := state.OpenDB(filepath.Join(l.Home(0), "chain"), state.DBOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	chain := l.Genesis.ChainID()
	s, err := state.Open(db, state.Options{Chain: chain[:], History: 1000})
	require.NoError(t, err)
	return s, store.New(s)
}

func TestValidatorThatContradictsItselfIsSlashedAndJailed(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	shape := DefaultShape(5) // without the liar four are left, the least that a set may have
	shape.EpochBlocks = 10   // so that several pass
	_, err := Up(t.Context(), Options{Shape: shape, Dir: dir, Liars: 1, Load: 20, For: 10 * time.Second, JSON: true, Out: &out, Remarks: io.Discard, Version: "test"})
	require.NoError(t, err, out.String()) // the audit counts the coins
	l, err := Prepare(dir, shape)
	require.NoError(t, err)
	s, _ := disk0(t, l)
	operator, err := types.ParseAddress(l.Genesis.Validators[4].Operator, l.Genesis.AddressPrefix)
	require.NoError(t, err)
	stake, err := ledger.ReadStake(s.Latest(), operator)
	require.NoError(t, err)
	require.True(t, stake.Jailed)
	require.Less(t, stake.Bond, l.Genesis.Validators[4].Bond)
	for _, v := range l.Genesis.Validators[:4] {
		honest, err := types.ParseAddress(v.Operator, l.Genesis.AddressPrefix)
		require.NoError(t, err)
		stake, err := ledger.ReadStake(s.Latest(), honest)
		require.NoError(t, err)
		require.False(t, stake.Jailed, v.Name)
		require.Equal(t, v.Bond, stake.Bond, v.Name)
	}
	set, err := ledger.SetOf(s.Latest(), l.Genesis.Params.EpochOf(types.Height(s.Version()))+1)
	require.NoError(t, err)
	require.Equal(t, 4, set.Len(), "it does not validate any more")
}

func TestLanesCarryALoadAndLoseNothing(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	shape := DefaultShape(4)
	summary, err := Up(t.Context(), Options{Shape: shape, Dir: dir, Load: 2500, For: 5 * time.Second, JSON: true, Out: &out, Remarks: io.Discard, Version: "test"})
	require.NoError(t, err, out.String())
	l, err := Prepare(dir, shape)
	require.NoError(t, err)
	_, blocks := disk0(t, l)
	cuts, batched := 0, 0
	for h := uint64(1); h <= uint64(summary.Height); h++ {
		d, err := exec.Read(h, blocks)
		require.NoError(t, err)
		cuts += len(d.Block.Cut)
		batches, err := blocks.BatchesOf(h)
		require.NoError(t, err)
		batched += len(batches)
	}
	require.Positive(t, cuts)
	require.GreaterOrEqual(t, batched, cuts)
}

func TestTrustedListsDecideWithoutLeaders(t *testing.T) {
	var out bytes.Buffer
	shape := DefaultShape(4)
	shape.Engine = types.EngineRPCA
	summary, err := Up(t.Context(), Options{Shape: shape, Dir: t.TempDir(), Load: 50, For: 4 * time.Second, JSON: true, Out: &out, Remarks: io.Discard, Version: "test"})
	require.NoError(t, err, out.String())
	require.Positive(t, summary.Decided)
	require.Zero(t, summary.Missing)
}
