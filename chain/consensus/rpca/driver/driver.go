// Package driver runs an rpca core: it feeds the core what comes from the network
// and from timers, and carries out its effects. Look at [Driver].
//
// It is the only place where the core meets a clock, a disk or a goroutine. A
// position or validation is appended to the vote log and synced before it leaves
// the goroutine that made it. The package imports no network and no node code; it
// is given both as [Network] and consensus.Chain.
package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Network is how the engine reaches other nodes. No method blocks.
type Network interface {
	BroadcastPosition(p rpca.Position)
	BroadcastValidation(v rpca.Validation)
	BroadcastList(l rpca.TrustedList)
	// FetchTxSet asks holders for a transaction set; what comes is handed to
	// Driver.TxSet.
	FetchTxSet(set hash.Hash, holders bls.Bitmap)
	// FetchLedger asks holders for a ledger and its ancestors above a height;
	// what comes is handed to Driver.Ledgers, or Driver.Fetched if it came
	// without certificates.
	FetchLedger(block hash.Hash, above types.Height, holders bls.Bitmap)
	// Blame reports a broken rule: by a validator, or by the peer that served
	// something if from is not empty.
	Blame(v types.ValidatorIndex, from, reason string)
}

// VoteLog keeps the records of the core. chain/journal.Journal is one.
type VoteLog interface {
	Append(record []byte) (index uint64, err error)
	Sync() error
	DropBefore(index uint64) error
}

// Config is what a driver is made of. All fields are required unless said
// otherwise.
type Config struct {
	Core rpca.Config
	// Restored is where the core continues from.
	Restored rpca.Restored
	Log      VoteLog
	Network  Network
	Chain    consensus.Chain
	Logger   *slog.Logger
	// Published are the trusted lists of others that are known at the start,
	// signatures checked. New refuses an own list that shares too little with
	// one of them, unless AllowOverlap.
	Published    []rpca.TrustedList
	AllowOverlap bool
	// ListVersion numbers the own published list: higher whenever it changes.
	ListVersion uint64
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// OnRound is told of each round that begins; optional.
	OnRound func(rpca.EnterRound)
	// OnList is told when Driver.Lists has changed, by the goroutine that called
	// Driver.List; optional.
	OnList func()
}

// inboxSize bounds the events that wait for the core. Past it network handlers
// wait, which slows their senders down.
const inboxSize = 512

// Driver is a [consensus.Engine] that nobody leads: it also takes positions,
// validations, transaction sets, ledgers and trusted lists. All methods are safe
// for concurrent use.
type Driver struct {
	cfg    Config
	core   *rpca.Core
	inbox  chan rpca.Event
	asks   chan func(*rpca.Core)
	done   chan struct{}
	status atomic.Pointer[consensus.Status]
	lists  *lists

	// Of the goroutine in Run.
	timer   *time.Timer
	payload *rpca.BuildPayload // asked for, to be answered after the step
	begun   types.Height       // final when the driver started
	logged  []logPoint
}

// New makes a driver and its core. Nothing runs before Run. It returns an
// [rpca.OverlapError] if the own trusted list shares too little with a published
// one and that is not allowed.
func New(cfg Config) (*Driver, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	core, err := rpca.New(cfg.Core, cfg.Restored)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		cfg: cfg, core: core, inbox: make(chan rpca.Event, inboxSize), asks: make(chan func(*rpca.Core)),
		done: make(chan struct{}), timer: time.NewTimer(time.Hour), begun: core.Root().Height,
	}
	d.timer.Stop()
	if d.lists, err = newLists(cfg); err != nil {
		return nil, err
	}
	d.publish()
	return d, nil
}

// Run implements [consensus.Engine]. It returns nil when ctx ends; an
// [rpca.ConflictError] if going on would undo what is final; and an error if the
// vote log cannot be written: without it nothing may be signed.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.done)
	defer d.timer.Stop()
	if own, ok := d.lists.own(); ok {
		d.cfg.Network.BroadcastList(own)
	}
	if err := d.step(rpca.Start{}); err != nil {
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
			err = d.step(rpca.Tick{})
		case ask := <-d.asks:
			ask(d.core)
		}
		if err != nil {
			return err
		}
	}
}

// step feeds the core one event and carries out the effects.
func (d *Driver) step(ev rpca.Event) error {
	for ev != nil {
		for _, effect := range d.core.Step(d.cfg.Now(), ev) {
			if err := d.carryOut(effect); err != nil {
				return err
			}
		}
		ev = d.answer()
	}
	d.publish()
	return nil
}

func (d *Driver) carryOut(effect rpca.Effect) error {
	switch e := effect.(type) {
	case rpca.Persist:
		return d.persist(e.Record)
	case rpca.BroadcastPosition:
		d.cfg.Network.BroadcastPosition(e.Position)
	case rpca.BroadcastValidation:
		d.cfg.Network.BroadcastValidation(e.Validation)
	case rpca.SetTimer:
		d.timer.Reset(e.After)
	case rpca.BuildPayload:
		d.payload = &e
	case rpca.FetchTxSet:
		d.cfg.Network.FetchTxSet(e.Set, e.Holders)
	case rpca.FetchLedger:
		d.cfg.Network.FetchLedger(e.Block, e.Above, e.Holders)
	case rpca.Decided:
		d.cfg.Chain.Decided(consensus.Decision{Block: e.Block, Cert: e.Cert, Passage: e.Passage})
	case rpca.EnterRound:
		d.entered(e)
	case rpca.Blame:
		d.cfg.Network.Blame(e.Validator, e.From, e.Reason)
	case rpca.Halt:
		return fmt.Errorf("consensus stops: %w", e.Err)
	}
	return nil
}

func (d *Driver) entered(e rpca.EnterRound) {
	if e.Expired {
		d.cfg.Logger.Warn("round given up without agreement", "height", uint64(e.Height))
	}
	if e.Switched {
		d.cfg.Logger.Info("turned to the branch that the trusted list prefers", "height", uint64(e.Height), "parent", e.Parent.Short())
	}
	if d.cfg.OnRound != nil {
		d.cfg.OnRound(e)
	}
}

// answer selects the transactions that the core asked for, if it did.
func (d *Driver) answer() rpca.Event {
	e := d.payload
	if e == nil {
		return nil
	}
	d.payload = nil
	txs := d.cfg.Chain.Payload(e.Undecided).Txs
	// Until something is final after a start, people wait to see that it works.
	hurry := d.cfg.Chain.Hurry() || d.core.Root().Height == d.begun
	return rpca.Payload{Parent: e.Parent, Txs: txs, Hurry: hurry}
}

// Propose implements [consensus.Engine]: nobody proposes blocks here.
func (*Driver) Propose(*types.Block) {}

// Vote implements [consensus.Engine]: there are none here.
func (*Driver) Vote(types.Vote) {}

// Timeout implements [consensus.Engine]: there are none here.
func (*Driver) Timeout(types.Timeout) {}

// Fetched implements [consensus.Engine]: ledgers without certificates.
func (d *Driver) Fetched(from string, blocks []*types.Block) {
	ledgers := make([]rpca.Ledger, len(blocks))
	for i, b := range blocks {
		ledgers[i].Block = b
	}
	d.Ledgers(from, ledgers)
}

// Undecided implements [consensus.Engine].
func (d *Driver) Undecided(ctx context.Context, h hash.Hash) (blocks []*types.Block) {
	d.ask(ctx, func(c *rpca.Core) { blocks = c.Undecided(h) })
	return blocks
}

// Ending implements [consensus.Engine]. Nothing comes of it: there is one epoch.
func (d *Driver) Ending(types.Ending) {}

// Status implements [consensus.Engine]. Nobody leads, so it names validator 0, as
// every ledger's proposer field does. View is the height of the ledger that is
// being made, HighQC that of the last final one, LostViews counts expired rounds.
func (d *Driver) Status() consensus.Status { return *d.status.Load() }

func (d *Driver) publish() {
	c := d.core
	d.status.Store(&consensus.Status{
		View: c.Working().View + 1, HighQC: c.Root().View, DecidedHeight: c.Root().Height, LostViews: c.LostRounds(),
	})
}

var _ consensus.Engine = (*Driver)(nil)

// ErrVoteLog is wrapped when a vote log cannot be replayed.
var ErrVoteLog = errors.New("vote log")
