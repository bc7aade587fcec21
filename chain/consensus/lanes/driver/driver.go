// Package driver runs the lanes of one validator, epoch after epoch: it feeds the core
// what comes from the network, the pool and timers, and carries out its effects. Look
// at [Driver].
//
// It is the only place where the core meets a clock, a disk or a goroutine. A batch is
// on disk before it, or its acknowledgement, leaves. The package imports no network and
// no node code; it is given both as interfaces.
package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingmesh/starling/chain/consensus/lanes"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Network is how batches and certificates reach others. No method blocks.
type Network interface {
	SendBatch(b *types.Batch)
	SendAck(to types.ValidatorIndex, a lanes.Ack)
	SendCert(e types.Epoch, c types.LaneCert)
	// FetchBatch asks holders for a batch and those below; what comes is handed to
	// Driver.Batch, from the top down.
	FetchBatch(e types.Epoch, f lanes.Fetch)
	// BlameLane reports a broken rule.
	BlameLane(e types.Epoch, b lanes.Blame)
}

// Log keeps batches. chain/journal.Journal is one.
type Log interface {
	Append(record []byte) (index uint64, err error)
	Sync() error
	DropBefore(index uint64) error
	Next() uint64
}

// Config is what a driver is made of. All fields are required.
type Config struct {
	// NewCore makes the core of an epoch.
	NewCore func(types.Epoch, lanes.Restored) (*lanes.Core, error)
	Epoch   types.Epoch // in which to begin
	// Restored is what the log and the last executed block hold.
	Restored lanes.Restored
	Log      Log
	Network  Network
	// Select picks transactions for a batch of the own lane, none if they are not
	// worth one yet. own are those in batches that are not executed.
	Select func(maxBytes, maxTxs int, own map[hash.Hash]struct{}) [][]byte
	Logger *slog.Logger
}

const (
	inboxSize  = 512
	recentKept = 512 // ordered batches that others may still ask for
	// batchEvery is the least time between two own batches: longer ones cost fewer
	// signatures and syncs.
	batchEvery = 50 * time.Millisecond
	// syncTogether is how many events are taken in before the log is synced for all.
	syncTogether = 64
)

// Driver runs lanes. Its methods are safe for concurrent use.
type Driver struct {
	cfg   Config
	inbox chan func() error
	done  chan struct{}

	// Of the goroutine in Run.
	epoch   types.Epoch
	core    *lanes.Core
	want    *lanes.WantTxs
	timer   *time.Timer
	later   []*types.Block // of epochs to come
	stored  []storedBatch
	dirty   bool                                        // batches were stored since the last sync
	held    []lanes.Effect                              // until then
	ownSent map[types.LaneHeight]map[hash.Hash]struct{} // transactions in own batches

	recent *lru.Cache[hash.Hash, *types.Batch]

	mu        sync.Mutex
	delivered map[hash.Hash][]*types.Batch // by block, until taken
	arrived   chan struct{}                // closed and replaced when delivered grows
}

// storedBatch is a batch in the log.
type storedBatch struct {
	index  uint64
	epoch  types.Epoch
	lane   types.ValidatorIndex
	height types.LaneHeight
}

// New makes a driver. Nothing runs before Run.
func New(cfg Config) (*Driver, error) {
	core, err := cfg.NewCore(cfg.Epoch, cfg.Restored)
	if err != nil {
		return nil, fmt.Errorf("lanes of epoch %d: %w", cfg.Epoch, err)
	}
	recent, err := lru.New[hash.Hash, *types.Batch](recentKept)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		cfg: cfg, epoch: cfg.Epoch, core: core, inbox: make(chan func() error, inboxSize), done: make(chan struct{}),
		timer: time.NewTimer(time.Hour), recent: recent, ownSent: map[types.LaneHeight]map[hash.Hash]struct{}{},
		delivered: map[hash.Hash][]*types.Batch{}, arrived: make(chan struct{}),
	}
	d.timer.Stop()
	return d, nil
}

// Run drives the lanes until ctx ends. An error means that the log cannot be written:
// without it nothing may be acknowledged.
func (d *Driver) Run(ctx context.Context) error {
	defer close(d.done)
	defer d.timer.Stop()
	poll := time.NewTicker(batchEvery)
	defer poll.Stop()
	if err := errors.Join(d.step(lanes.Start{}), d.flush()); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case do := <-d.inbox:
			err = do()
			for range syncTogether {
				select {
				case do := <-d.inbox:
					err = errors.Join(err, do())
					continue
				default:
				}
				break
			}
		case <-d.timer.C:
			err = d.step(lanes.Tick{})
		case <-poll.C:
			err = d.selectTxs()
		}
		if err = errors.Join(err, d.flush()); err != nil {
			return err
		}
	}
}

// flush syncs the log and carries out what had to wait for that.
func (d *Driver) flush() error {
	if !d.dirty {
		return nil
	}
	if err := d.cfg.Log.Sync(); err != nil {
		return fmt.Errorf("store batches (the node stops acknowledging rather than lose one): %w", err)
	}
	d.dirty = false
	held := d.held
	d.held = nil
	for _, effect := range held {
		if err := d.carryOut(effect); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) step(ev lanes.Event) error {
	for _, effect := range d.core.Step(time.Now(), ev) {
		if err := d.carryOut(effect); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) carryOut(effect lanes.Effect) error {
	if _, more := effect.(lanes.Persist); d.dirty && !more {
		d.held = append(d.held, effect)
		return nil
	}
	switch e := effect.(type) {
	case lanes.Persist:
		return d.persist(e.Batch)
	case lanes.SendBatch:
		d.cfg.Network.SendBatch(e.Batch)
	case lanes.SendAck:
		d.cfg.Network.SendAck(e.To, e.Ack)
	case lanes.SendCert:
		d.cfg.Network.SendCert(d.epoch, e.Cert)
	case lanes.WantTxs:
		d.want = &e
	case lanes.Fetch:
		d.cfg.Network.FetchBatch(d.epoch, e)
	case lanes.Ordered:
		d.deliver(e)
	case lanes.SetTimer:
		d.timer.Reset(e.After)
	case lanes.Blame:
		d.cfg.Network.BlameLane(d.epoch, e)
	}
	return nil
}

// persist stores a batch. Nothing is said of it before it is synced.
func (d *Driver) persist(b *types.Batch) error {
	index, err := d.cfg.Log.Append(b.Raw())
	d.dirty = true
	if err != nil {
		return fmt.Errorf("store batch (the node stops acknowledging rather than lose one): %w", err)
	}
	d.stored = append(d.stored, storedBatch{index, b.Epoch, b.Lane, b.Height})
	d.recent.Add(b.Hash(), b)
	return nil
}

// selectTxs makes an own batch if one is wanted and worth it.
func (d *Driver) selectTxs() error {
	if d.want == nil {
		return nil
	}
	own := map[hash.Hash]struct{}{}
	for _, ids := range d.ownSent {
		for id := range ids {
			own[id] = struct{}{}
		}
	}
	txs := d.cfg.Select(d.want.MaxBytes, d.want.MaxTxs, own)
	if len(txs) == 0 {
		return nil
	}
	d.want = nil
	ids := make(map[hash.Hash]struct{}, len(txs))
	for _, raw := range txs {
		if tx, err := types.DecodeTx(raw); err == nil {
			ids[tx.ID()] = struct{}{}
		}
	}
	d.ownSent[d.core.OwnTop()+1] = ids
	return d.step(lanes.Txs{Txs: txs})
}

// deliver hands the batches of a block over to who waits for them.
func (d *Driver) deliver(o lanes.Ordered) {
	for _, b := range o.Batches {
		d.recent.Add(b.Hash(), b)
	}
	if len(o.Block.Cut) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delivered[o.Block.Hash()] = o.Batches
	close(d.arrived)
	d.arrived = make(chan struct{})
}

// Await returns the batches that a decided block orders, once they are here. Each
// block's can be had once.
func (d *Driver) Await(ctx context.Context, b *types.Block) ([]*types.Batch, error) {
	for {
		d.mu.Lock()
		batches, ok := d.delivered[b.Hash()]
		delete(d.delivered, b.Hash())
		arrived := d.arrived
		d.mu.Unlock()
		if ok {
			return batches, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d *Driver) put(do func() error) {
	select {
	case d.inbox <- do:
	case <-d.done:
	}
}

// Batch hands in a batch whose signature and transactions were checked, or that was
// fetched.
func (d *Driver) Batch(b *types.Batch) {
	d.put(func() error { return d.step(lanes.BatchIn{Batch: b}) })
}

// Ack hands in an acknowledgement from the voter itself.
func (d *Driver) Ack(a lanes.Ack) {
	d.put(func() error { return d.step(lanes.AckIn{Ack: a}) })
}

// Cert hands in a certificate of an epoch.
func (d *Driver) Cert(e types.Epoch, c types.LaneCert) {
	d.put(func() error {
		if e != d.epoch {
			return nil
		}
		return d.step(lanes.CertIn{Cert: c})
	})
}

// Decided takes the next decided block.
func (d *Driver) Decided(b *types.Block) {
	d.put(func() error {
		d.later = append(d.later, b)
		return d.advance()
	})
}

// advance feeds decided blocks to the core of their epoch, and goes on to the next
// epoch once everything before is ordered.
func (d *Driver) advance() error {
	for len(d.later) > 0 {
		b := d.later[0]
		if b.Epoch != d.epoch {
			if !d.core.Idle() {
				return nil
			}
			core, err := d.cfg.NewCore(b.Epoch, lanes.Restored{})
			if err != nil {
				return fmt.Errorf("lanes of epoch %d: %w", b.Epoch, err)
			}
			d.epoch, d.core, d.want = b.Epoch, core, nil
			clear(d.ownSent)
			d.timer.Stop()
			if err := d.step(lanes.Start{}); err != nil {
				return err
			}
		}
		d.later = d.later[1:]
		if err := d.step(lanes.Decided{Block: b}); err != nil {
			return err
		}
	}
	return nil
}

// Cut is what a block of an epoch on top of undecided ones should order.
func (d *Driver) Cut(e types.Epoch, undecided []*types.Block) (cut []types.LaneCert) {
	answered := make(chan struct{})
	d.put(func() error {
		if e == d.epoch {
			cut = d.core.Cut(append(append([]*types.Block{}, d.later...), undecided...))
		}
		close(answered)
		return nil
	})
	select {
	case <-answered:
		return cut
	case <-d.done:
		return nil
	}
}

// Find finds a batch that was stored or ordered lately.
func (d *Driver) Find(h hash.Hash) (*types.Batch, bool) { return d.recent.Get(h) }

// Executed notes that everything up to the given cuts of an epoch is executed, and
// cuts the log behind it.
func (d *Driver) Executed(e types.Epoch, cut []types.LaneCert) {
	if len(cut) == 0 {
		return
	}
	heights := map[types.ValidatorIndex]types.LaneHeight{}
	for _, c := range cut {
		heights[c.Lane] = c.Height
	}
	d.put(func() error { return d.trim(e, heights) })
}

// trim drops what stands at the beginning of the log and is done with. Batches that
// were never ordered go with their epoch.
func (d *Driver) trim(e types.Epoch, done map[types.ValidatorIndex]types.LaneHeight) error {
	for i := range d.stored {
		if s := &d.stored[i]; s.epoch < e || s.epoch == e && s.height <= done[s.lane] {
			s.height = 0
		}
	}
	if own, ok := d.core.OwnLane(); ok && e == d.epoch {
		maps.DeleteFunc(d.ownSent, func(h types.LaneHeight, _ map[hash.Hash]struct{}) bool { return h <= done[own] })
	}
	n := 0
	for n < len(d.stored) && d.stored[n].height == 0 {
		n++
	}
	if n == 0 {
		return nil
	}
	keep := d.cfg.Log.Next()
	if n < len(d.stored) {
		keep = d.stored[n].index
	}
	d.stored = append([]storedBatch{}, d.stored[n:]...)
	if err := d.cfg.Log.DropBefore(keep); err != nil {
		return fmt.Errorf("cut batch log: %w", err)
	}
	return nil
}
