package driver

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testChain = hash.Sum("driver test")

// node is a driver with a chain that only remembers, in a network that only
// hands over.
type node struct {
	t       *testing.T
	all     *[]*node
	self    types.ValidatorIndex
	driver  atomic.Pointer[Driver] // of the present incarnation
	decided chan *types.Block
	pending chan struct{}

	mu      sync.Mutex
	work    [][]byte
	events  []string // "sync", then what left
	root    consensus.Decision
	history []*types.Block // decided, from height 1
}

func (n *node) left(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, what)
}

func (n *node) others(f func(*Driver)) {
	for _, o := range *n.all {
		if d := o.driver.Load(); o != n && d != nil {
			go f(d)
		}
	}
}

func (n *node) BroadcastProposal(b *types.Block) {
	n.left("proposal")
	n.others(func(d *Driver) { d.Propose(b) })
}

func (n *node) BroadcastTimeout(t types.Timeout) {
	n.left("timeout")
	n.others(func(d *Driver) { d.Timeout(t) })
}

func (n *node) ShowEnding(e types.Ending) {
	n.others(func(d *Driver) { d.Ending(e) })
}

func (n *node) SendVote(to types.ValidatorIndex, v types.Vote) {
	n.left("vote")
	if d := (*n.all)[to].driver.Load(); d != nil {
		go d.Vote(v)
	}
}

// Fetch serves what the others have decided above a height, and then undecided
// ancestors.
func (n *node) Fetch(_ types.Epoch, h hash.Hash, above types.Height, _ bls.Bitmap) {
	for _, o := range *n.all {
		d := o.driver.Load()
		if o == n || d == nil {
			continue
		}
		go func() {
			undecided := d.Undecided(n.t.Context(), h)
			o.mu.Lock()
			blocks := append(append([]*types.Block{}, o.history[min(int(above), len(o.history)):]...), undecided...)
			o.mu.Unlock()
			n.driver.Load().Fetched("", blocks)
		}()
	}
}

func (n *node) Blame(f consensus.Fault) {
	n.t.Errorf("blamed %d: %s", f.Validator, f.Reason)
}
func (n *node) Hurry() bool              { return false }
func (n *node) ExecutedView() types.View { return 0 }
func (n *node) Pending() <-chan struct{} { return n.pending }

func (n *node) Payload([]*types.Block) types.Payload {
	n.mu.Lock()
	defer n.mu.Unlock()
	work := n.work
	n.work = nil
	return types.Payload{Txs: work}
}

func (n *node) Decided(d consensus.Decision) {
	n.mu.Lock()
	n.root = d
	n.history = append(n.history, d.Block)
	n.mu.Unlock()
	n.decided <- d.Block
}

// watched notes syncs among the events, and can be made to fail.
type watched struct {
	VoteLog
	n    *node
	fail error
}

func (w *watched) Sync() error {
	if w.fail != nil {
		return w.fail
	}
	w.n.left("sync")
	return w.VoteLog.Sync()
}

// start runs a driver from its journal.
func (n *node) start(dir string, fail error) (stop func() error) {
	set, err := types.NewValidatorSet([]types.Validator{{Power: 1}, {Power: 1}, {Power: 1}, {Power: 1}})
	require.NoError(n.t, err)
	log, err := journal.Open(dir, journal.Options{})
	require.NoError(n.t, err)
	records, err := Replay(log.Replay)
	require.NoError(n.t, err)
	leaders := hotstuff.NewRoundRobin(set)
	restored := hotstuff.Restored{Root: types.GenesisBlock(testChain, 0), Cert: types.GenesisQC(testChain), Records: records}
	if n.root.Block != nil {
		restored.Root, restored.Cert = n.root.Block, n.root.Cert
	}
	core, err := hotstuff.New(hotstuff.Config{
		Chain: testChain, Validators: set, Schedule: leaders, Rule: hotstuff.ThreePhase{}, Scheme: consensustest.Scheme{Self: n.self}, Self: &n.self,
		ViewTimeout: 300 * time.Millisecond, MaxViewTimeout: time.Second, MaxDrift: time.Hour,
	}, restored)
	require.NoError(n.t, err)
	d := New(Config{
		Core: core, Log: &watched{log, n, fail}, Network: n, Chain: n, Logger: slog.New(slog.DiscardHandler),
		BlockInterval: time.Millisecond, IdleInterval: 30 * time.Millisecond,
	})
	n.driver.Store(d)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-done, log.Close())
	}
}

func newNodes(t *testing.T) []*node {
	all := make([]*node, 4)
	for i := range all {
		all[i] = &node{t: t, all: &all, self: types.ValidatorIndex(i), decided: make(chan *types.Block, 1<<14), pending: make(chan struct{}, 1)}
	}
	return all
}

// await takes decided blocks until one of at least a height.
func (n *node) await(height types.Height) *types.Block {
	for {
		select {
		case b := <-n.decided:
			if b.Height >= height {
				return b
			}
		case <-time.After(20 * time.Second):
			require.FailNow(n.t, "nothing is decided")
		}
	}
}

func TestDriversDecideAndARestartedOneNeverVotesTwice(t *testing.T) {
	dir := t.TempDir()
	home := func(i int) string { return filepath.Join(dir, strconv.Itoa(i)) }
	all := newNodes(t)
	stops := make([]func() error, 4)
	for i, n := range all {
		stops[i] = n.start(home(i), nil)
	}
	for _, n := range all {
		n.await(5)
	}
	for round := range 3 {
		victim := all[round]
		require.NoError(t, stops[round]())
		all[3].await(all[3].driver.Load().Status().DecidedHeight + 2) // the others go on
		stops[round] = victim.start(home(round), nil)
		victim.await(all[3].driver.Load().Status().DecidedHeight + 1)
	}
	for i, stop := range stops {
		require.NoError(t, stop())
		log, err := journal.Open(home(i), journal.Options{})
		require.NoError(t, err)
		records, err := Replay(log.Replay)
		require.NoError(t, err)
		require.NoError(t, log.Close())
		votes := map[types.View]hash.Hash{}
		for _, r := range records {
			if r.Vote != nil {
				before, ok := votes[r.Vote.View]
				require.True(t, !ok || before == r.Vote.Block, "node %d, view %d", i, r.Vote.View)
				votes[r.Vote.View] = r.Vote.Block
			}
		}
		require.NotEmpty(t, votes)
	}
	for _, n := range all {
		synced := 0
		for _, e := range n.events {
			switch e {
			case "sync":
				synced++
			case "vote", "proposal":
				require.Positive(t, synced, "left before anything was synced")
			}
		}
	}
}

func TestVoteThatCannotBeWrittenDownIsNotCast(t *testing.T) {
	all := newNodes(t)
	full := errors.New("disk full")
	stop := all[1].start(t.TempDir(), full) // leads view 1
	require.ErrorIs(t, waitEnd(all[1].driver.Load()), context.Canceled)
	require.ErrorIs(t, stop(), full)
	require.Empty(t, all[1].events)
}

// waitEnd waits until a driver has ended by itself.
func waitEnd(d *Driver) error {
	<-d.done
	return context.Canceled
}

func TestDamagedRecordIsRefused(t *testing.T) {
	_, err := Replay(func(f func(uint64, []byte) error) error { return f(7, []byte("rubbish")) })
	require.ErrorIs(t, err, ErrVoteLog)
	require.ErrorContains(t, err, "record 7")
}
