package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
)

func BenchmarkExecute(b *testing.B) {
	const accounts, block = 10_000, 4096
	funds := map[string]types.Drops{}
	for i := range accounts {
		funds[person(i)] = 1_000_000_000
	}
	n := newNet(b, funds)
	txs := make([]*types.Tx, block)
	for i := range txs {
		txs[i] = n.pay(person(i), person((i*7919+1)%accounts), 5)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := n.ledger.Execute(Block{Height: 1, Txs: txs}, n.state)
		require.NoError(b, err)
		require.Len(b, r.Receipts, block)
	}
	b.ReportMetric(float64(b.N)*block/b.Elapsed().Seconds(), "payments/s")
}

func BenchmarkAudit(b *testing.B) {
	const accounts = 10_000
	funds := map[string]types.Drops{}
	for i := range accounts {
		funds[person(i)] = 1_000_000
	}
	n := newNet(b, funds)
	for b.Loop() {
		_, err := n.ledger.Audit(n.state.all)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.N)*accounts/b.Elapsed().Seconds(), "accounts/s")
}
