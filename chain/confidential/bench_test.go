package confidential

import (
	mrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/ring"
)

// transfers makes some with two inputs and two outputs each, in rings of the default size.
func transfers(b *testing.B, n int) (*chain, []*types.Tx) {
	c := newChain(b, map[string]types.Drops{"anna": 1 << 50, "berta": 1 << 50})
	anna, berta := newWallet(b, "anna"), newWallet(b, "berta")
	var txs []*types.Tx
	for range n {
		c.run(c.shield("anna", anna, 100_000), c.shield("berta", berta, 100_000))
	}
	c.age()
	pool, err := ledger.ReadPool(c.state)
	require.NoError(b, err)
	require.GreaterOrEqual(b, pool.Outputs, uint64(ring.DefaultSize))
	c.scan(anna, berta)
	r := mrand.New(mrand.NewPCG(1, 2))
	for len(txs) < n {
		coin := anna.oldest()
		delete(anna.coins, coin.Number)
		second := berta.oldest()
		delete(berta.coins, second.Number)
		tx, err := Transfer(c.plan(anna, confFee, to(berta, 5000)), []Input{c.scatter(r, coin, pool.Outputs), c.scatter(r, second, pool.Outputs)})
		require.NoError(b, err)
		txs = append(txs, tx)
	}
	return c, txs
}

// scatter puts a coin into a ring of outputs from anywhere.
func (c *chain) scatter(r *mrand.Rand, coin Coin, outputs uint64) Input {
	in := Input{Coin: coin, Ring: []uint64{coin.Number}}
	for len(in.Ring) < ring.DefaultSize {
		if n := r.Uint64N(outputs); !slices.Contains(in.Ring, n) {
			in.Ring = append(in.Ring, n)
		}
	}
	slices.Sort(in.Ring)
	c.fill(&in)
	return in
}

// BenchmarkBlock verifies a block of 200 transfers that nobody has seen before, as a node that
// catches up does, and each of them by itself.
func BenchmarkBlock(b *testing.B) {
	c, txs := transfers(b, 200)
	b.Logf("a transfer with 2 inputs and 2 outputs in rings of %d has %d bytes", ring.DefaultSize, len(txs[0].Raw()))
	var one, block time.Duration
	b.Run("one-by-one", func(b *testing.B) {
		for b.Loop() {
			for _, tx := range txs {
				require.NoError(b, One(c.state, tx, c.height+1))
			}
		}
		one = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(float64(one.Microseconds())/float64(len(txs)), "µs/tx")
	})
	b.Run("block", func(b *testing.B) {
		for b.Loop() {
			v, err := NewVerifier()
			require.NoError(b, err)
			bad, err := v.Verify(b.Context(), c.state, txs, c.height+1)
			require.NoError(b, err)
			require.Empty(b, bad)
		}
		block = b.Elapsed() / time.Duration(b.N)
		b.ReportMetric(float64(block.Microseconds())/float64(len(txs)), "µs/tx")
		b.ReportMetric(float64(block)/float64(one), "of-one-by-one")
	})
	b.Run("block-seen-before", func(b *testing.B) {
		_, err := c.verifier.Verify(b.Context(), c.state, txs, c.height+1)
		require.NoError(b, err)
		for b.Loop() {
			_, err := c.verifier.Verify(b.Context(), c.state, txs, c.height+1)
			require.NoError(b, err)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(txs)), "µs/tx")
	})
}
