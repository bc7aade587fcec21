package testnet

import (
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff/driver"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node"
)

// opaqueNode is a validator whose transactions are 256 bytes that nobody looks
// into: consensus with real keys and a real vote log, and a state commit for each
// block, but no signatures of users and no mesh between the validators.
type opaqueNode struct {
	driver *driver.Driver
	votes  *journal.Journal
	db     *state.DB
	state  *state.State
	net    *opaqueNet
	self   int

	mu       sync.Mutex
	waiting  [][]byte
	taken    map[hash.Hash]bool
	executed int
	moved    chan struct{}
	pending  chan struct{}
	decided  chan consensus.Decision
}

type opaqueNet struct{ nodes []*opaqueNode }

func (n *opaqueNode) others(f func(*opaqueNode)) {
	for _, other := range n.net.nodes {
		if other != n {
			go f(other) // a message on its way
		}
	}
}

func (n *opaqueNode) BroadcastProposal(b *types.Block) {
	n.others(func(o *opaqueNode) {
		if received, err := types.DecodeBlock(b.Raw()); err == nil {
			o.driver.Propose(received)
		}
	})
}

func (n *opaqueNode) BroadcastTimeout(t types.Timeout) {
	n.others(func(o *opaqueNode) { o.driver.Timeout(t) })
}

func (n *opaqueNode) ShowEnding(e types.Ending) {
	n.others(func(o *opaqueNode) { o.driver.Ending(e) })
}

func (n *opaqueNode) SendVote(to types.ValidatorIndex, v types.Vote) {
	go n.net.nodes[to].driver.Vote(v)
}

func (n *opaqueNode) Fetch(types.Epoch, hash.Hash, types.Height, bls.Bitmap) {}
func (n *opaqueNode) Blame(consensus.Fault)                                  {}
func (n *opaqueNode) ExecutedView() types.View                               { return 0 }
func (n *opaqueNode) Hurry() bool                                            { return false }
func (n *opaqueNode) Pending() <-chan struct{}                               { return n.pending }
func (n *opaqueNode) Decided(d consensus.Decision)                           { n.decided <- d }

// Payload takes what waits here and is not in an undecided block: every payload
// is given to every validator.
func (n *opaqueNode) Payload(undecided []*types.Block) types.Payload {
	inFlight := map[hash.Hash]bool{}
	for _, b := range undecided {
		for _, tx := range b.Txs {
			inFlight[hash.Sum("opaque", tx)] = true
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var out [][]byte
	kept := n.waiting[:0]
	for _, tx := range n.waiting {
		id := hash.Sum("opaque", tx)
		if n.taken[id] {
			continue
		}
		kept = append(kept, tx)
		if len(out) < 4000 && !inFlight[id] {
			out = append(out, tx)
		}
	}
	n.waiting = kept
	return types.Payload{Txs: out}
}

func (n *opaqueNode) execute(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-n.decided:
			changes := make([]state.Change, 0, len(d.Block.Txs))
			n.mu.Lock()
			for _, tx := range d.Block.Txs {
				id := hash.Sum("opaque", tx)
				if !n.taken[id] {
					n.taken[id] = true
					changes = append(changes, state.Change{Key: id[:], Value: tx})
				}
			}
			n.mu.Unlock()
			if _, err := n.state.Commit(uint64(d.Block.Height), changes, []state.KV{{Key: []byte("block"), Value: d.Block.Raw()}}); err != nil {
				return err
			}
			n.mu.Lock()
			n.executed += len(changes)
			n.mu.Unlock()
			select {
			case n.moved <- struct{}{}:
			default:
			}
		}
	}
}

func newOpaqueNet(b *testing.B, ctx context.Context, g *errgroup.Group) *opaqueNet {
	l := &Layout{Dir: b.TempDir()}
	require.NoError(b, l.create(DefaultShape(4)))
	set, err := l.Genesis.Set()
	require.NoError(b, err)
	chain := l.Genesis.ChainID()
	net := &opaqueNet{}
	for i := range 4 {
		keys, err := node.LoadKeys(l.Home(i))
		require.NoError(b, err)
		committee, err := consensus.NewCommittee(set, keys.Vote, keys.Identity)
		require.NoError(b, err)
		n := &opaqueNode{net: net, self: i, taken: map[hash.Hash]bool{}, moved: make(chan struct{}, 1), pending: make(chan struct{}, 1), decided: make(chan consensus.Decision, 1024)}
		n.votes, err = journal.Open(filepath.Join(l.Home(i), "votes"), journal.Options{Label: chain})
		require.NoError(b, err)
		n.db, err = state.OpenDB(filepath.Join(l.Home(i), "chain"), state.DBOptions{})
		require.NoError(b, err)
		n.state, err = state.Open(n.db, state.Options{Chain: chain[:]})
		require.NoError(b, err)
		_, err = n.state.Commit(0, nil, nil)
		require.NoError(b, err)
		self := types.ValidatorIndex(i)
		leaders := hotstuff.NewRoundRobin(set)
		core, err := hotstuff.New(hotstuff.Config{
			Chain: chain, Validators: set, Schedule: leaders, Rule: hotstuff.ThreePhase{}, Scheme: committee, Self: &self,
			ViewTimeout: 5 * time.Second, MaxViewTimeout: 20 * time.Second, MaxDrift: time.Minute,
		}, hotstuff.Restored{Root: l.Genesis.Block(), Cert: types.GenesisQC(chain)})
		require.NoError(b, err)
		n.driver = driver.New(driver.Config{
			Core: core, Log: n.votes, Network: n, Chain: n, Logger: slog.New(slog.DiscardHandler),
			BlockInterval: 20 * time.Millisecond, IdleInterval: 500 * time.Millisecond,
		})
		net.nodes = append(net.nodes, n)
	}
	for _, n := range net.nodes {
		g.Go(func() error { return n.driver.Run(ctx) })
		g.Go(func() error { return n.execute(ctx) })
	}
	return net
}

// BenchmarkOpaquePayloads measures decided and executed payloads of 256 opaque
// bytes a second with four validators in this process.
func BenchmarkOpaquePayloads(b *testing.B) {
	const total = 40_000
	for b.Loop() {
		b.StopTimer()
		ctx, cancel := context.WithCancel(b.Context())
		var g errgroup.Group
		net := newOpaqueNet(b, ctx, &g)
		payloads := make([][]byte, total)
		for i := range payloads {
			payloads[i] = make([]byte, 256)
			_, err := rand.Read(payloads[i])
			require.NoError(b, err)
		}
		b.StartTimer()
		began := time.Now()
		for _, n := range net.nodes {
			n.mu.Lock()
			n.waiting = append([][]byte{}, payloads...)
			n.mu.Unlock()
			n.pending <- struct{}{}
		}
		for _, n := range net.nodes {
			for n.count() < total {
				<-n.moved
			}
		}
		took := time.Since(began)
		b.StopTimer()
		b.ReportMetric(total/took.Seconds(), "tx/s")
		cancel()
		require.NoError(b, g.Wait())
		for _, n := range net.nodes {
			require.NoError(b, n.votes.Close())
			require.NoError(b, n.db.Close())
		}
		b.StartTimer()
	}
}

func (n *opaqueNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.executed
}
