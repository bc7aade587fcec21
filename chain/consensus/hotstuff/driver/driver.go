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
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Config is what a driver is made of. All fields are required unless said
// otherwise.
type Config struct {
	Core    *hotstuff.Core
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
	OnView func(consensus.ViewBegan)
	// OnReassured is told when a vote log that was in doubt need not be any more;
	// optional.
	OnReassured func(types.View) error
	// Epochs makes the cores of later epochs; nil if the first never ends.
	Epochs Epochs
}

// Epochs knows who validates when. That follows from executed state, so the answer
// may have to be waited for.
type Epochs interface {
	// Succeed makes the core for the epoch after the one that ended, nil if its
	// validators are not known yet.
	Succeed(hotstuff.EpochEnded) (*hotstuff.Core, error)
	// SetHash is the hash of an epoch's validator set, if it is known.
	SetHash(types.Epoch) (hash.Hash, bool)
	// Changed is signalled when more may be known than before.
	Changed() <-chan struct{}
}

// againMost bounds the fetched blocks that wait for an epoch to begin, in windows.
const againMost = 64

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
	ended     *hotstuff.EpochEnded // until its successor can be made
	again     []hotstuff.Blocks    // fetched ones, to be handed to the successor too
	told      types.Epoch          // the epoch whose next set the core was told, plus one
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
	if err := errors.Join(d.step(hotstuff.Start{}), d.succeed()); err != nil {
		return err
	}
	var changed <-chan struct{}
	if d.cfg.Epochs != nil {
		changed = d.cfg.Epochs.Changed()
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
		case <-changed:
			err = d.succeed()
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
	if d.ended != nil {
		if blocks, fetched := ev.(hotstuff.Blocks); fetched && len(d.again) < againMost {
			d.again = append(d.again, blocks) // the rest of them is of the next epoch
		}
		return d.succeed()
	}
	d.publish()
	return nil
}

// succeed goes on with the next epoch once its validators are known, and tells the
// core which ones will follow.
func (d *Driver) succeed() error {
	if d.cfg.Epochs == nil {
		return nil
	}
	if d.ended != nil {
		core, err := d.cfg.Epochs.Succeed(*d.ended)
		if core == nil || err != nil {
			return err
		}
		d.ended, d.cfg.Core, d.wanted = nil, core, nil
		d.build.Stop()
		if err := d.step(hotstuff.Start{}); err != nil {
			return err
		}
		rest := d.again
		d.again = nil
		for _, blocks := range rest {
			if err := d.step(blocks); err != nil {
				return err
			}
		}
	}
	epoch := d.cfg.Core.Epoch()
	if d.told > epoch {
		return nil
	}
	h, known := d.cfg.Epochs.SetHash(epoch + 1)
	if !known {
		return nil
	}
	d.told = epoch + 1
	return d.step(hotstuff.NextSet{Hash: h})
}

func (d *Driver) carryOut(effect hotstuff.Effect) error {
	switch e := effect.(type) {
	case hotstuff.Persist:
		return d.persist(e.Record)
	case hotstuff.Broadcast:
		d.cfg.Logger.Debug("propose", "view", e.Block.View, "height", e.Block.Height, "transactions", len(e.Block.Txs))
		d.cfg.Network.BroadcastProposal(e.Block)
	case hotstuff.SendVote:
		d.cfg.Logger.Debug("vote", "view", e.Vote.View, "block", e.Vote.Block.Short(), "to", e.To)
		d.cfg.Network.SendVote(e.To, e.Vote)
	case hotstuff.BroadcastTimeout:
		d.cfg.Logger.Debug("timeout", "view", e.Timeout.View)
		d.cfg.Network.BroadcastTimeout(e.Timeout)
	case hotstuff.ShowEnding:
		d.cfg.Network.ShowEnding(e.Ending)
	case hotstuff.SetTimer:
		d.timerView = e.View
		d.timer.Reset(e.After)
	case hotstuff.BuildPayload:
		d.want(e)
	case hotstuff.Fetch:
		d.cfg.Network.Fetch(e.Epoch, e.Block, e.Above, e.Holders)
	case hotstuff.Decided:
		d.cfg.Chain.Decided(consensus.Decision{Block: e.Block, Cert: e.Cert, Passage: e.Passage, Standing: e.Standing})
	case hotstuff.Reassured:
		if d.cfg.OnReassured != nil {
			return d.cfg.OnReassured(e.View)
		}
	case hotstuff.EpochEnded:
		d.ended = &e
	case hotstuff.EnterView:
		d.wanted = nil
		d.cfg.Logger.Debug("view", "view", e.View, "leader", e.Leader)
		if e.TimedOut {
			d.lost++
			d.cfg.Logger.Debug("view lost", "view", e.View-1, "failed", e.Failed)
		}
		if d.cfg.OnView != nil {
			d.cfg.OnView(consensus.ViewBegan{Epoch: d.cfg.Core.Epoch(), View: e.View, Leader: e.Leader, TimedOut: e.TimedOut, Failed: e.Failed})
		}
	case hotstuff.Blame:
		d.cfg.Network.Blame(consensus.Fault(e))
	}
	return nil
}

// Propose implements [consensus.Engine].
func (d *Driver) Propose(b *types.Block) { d.put(hotstuff.Proposal{Block: b}) }

// Vote implements [consensus.Engine].
func (d *Driver) Vote(v types.Vote) { d.put(hotstuff.VoteIn{Vote: v}) }

// Timeout implements [consensus.Engine].
func (d *Driver) Timeout(t types.Timeout) { d.put(hotstuff.TimeoutIn{Timeout: t}) }

// Ending implements [consensus.Engine].
func (d *Driver) Ending(e types.Ending) { d.put(hotstuff.EndingIn{Ending: e}) }

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
		Epoch: c.Epoch(), View: c.View(), Leader: c.Leader(), HighQC: c.High().View,
		DecidedHeight: c.DecidedHeight(), LostViews: d.lost,
	})
}

var _ consensus.Engine = (*Driver)(nil)
