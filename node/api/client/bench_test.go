package client_test

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/apitest"
	"github.com/starlingmesh/starling/node/api/client"
)

// payments signs n transactions of one account on a chain that holds them all.
func payments(b *testing.B, n int) (*client.Client, [][]byte) {
	b.Helper()
	seed := sha256.Sum256([]byte("alice"))
	key, err := keys.FromSeed(keys.Ed25519, seed[:])
	require.NoError(b, err)
	public := key.Public().Bytes()
	chain := apitest.New(map[types.Address]types.Drops{types.AddressOf(public): types.MaxSupply / 2})
	to := types.AddressOf([]byte("bob"))
	raws := make([][]byte, n)
	for i := range raws {
		tx, err := types.SignTx(types.Header{Chain: chain.Genesis().ChainID(), Key: public, Sequence: uint64(i), Fee: 10, Expiry: 10_000},
			&types.Payment{To: to, Amount: types.DropsPerCoin}, key)
		require.NoError(b, err)
		raws[i] = tx.Raw()
	}
	c, err := client.New(chain.Serve(b))
	require.NoError(b, err)
	b.Cleanup(c.Close)
	return c, raws
}

// BenchmarkSubmit hands in one transaction a request, each decided at once.
func BenchmarkSubmit(b *testing.B) {
	const n = 2000
	var c *client.Client
	var raws [][]byte
	i := n
	for b.Loop() {
		if i == n {
			b.StopTimer()
			c, raws = payments(b, n)
			i = 0
			b.StartTimer()
		}
		_, err := c.Submit(b.Context(), raws[i], false)
		require.NoError(b, err)
		i++
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
}

// BenchmarkSubmitMany hands in full batches. The backend in memory is part of it.
func BenchmarkSubmitMany(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		c, raws := payments(b, api.MaxBatch)
		b.StartTimer()
		reply, err := c.SubmitMany(b.Context(), raws)
		require.NoError(b, err)
		require.Equal(b, api.MaxBatch, reply.Accepted)
	}
	b.ReportMetric(float64(b.N*api.MaxBatch)/b.Elapsed().Seconds(), "tx/s")
}
