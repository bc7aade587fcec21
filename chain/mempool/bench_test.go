package mempool

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
)

// crowd makes transactions of so many senders, each with as many in sequence.
func crowd(b *testing.B, senders, each int) (txs []*types.Tx) {
	chain := testGenesis.ChainID()
	for i := range senders {
		for seq := range each {
			tx, err := types.SignTx(types.Header{
				Chain: chain, Key: []byte{1, byte(i), byte(i >> 8)}, Sequence: uint64(seq), Fee: types.Drops(10 + (i*7+seq)%90), Expiry: 1000,
			}, &types.Payment{Amount: 1}, stamp{})
			require.NoError(b, err)
			txs = append(txs, tx)
		}
	}
	return txs
}

func BenchmarkSelect(b *testing.B) {
	for _, c := range []struct {
		name          string
		senders, each int
		bytes         int
	}{
		{"4096 of 250 senders", 250, 200, 4 << 20},
		{"4096 of 50000 senders", 50_000, 1, 4 << 20},
		{"256 KiB of 50000 senders", 50_000, 1, 256 << 10},
	} {
		p := poolOn(Config{MaxTxs: 60_000}, nil)
		for _, tx := range crowd(b, c.senders, c.each) {
			require.NoError(b, p.Add(now, tx))
		}
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				p.Select(c.bytes, 4096, none)
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/block")
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	for name, room := range map[string]int{"with room": 60_000, "full": 25_000} {
		b.Run(name, func(b *testing.B) {
			txs := crowd(b, 50_000, 1)
			for b.Loop() {
				p := poolOn(Config{MaxTxs: room}, nil)
				for _, tx := range txs {
					_ = p.Add(now, tx) // some are refused by a full pool
				}
			}
			b.ReportMetric(float64(len(txs)*b.N)/b.Elapsed().Seconds(), "tx/s")
		})
	}
}
