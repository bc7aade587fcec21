// Package driver runs a hotstuff core: it feeds the core what comes from the
// network and from timers, and carries out its effects. Look at [Driver].
//
// It is the only place where the core meets a clock, a disk or a goroutine. A
// vote or timeout is appended to the vote log and synced before it leaves the
// goroutine that made it. The package imports no network and no node code; it
// is given both as the interfaces of package consensus.
package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// VoteLog keeps the records of the core. chain/journal.Journal is one.
type VoteLog interface {
	Append(record []byte) (index uint64, err error)
	Sync() error
	DropBefore(index uint64) error
}

// Config is what a driver is made of. All fields are required unless said
// otherwise.
type Config struct {
	Core    *hotstuff.Core
	Leaders hotstuff.Schedule
	Log     VoteLog
	Network consensus.Network
	Chain   consensus.Chain
	Logger  *slog.Logger
	// BlockInterval is the least time between the beginning of a view and the
	// leader's proposal: longer makes larger blocks, shorter a faster commit.
	BlockInterval time.Duration
	// IdleInterval is how long a leader waits for transactions before it
	// proposes an empty block.
	IdleInterval time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// OnView is told of each new view; optional.
	OnView consensus.ViewObserver
}

// inboxSize bounds the events that wait for the core. Past it network handlers
// wait, which slows their senders down.
const inboxSize = 512

// Driver is a [consensus.Engine].
type Driver struct {
	cfg    Config
	inbox  chan hotstuff.Event
	asks   chan ask
	done   chan struct{}
	status atomic.Pointer[consensus.Status]

	// Of the goroutine in Run.
	timer     *time.Timer
	timerView types.View
	wanted    *hotstuff.BuildPayload // the payload to build
	wantedAt  time.Time
	build     *time.Timer
	begun     types.Height // decided when the driver started
	last      logged
	lost      uint64
}

// logged remembers where in the vote log which view is, so that the log can be
// cut behind executed blocks.
type logged struct {
	index  uint64
	oldest []logPoint
}

type logPoint struct {
	view  types.View
	index uint64
}

type ask struct {
	block  hash.Hash
	answer chan []*types.Block
}

// New makes a driver. Nothing runs before Run.
func New(cfg Config) *Driver {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Driver{
		cfg: cfg, inbox: make(chan hotstuff.Event, inboxSize), asks: make(chan ask),
		done: make(chan struct{}), timer: time.NewTimer(time.Hour), build: time.NewTimer(time.Hour),
	}
	d.timer.Stop()
	d.build.Stop()
	d.publish()
	return d
}

// Run implements [consensus.Engine]. It returns nil when ctx ends, and an error
// if the vote log cannot be written: without it no vote may leave.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.done)
	defer d.timer.Stop()
	defer d.build.Stop()
	d.begun = d.cfg.Core.DecidedHeight()
	if err := d.step(hotstuff.Start{}); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case ev := <-d.inbox:
			err = d.step(ev)
		case <-d.timer.C:
			err = d.step(hotstuff.TimerFired{View: d.timerView})
		case <-d.build.C:
			err = d.propose(true)
		case <-d.cfg.Chain.Pending():
			err = d.propose(false)
		case a := <-d.asks:
			a.answer <- d.cfg.Core.Undecided(a.block)
		}
		if err != nil {
			return err
		}
	}
}

// step feeds the core one event and carries out the effects.
func (d *Driver) step(ev hotstuff.Event) error {
	for _, effect := range d.cfg.Core.Step(d.cfg.Now(), ev) {
		if err := d.carryOut(effect); err != nil {
			return err
		}
	}
	d.publish()
	return nil
}

func (d *Driver) carryOut(effect hotstuff.Effect) error {
	switch e := effect.(type) {
	case hotstuff.Persist:
		return d.persist(e.Record)
	case hotstuff.Broadcast:
		d.cfg.Network.BroadcastProposal(e.Block)
	case hotstuff.SendVote:
		d.cfg.Network.SendVote(e.To, e.Vote)
	case hotstuff.BroadcastTimeout:
		d.cfg.Network.BroadcastTimeout(e.Timeout)
	case hotstuff.SetTimer:
		d.timerView = e.View
		d.timer.Reset(e.After)
	case hotstuff.BuildPayload:
		d.want(e)
	case hotstuff.Fetch:
		d.cfg.Network.Fetch(e.Block, e.Above, e.Holders)
	case hotstuff.Decided:
		d.cfg.Chain.Decided(consensus.Decision{Block: e.Block, Cert: e.Cert, Passage: e.Passage})
	case hotstuff.EnterView:
		d.wanted = nil
		if e.TimedOut {
			d.lost++
			d.cfg.Logger.Debug("view lost", "view", e.View-1, "leader", d.cfg.Leaders.Leader(e.View-1))
		}
		if d.cfg.OnView != nil {
			d.cfg.OnView(e.View, e.Leader, e.TimedOut)
		}
	case hotstuff.Blame:
		d.cfg.Network.Blame(e.Validator, e.From, e.Reason)
	}
	return nil
}

// persist writes a promise down. If that fails the promise must not be made.
func (d *Driver) persist(r hotstuff.Record) error {
	data, err := r.Encode()
	if err != nil {
		return fmt.Errorf("encode vote log record: %w", err)
	}
	index, err := d.cfg.Log.Append(data)
	if err == nil {
		err = d.cfg.Log.Sync()
	}
	if err != nil {
		return fmt.Errorf("write vote log (the node stops voting rather than forget a vote): %w", err)
	}
	d.last.index = index
	d.last.oldest = append(d.last.oldest, logPoint{r.View(), index})
	if len(d.last.oldest)%trimEvery == 0 {
		return d.trim()
	}
	return nil
}

// trim cuts the vote log behind the last executed block: what is decided but not
// executed may exist nowhere else. The newest records stay whatever their view,
// since they hold the highest promise.
func (d *Driver) trim() error {
	executed := d.cfg.Chain.ExecutedView()
	keep := len(d.last.oldest) / 2
	for i, p := range d.last.oldest {
		if p.view+trimMargin >= executed {
			keep = min(keep, i)
			break
		}
	}
	if keep == 0 {
		return nil
	}
	if err := d.cfg.Log.DropBefore(d.last.oldest[keep].index); err != nil {
		return fmt.Errorf("cut vote log: %w", err)
	}
	d.last.oldest = append([]logPoint{}, d.last.oldest[keep:]...)
	return nil
}

// trimEvery is how many records are appended between two attempts to cut the log.
const trimEvery = 1024

// trimMargin is how many views further back the vote log reaches, for peers that
// ask for the blocks of late views.
const trimMargin = 64

// Propose implements [consensus.Engine].
func (d *Driver) Propose(b *types.Block) { d.put(hotstuff.Proposal{Block: b}) }

// Vote implements [consensus.Engine].
func (d *Driver) Vote(v types.Vote) { d.put(hotstuff.VoteIn{Vote: v}) }

// Timeout implements [consensus.Engine].
func (d *Driver) Timeout(t types.Timeout) { d.put(hotstuff.TimeoutIn{Timeout: t}) }

// Fetched implements [consensus.Engine].
func (d *Driver) Fetched(from string, blocks []*types.Block) {
	d.put(hotstuff.Blocks{From: from, Blocks: blocks})
}

func (d *Driver) put(ev hotstuff.Event) {
	select {
	case d.inbox <- ev:
	case <-d.done:
	}
}

// Leader implements [consensus.Engine].
func (d *Driver) Leader(v types.View) types.ValidatorIndex { return d.cfg.Leaders.Leader(v) }

// Undecided implements [consensus.Engine].
func (d *Driver) Undecided(ctx context.Context, h hash.Hash) []*types.Block {
	a := ask{block: h, answer: make(chan []*types.Block, 1)}
	select {
	case d.asks <- a:
		return <-a.answer
	case <-d.done:
	case <-ctx.Done():
	}
	return nil
}

// Status implements [consensus.Engine].
func (d *Driver) Status() consensus.Status { return *d.status.Load() }

func (d *Driver) publish() {
	c := d.cfg.Core
	d.status.Store(&consensus.Status{
		View: c.View(), Leader: d.cfg.Leaders.Leader(c.View()), HighQC: c.High().View,
		DecidedHeight: c.DecidedHeight(), LostViews: d.lost,
	})
}

var _ consensus.Engine = (*Driver)(nil)

// ErrVoteLog is wrapped when a vote log cannot be replayed.
var ErrVoteLog = errors.New("vote log")

// Replay decodes the records of a vote log, oldest first.
func Replay(replay func(func(index uint64, record []byte) error) error) ([]hotstuff.Record, error) {
	var records []hotstuff.Record
	err := replay(func(index uint64, data []byte) error {
		r, err := hotstuff.DecodeRecord(data)
		if err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		records = append(records, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVoteLog, err)
	}
	return records, nil
}
