package confidential

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
)

// onDisk is the chain's state in a database, and the block that makes the next version of it.
type onDisk struct {
	*chain
	disk *state.State
}

func (c *chain) onDisk(t *testing.T) *onDisk {
	db, err := state.OpenDB(t.TempDir(), state.DBOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	disk, err := state.Open(db, state.Options{Chain: []byte("test")})
	require.NoError(t, err)
	var all []state.Change
	for _, key := range slices.Sorted(maps.Keys(c.state)) {
		all = append(all, state.Change{Key: []byte(key), Value: c.state[key]})
	}
	_, err = disk.Commit(uint64(c.height), all, nil)
	require.NoError(t, err)
	return &onDisk{c, disk}
}

func (d *onDisk) next(t *testing.T, txs ...*types.Tx) (codes []ledger.Code) {
	h := types.Height(d.disk.Version()) + 1
	bad, err := d.verifier.Verify(t.Context(), d.disk, txs, h)
	require.NoError(t, err)
	r, err := d.ledger.Execute(ledger.Block{Height: h, Txs: txs, Proven: func(tx *types.Tx) bool { return bad[tx.ID()] == nil }}, d.disk)
	require.NoError(t, err)
	_, err = d.disk.Commit(uint64(h), r.Changes, nil)
	require.NoError(t, err)
	for _, rec := range r.Receipts {
		codes = append(codes, rec.Code)
	}
	return codes
}

// Where blocks are taken back, what they spent may be spent again, otherwise; what they made is
// gone, and so are rings that name it, though all of it was verified before.
func TestARollbackGivesBackWhatWasSpent(t *testing.T) {
	c, anna, berta := mint(t)
	in := c.hide(anna.oldest(), 3)
	first, err := Transfer(c.plan(anna, confFee, to(berta, 1000)), []Input{in})
	require.NoError(t, err)
	second, err := Transfer(c.plan(anna, confFee, to(berta, 2000)), []Input{in})
	require.NoError(t, err)
	d := c.onDisk(t)
	before, err := ledger.ReadPool(d.disk)
	require.NoError(t, err)
	base, root := d.disk.Version(), d.disk.Root()

	require.Equal(t, []ledger.Code{ledger.Applied}, d.next(t, first))
	spent, err := ledger.ImageSpent(d.disk, first.Body.(*types.Transfer).Inputs[0].Image)
	require.NoError(t, err)
	require.True(t, spent)
	require.Equal(t, []ledger.Code{ledger.ImageWasSpent}, d.next(t, second))
	made := d.disk.Root()

	require.NoError(t, d.disk.Rollback(base))
	require.Equal(t, root, d.disk.Root())
	after, err := ledger.ReadPool(d.disk)
	require.NoError(t, err)
	require.Equal(t, before, after)
	gone, err := d.disk.Get(types.OutputKey(before.Outputs))
	require.NoError(t, err)
	require.Nil(t, gone, "what the first made")
	require.Equal(t, []ledger.Code{ledger.Applied}, d.next(t, second))
	require.Equal(t, []ledger.Code{ledger.ImageWasSpent}, d.next(t, first))
	require.NotEqual(t, made, d.disk.Root())

	// Whoever spent an output of the first has a ring of something else now.
	c.run(first)
	c.age()
	c.scan(berta)
	var got Coin
	for n, coin := range berta.coins {
		if n >= before.Outputs && coin.Amount > 0 {
			got = coin
		}
	}
	child, err := Transfer(c.plan(berta, confFee), []Input{c.hide(got, 3)})
	require.NoError(t, err)
	bad, err := c.verifier.Verify(t.Context(), c.state, []*types.Tx{child}, c.height+1)
	require.NoError(t, err)
	require.Empty(t, bad, "on the chain that has the first")
	for range ledger.RingAge {
		d.next(t)
	}
	require.Equal(t, []ledger.Code{ledger.ProofInvalid}, d.next(t, child), "on the one that has the second in its place")
}
