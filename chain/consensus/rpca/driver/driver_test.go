package driver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testChain = hash.Sum("driver test")

// node is a driver with a chain that only remembers, in a network that only
// hands over, in the messages' encodings.
type node struct {
	t       *testing.T
	all     *[]*node
	self    types.ValidatorIndex
	scheme  consensus.Scheme
	set     *types.ValidatorSet
	driver  atomic.Pointer[Driver] // of the present incarnation
	decided chan consensus.Decision
	pending chan struct{}

	mu      sync.Mutex
	work    [][]byte
	events  []string // "sync", then what left
	history []consensus.Decision
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

func (n *node) BroadcastPosition(p rpca.Position) {
	n.left("position")
	data, err := p.Encode()
	require.NoError(n.t, err)
	require.LessOrEqual(n.t, len(data), rpca.MaxMessage)
	n.others(func(d *Driver) {
		p, err := rpca.DecodePosition(data)
		if err = errors.Join(err, d.Position(p)); err != nil {
			n.t.Error(err)
		}
	})
}

func (n *node) BroadcastValidation(v rpca.Validation) {
	n.left("validation")
	data, err := v.Encode()
	require.NoError(n.t, err)
	require.LessOrEqual(n.t, len(data), rpca.MaxMessage)
	n.others(func(d *Driver) {
		v, err := rpca.DecodeValidation(data)
		if err = errors.Join(err, d.Validation(v)); err != nil {
			n.t.Error(err)
		}
	})
}

func (n *node) BroadcastList(l rpca.TrustedList) {
	data, err := l.Encode()
	require.NoError(n.t, err)
	n.others(func(d *Driver) {
		l, err := rpca.DecodeTrustedList(data, n.set.Len())
		if err = errors.Join(err, d.List(l)); err != nil {
			n.t.Error(err)
		}
	})
}

func (n *node) FetchTxSet(id hash.Hash, holders bls.Bitmap) {
	n.left("fetch")
	for i := range holders.All() {
		if d := (*n.all)[i].driver.Load(); d != nil {
			go func() {
				if set, ok := d.ServeTxSet(n.t.Context(), id); ok {
					n.driver.Load().TxSet(set)
				}
			}()
		}
	}
}

// FetchLedger serves what another one decided above a height, and then undecided
// ancestors.
func (n *node) FetchLedger(h hash.Hash, above types.Height, holders bls.Bitmap) {
	for i := range holders.All() {
		o := (*n.all)[i]
		d := o.driver.Load()
		if o == n || d == nil {
			continue
		}
		go func() {
			undecided := d.Undecided(n.t.Context(), h)
			var ledgers []rpca.Ledger
			o.mu.Lock()
			for _, d := range o.history[min(int(above), len(o.history)):] {
				ledgers = append(ledgers, rpca.Ledger{Block: d.Block, Cert: &d.Cert})
			}
			o.mu.Unlock()
			for _, b := range undecided {
				if len(ledgers) == 0 && b.Height == above+1 || len(ledgers) > 0 && b.Parent() == ledgers[len(ledgers)-1].Block.Hash() {
					ledgers = append(ledgers, rpca.Ledger{Block: b})
				}
			}
			n.driver.Load().Ledgers("", ledgers)
		}()
	}
}

func (n *node) Blame(v types.ValidatorIndex, from, reason string) {
	n.t.Errorf("blamed %d: %s", v, reason)
}
func (n *node) Hurry() bool              { return false }
func (n *node) ExecutedView() types.View { return 0 }
func (n *node) Pending() <-chan struct{} { return n.pending }

func (n *node) Payload(undecided []*types.Block) types.Payload {
	var txs [][]byte
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, tx := range n.work {
		if !slices.ContainsFunc(undecided, func(b *types.Block) bool { return holds(b, tx) }) {
			txs = append(txs, tx)
		}
	}
	return types.Payload{Txs: txs}
}

func holds(b *types.Block, tx []byte) bool {
	return slices.ContainsFunc(b.Txs, func(t []byte) bool { return bytes.Equal(t, tx) })
}

func (n *node) Decided(d consensus.Decision) {
	n.mu.Lock()
	n.history = append(n.history, d)
	n.work = slices.DeleteFunc(n.work, func(tx []byte) bool { return holds(d.Block, tx) })
	n.mu.Unlock()
	n.decided <- d
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

func fast() rpca.Timing {
	t := rpca.DefaultTiming()
	t.Tick, t.MinClose, t.Idle, t.MinConsensus, t.Resend = 10*time.Millisecond, 10*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	return t
}

func (n *node) config(records []rpca.Record) Config {
	restored := rpca.Restored{Root: types.GenesisBlock(testChain, 0), Records: records}
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := len(n.history); k > 0 {
		restored.Root = n.history[k-1].Block
	}
	return Config{
		Core: rpca.Config{
			Chain: testChain, Validators: n.set, Scheme: n.scheme, Self: &n.self,
			Order:    func(txs [][]byte) [][]byte { return txs },
			MaxBytes: 1 << 16, MaxTxs: 100, Timing: fast(),
		},
		Restored: restored, Network: n, Chain: n, Logger: slog.New(slog.DiscardHandler),
	}
}

// start runs a driver from its journal.
func (n *node) start(dir string, fail error) (stop func() error) {
	log, err := journal.Open(dir, journal.Options{})
	require.NoError(n.t, err)
	records, err := Replay(log.Replay)
	require.NoError(n.t, err)
	cfg := n.config(records)
	cfg.Log = &watched{log, n, fail}
	d, err := New(cfg)
	require.NoError(n.t, err)
	n.driver.Store(d)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-done, log.Close())
	}
}

// newNodes makes five validators with real keys.
func newNodes(t *testing.T) []*node {
	var members []types.Validator
	var votes []*bls.SecretKey
	for range 5 {
		vote, err := bls.Generate(rand.Reader)
		require.NoError(t, err)
		_, public, err := crypto.GenerateEd25519Key(rand.Reader)
		require.NoError(t, err)
		id, err := peer.IDFromPublicKey(public)
		require.NoError(t, err)
		proof := vote.Prove()
		members = append(members, types.Validator{Power: 1, Key: vote.Public().Bytes(), Possession: proof[:], Identity: id.String()})
		votes = append(votes, vote)
	}
	set, err := types.NewValidatorSet(members)
	require.NoError(t, err)
	all := make([]*node, len(members))
	for i := range all {
		committee, err := consensus.NewCommittee(set, votes[i], nil)
		require.NoError(t, err)
		all[i] = &node{
			t: t, all: &all, self: types.ValidatorIndex(i), scheme: committee, set: set,
			decided: make(chan consensus.Decision, 1<<14), pending: make(chan struct{}, 1),
		}
	}
	return all
}

// await takes decisions until one of at least a height.
func (n *node) await(height types.Height) consensus.Decision {
	for {
		select {
		case d := <-n.decided:
			if d.Block.Height >= height {
				return d
			}
		case <-time.After(20 * time.Second):
			require.FailNow(n.t, "nothing becomes final")
		}
	}
}

func TestDriversAgreeAndARestartedOneContradictsNothing(t *testing.T) {
	dir := t.TempDir()
	home := func(i int) string { return filepath.Join(dir, strconv.Itoa(i)) }
	all := newNodes(t)
	stops := make([]func() error, len(all))
	for i, n := range all {
		n.work = [][]byte{[]byte("all"), []byte(strconv.Itoa(i / 3))} // disputed ones, too
		stops[i] = n.start(home(i), nil)
	}
	for _, n := range all {
		n.await(4)
	}
	for round := range 3 {
		victim := all[round]
		require.NoError(t, stops[round]())
		all[4].await(all[4].driver.Load().Status().DecidedHeight + 2) // the others go on
		stops[round] = victim.start(home(round), nil)
		victim.await(all[4].driver.Load().Status().DecidedHeight + 1)
	}
	require.Len(t, all[4].driver.Load().Lists(), len(all), "whoever comes later learns all lists")
	for i, stop := range stops {
		require.NoError(t, stop())
		checkLog(t, home(i))
		synced := 0
		for _, e := range all[i].events {
			switch e {
			case "sync":
				synced++
			case "position", "validation":
				require.Positive(t, synced, "left before anything was synced")
			}
		}
	}
	checkHistories(t, all)
}

// checkLog: no number and no height was used twice over all incarnations.
func checkLog(t *testing.T, dir string) {
	log, err := journal.Open(dir, journal.Options{})
	require.NoError(t, err)
	records, err := Replay(log.Replay)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	heights, seq := map[types.Height]hash.Hash{}, uint64(0)
	for _, r := range records {
		if p := r.Position; p != nil {
			require.Greater(t, p.Seq, seq)
			seq = p.Seq
		} else if v := r.Validation; v.Full {
			require.NotContains(t, heights, v.Height)
			heights[v.Height] = v.Block
		}
	}
	require.NotEmpty(t, heights)
}

// checkHistories: all have the same final ledgers, proven by real certificates.
func checkHistories(t *testing.T, all []*node) {
	found := map[string]int{}
	for _, n := range all {
		for i, d := range n.history {
			require.Equal(t, types.Height(i+1), d.Block.Height)
			if i < len(all[4].history) {
				require.Equal(t, all[4].history[i].Block.Hash(), d.Block.Hash())
			}
			message := rpca.ValidationMessage(testChain, types.Height(d.Cert.View), d.Cert.Block)
			require.True(t, n.scheme.VerifyAggregate([]consensus.Signed{{Message: message, Signers: d.Cert.Signers}}, d.Cert.Signature))
			require.GreaterOrEqual(t, d.Cert.Signers.Count(), 4)
			for _, tx := range d.Block.Txs {
				found[string(tx)]++
			}
		}
	}
	require.Equal(t, len(all), found["all"], "in one ledger, which all have")
	require.Positive(t, found["0"])
}

func TestPromiseThatCannotBeWrittenDownIsNotMade(t *testing.T) {
	all := newNodes(t)
	full := errors.New("disk full")
	stop := all[1].start(t.TempDir(), full)
	<-all[1].driver.Load().done
	require.ErrorIs(t, stop(), full)
	require.Empty(t, all[1].events)
}

func TestListThatOverlapsTooLittleIsRefusedUnlessAllowed(t *testing.T) {
	n := newNodes(t)[0]
	short := bls.NewBitmap(5)
	for i := range 4 {
		short.Set(i)
	}
	cfg := n.config(nil)
	cfg.Published = []rpca.TrustedList{{Validator: 3, Version: 1, Members: short}}
	_, err := New(cfg)
	require.ErrorIs(t, err, rpca.ErrOverlap)
	cfg.AllowOverlap = true
	d, err := New(cfg)
	require.NoError(t, err)
	require.Equal(t, []rpca.Overlap{{With: 0, Shared: 5, Of: 5}, {With: 3, Shared: 4, Of: 5}}, d.Overlaps())
}

func TestMessageThatIsNotFromItsValidatorIsRefused(t *testing.T) {
	all := newNodes(t)
	d, err := New(all[0].config(nil))
	require.NoError(t, err)
	p := rpca.Position{Height: 1, Seq: 1, Voter: 1}
	p.Signature = all[2].scheme.Sign(p.Message(testChain))
	require.ErrorIs(t, d.Position(p), ErrSignature)
	v := rpca.Validation{Height: 1, Full: true, Voter: 99}
	v.Signature = all[2].scheme.Sign(v.Message(testChain))
	require.ErrorIs(t, d.Validation(v), ErrSignature)
	l := rpca.TrustedList{Validator: 1, Version: 1, Members: rpca.Everyone(5)}
	l.Signature = all[2].scheme.Sign(l.Message(testChain))
	require.ErrorIs(t, d.List(l), ErrSignature)
	l.Signature = all[1].scheme.Sign(l.Message(testChain))
	require.NoError(t, d.List(l))
	require.Len(t, d.Lists(), 2)
	old := rpca.TrustedList{Validator: 1, Members: bls.NewBitmap(5)}
	old.Signature = all[1].scheme.Sign(old.Message(testChain))
	require.NoError(t, d.List(old), "an old one is of no interest")
}

func TestLogIsCutBehindExecutedLedgersOnly(t *testing.T) {
	n := newNodes(t)[0]
	n.scheme = consensustest.Scheme{}
	log := &counted{}
	cfg := n.config(nil)
	cfg.Log = log
	executed := &executedTo{node: n}
	cfg.Chain = executed
	d, err := New(cfg)
	require.NoError(t, err)
	write := func(records int, height types.Height) {
		for range records {
			require.NoError(t, d.persist(rpca.Record{Position: &rpca.Position{Height: height}}))
		}
	}
	write(trimEvery, 1)
	require.Zero(t, log.dropped, "nothing is executed")
	executed.view = 1
	write(trimEvery, 2)
	require.Equal(t, uint64(trimEvery), log.dropped, "all of height 1")

	cfg.Restored.Records = []rpca.Record{{Position: &rpca.Position{Height: 5}}}
	d, err = New(cfg)
	require.NoError(t, err)
	log.dropped = 0
	executed.view = 4
	write(trimEvery, 4)
	require.Zero(t, log.dropped, "what was there at the start is not executed yet")
}

type counted struct{ next, dropped uint64 }

func (c *counted) Append([]byte) (uint64, error) { c.next++; return c.next - 1, nil }
func (*counted) Sync() error                     { return nil }
func (c *counted) DropBefore(i uint64) error     { c.dropped = i; return nil }

type executedTo struct {
	*node
	view types.View
}

func (e *executedTo) ExecutedView() types.View { return e.view }

func TestDamagedRecordIsRefused(t *testing.T) {
	_, err := Replay(func(f func(uint64, []byte) error) error { return f(7, []byte("rubbish")) })
	require.ErrorIs(t, err, ErrVoteLog)
	require.ErrorContains(t, err, "record 7")
}
