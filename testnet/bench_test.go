package testnet

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/api"
)

// rig is four validators in this process: real libp2p on loopback, real disks.
type rig struct {
	genesis *types.Genesis
	chain   hash.Hash
	nodes   []*node.Node
	payers  []keys.PrivateKey
	cancel  context.CancelFunc
	group   errgroup.Group
}

func newRig(b testing.TB, payers int, lanes bool) *rig { return newRigOf(b, payers, lanes, 0) }

// newRigOf makes a rig whose blocks hold so many transactions and wait for no more; 0
// leaves the defaults.
func newRigOf(b testing.TB, payers int, lanes bool, perBlock uint64) *rig {
	r := &rig{}
	l := &Layout{Dir: b.TempDir()}
	shape := DefaultShape(4)
	shape.Lanes = lanes
	require.NoError(b, l.create(shape))
	for range payers {
		key, err := keys.Generate(keys.Secp256k1, rand.Reader)
		require.NoError(b, err)
		r.payers = append(r.payers, key)
		address := types.AddressOf(key.Public().Bytes()).Format(AddressPrefix)
		l.Genesis.Accounts = append(l.Genesis.Accounts, types.GenesisAccount{Address: address, Balance: fundedCoins * types.DropsPerCoin})
	}
	if perBlock > 0 {
		l.Genesis.Params.MaxBlockTxs = perBlock
	}
	r.genesis, r.chain = l.Genesis, l.Genesis.ChainID()
	members, err := l.configure(tuning{})
	require.NoError(b, err)
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	for _, m := range members {
		k, err := node.LoadKeys(m.config.Home)
		require.NoError(b, err)
		m.config.Mempool.MaxTxs = 200_000
		if perBlock > 0 {
			m.config.Consensus.BlockInterval = 0
		}
		n, err := node.New(node.Options{Config: m.config, Genesis: r.genesis, Keys: k, Version: "bench", Log: slog.New(slog.DiscardHandler)})
		require.NoError(b, err)
		r.nodes = append(r.nodes, n)
		r.group.Go(func() error { return n.Run(ctx) })
	}
	r.await(b, 1)
	return r
}

func (r *rig) close(b testing.TB) {
	r.cancel()
	require.NoError(b, r.group.Wait())
}

// await waits until all nodes have executed a height.
func (r *rig) await(b testing.TB, height types.Height) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for _, n := range r.nodes {
		for reached, _ := n.Executed(); reached < height; reached, _ = n.Executed() {
			require.NoError(b, sleep(ctx, time.Millisecond))
		}
	}
}

// payment signs a payment of the given encoded size by padding its memo.
func (r *rig) payment(b testing.TB, payer int, sequence uint64, size int) []byte {
	key := r.payers[payer]
	to := types.AddressOf(r.payers[(payer+1)%len(r.payers)].Public().Bytes())
	h := types.Header{
		Chain: r.chain, Key: key.Public().Bytes(), Sequence: sequence, Fee: r.genesis.Params.MinFee, Expiry: 90_000,
	}
	tx, err := types.SignTx(h, &types.Payment{To: to, Amount: 1}, key)
	require.NoError(b, err)
	if pad := size - len(tx.Raw()); pad > 0 {
		h.Memo = bytes.Repeat([]byte{'.'}, pad-1) // a longer length prefix takes the other byte
		tx, err = types.SignTx(h, &types.Payment{To: to, Amount: 1}, key)
		require.NoError(b, err)
	}
	return tx.Raw()
}

// BenchmarkPayments measures decided and executed payments a second: 256 bytes,
// each signature verified by each validator, everything durable, on all four
// validators, with the transactions in lanes or in the leaders' blocks. Signing is
// not part of the time.
func BenchmarkPayments(b *testing.B) {
	for _, lanes := range []bool{true, false} {
		b.Run(fmt.Sprintf("lanes=%t", lanes), func(b *testing.B) { benchmarkPayments(b, lanes) })
	}
}

func benchmarkPayments(b *testing.B, lanes bool) {
	const payers, each, batch = 1000, 60, 250
	for b.Loop() {
		b.StopTimer()
		r := newRig(b, payers, lanes)
		batches := make([][][]byte, len(r.nodes)) // per node: all its payments in order
		for seq := range uint64(each) {
			for p := range payers {
				i := p % len(r.nodes)
				batches[i] = append(batches[i], r.payment(b, p, seq, 256))
			}
		}
		b.StartTimer()
		took := r.flood(b, batches, batch, payers*each)
		b.StopTimer()
		b.ReportMetric(float64(payers*each)/took.Seconds(), "tx/s")
		r.close(b)
		b.StartTimer()
	}
}

// flood submits everything, with a bounded number in flight, and returns when all
// nodes have executed it.
func (r *rig) flood(b *testing.B, batches [][][]byte, batch, total int) time.Duration {
	const inFlight = 4000 // a node
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	began := time.Now()
	var g errgroup.Group
	for i, n := range r.nodes {
		g.Go(func() error {
			_, before := n.Executed()
			sent := 0
			for raws := range slices.Chunk(batches[i], batch) {
				for {
					_, done := n.Executed()
					if sent-(done-before)/len(r.nodes) < inFlight {
						break
					}
					if err := sleep(ctx, time.Millisecond); err != nil {
						return err
					}
				}
				for len(raws) > 0 {
					var again [][]byte
					for k, res := range n.Backend().SubmitMany(ctx, raws) {
						if res.Err != nil {
							again = append(again, raws[k])
						}
					}
					sent += len(raws) - len(again)
					raws = again
					if err := ctx.Err(); err != nil {
						return err
					}
				}
			}
			for {
				if _, done := n.Executed(); done-before >= total {
					return nil
				}
				if err := sleep(ctx, time.Millisecond); err != nil {
					return err
				}
			}
		})
	}
	require.NoError(b, g.Wait())
	return time.Since(began)
}

// BenchmarkBlocks measures how many blocks a second four validators decide and
// execute, each with its BLS certificate and one payment, everything durable.
func BenchmarkBlocks(b *testing.B) {
	const payers, each = 200, 10
	for b.Loop() {
		b.StopTimer()
		r := newRigOf(b, payers, false, 1)
		batches := make([][][]byte, len(r.nodes))
		for seq := range uint64(each) {
			for p := range payers {
				i := p % len(r.nodes)
				batches[i] = append(batches[i], r.payment(b, p, seq, 256))
			}
		}
		from, _ := r.nodes[0].Executed()
		b.StartTimer()
		took := r.flood(b, batches, 250, payers*each)
		b.StopTimer()
		to, _ := r.nodes[0].Executed()
		b.ReportMetric(float64(to-from)/took.Seconds(), "blocks/s")
		r.close(b)
		b.StartTimer()
	}
}

// BenchmarkCommitLatency measures how long a payment takes from submission to
// execution on the node that took it.
func BenchmarkCommitLatency(b *testing.B) {
	r := newRig(b, 200, true)
	defer r.close(b)
	var took []time.Duration
	payer, seq := 0, uint64(0)
	for b.Loop() {
		took = append(took, r.pay(b, payer, seq))
		if payer++; payer == len(r.payers) {
			payer, seq = 0, seq+1
		}
	}
	b.ReportMetric(percentile(took, 0.5), "p50-ms")
	b.ReportMetric(percentile(took, 0.99), "p99-ms")
}

func (r *rig) pay(b testing.TB, payer int, seq uint64) time.Duration {
	n := r.nodes[payer%len(r.nodes)].Backend()
	raw := r.payment(b, payer, seq, 256)
	began := time.Now()
	id, err := n.Submit(b.Context(), raw)
	require.NoError(b, err)
	rec, err := n.Wait(b.Context(), id)
	require.NoError(b, err)
	require.Equal(b, api.TxDecided, rec.Status)
	require.True(b, rec.Result.Success, "%s", rec.Result.Code)
	return time.Since(began)
}
