package rpca

import (
	"errors"
	"fmt"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrForeignRoot means that the restored root is not a ledger of the chain.
var ErrForeignRoot = errors.New("restored root belongs to another chain")

// ErrConflict is wrapped by every [ConflictError].
var ErrConflict = errors.New("the trusted list made a ledger final that contradicts one that is final here")

// ConflictError means that two ledgers of one height were made final: more of the
// trusted list lied, or lists overlap less, than the protocol can bear. Nothing
// final is undone, so the node stops.
type ConflictError struct {
	Height types.Height
	Final  hash.Hash // what is final here
	Other  hash.Hash // what a quorum validated
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: height %d: final here is %s, validated was %s: compare trusted lists with the other operators before starting again",
		ErrConflict, e.Height, e.Final.Short(), e.Other.Short())
}

// Unwrap makes the error match [ErrConflict].
func (e *ConflictError) Unwrap() error { return ErrConflict }

// passage is when this node saw a ledger reach each phase.
type passage = consensus.Passage

// Restored is what a node knew before it (re)started.
type Restored struct {
	Root    *types.Block // the last executed block, or the genesis block
	Records []Record     // the vote log, oldest first
}

// Core is one node. It is not safe for concurrent use: its driver feeds it from
// one goroutine.
type Core struct {
	cfg     Config
	members []types.ValidatorIndex // the trusted list
	voices  map[types.ValidatorIndex]*voice
	now     time.Time
	out     []Effect
	halted  bool
	heard   bool // a full validation that was not counted yet

	tree    *tree
	recent  map[types.Height]hash.Hash // final ledgers, the last few
	certs   map[hash.Hash]types.QC     // of ledgers above the root, known or not
	working *node                      // the ledger that the round builds on
	round   round
	sets    map[hash.Hash]*TxSet
	fetch   fetcher

	// What may never be contradicted; mirrored in the vote log.
	seq    uint64       // of the last position or partial validation
	burned types.Height // no full validation of this height or below is signed any more
	own    []Validation // full ones above the root, ascending

	lastFull  *Validation // to be sent again
	last      *Validation // the latest, full or partial
	lastRound time.Duration
	sent      time.Time // when the above were last sent
	lost      uint64    // rounds given up
}

// New makes a node that continues from what was restored. Its first event must
// be [Start].
func New(cfg Config, r Restored) (*Core, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if r.Root.Chain != cfg.Chain {
		return nil, ErrForeignRoot
	}
	c := &Core{
		cfg: cfg, voices: map[types.ValidatorIndex]*voice{}, tree: newTree(r.Root),
		recent: map[types.Height]hash.Hash{r.Root.Height: r.Root.Hash()},
		certs:  map[hash.Hash]types.QC{}, sets: map[hash.Hash]*TxSet{}, burned: r.Root.Height,
	}
	for i := range cfg.List.All() {
		c.members = append(c.members, types.ValidatorIndex(i))
		c.voices[types.ValidatorIndex(i)] = &voice{}
	}
	c.working = c.tree.root
	for _, rec := range r.Records {
		c.replay(rec)
	}
	return c, nil
}

// replay takes up one promise of the past.
func (c *Core) replay(rec Record) {
	if p := rec.Position; p != nil {
		c.seq = max(c.seq, p.Seq)
		return
	}
	v := *rec.Validation
	c.seq = max(c.seq, v.Seq)
	c.burned = max(c.burned, v.Height)
	if c.last == nil || v.after(*c.last) {
		c.last = &v
	}
	if v.Full {
		c.lastFull = &v
		if v.Height > c.tree.root.block.Height {
			c.own = append(c.own, v)
		}
	}
	if b := rec.Block; b != nil {
		if parent := c.tree.get(b.Parent()); parent != nil {
			c.tree.insert(b, parent)
		}
	}
	if n := c.tree.get(v.Block); n != nil {
		c.working = n
	}
}

// Step takes one event and returns what is to be done, in order. The effects
// are valid until the next call. now must never decrease.
func (c *Core) Step(now time.Time, ev Event) []Effect {
	c.now, c.out = now, c.out[:0]
	if c.halted {
		return nil
	}
	switch e := ev.(type) {
	case Start:
		c.start()
	case PositionIn:
		c.onPosition(e.Position)
	case ValidationIn:
		c.onValidation(e.Validation)
	case TxSetIn:
		c.onTxSet(e.Set)
	case Ledgers:
		c.onLedgers(e)
	case Payload:
		c.onPayload(e)
	case Tick:
		c.onTick()
	}
	return c.out
}

func (c *Core) start() {
	for _, v := range c.own {
		c.hear(v)
	}
	if c.last != nil {
		c.hear(*c.last)
	}
	c.enter(false, false)
	c.resend()
	c.settle()
	c.emit(SetTimer{c.cfg.Timing.Tick})
}

func (c *Core) onTick() {
	c.emit(SetTimer{c.cfg.Timing.Tick})
	for _, i := range c.members {
		c.voices[i].asked = false
	}
	if c.now.Sub(c.sent) >= c.cfg.Timing.Resend {
		c.resend()
	}
	if c.cfg.Self != nil {
		c.advance()
	}
	c.settle()
	c.refetch()
}

// settle draws the conclusions of what was heard: what is final, and which
// branch to work on.
func (c *Core) settle() {
	c.finalise()
	if !c.halted {
		c.follow()
	}
}

// resend repeats what others may have missed: the latest validations, and the
// last position, which a slower node may need to finish its round.
func (c *Core) resend() {
	c.sent = c.now
	if c.lastFull != nil {
		c.emit(BroadcastValidation{*c.lastFull})
	}
	if c.last != nil && !c.last.Full {
		c.emit(BroadcastValidation{*c.last})
	}
	if p := c.round.before; p != nil {
		c.emit(BroadcastPosition{*p})
	}
	if p := c.round.own; p != nil {
		c.emit(BroadcastPosition{*p})
	}
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) halt(err error) {
	if !c.halted {
		c.halted = true
		c.emit(Halt{err})
	}
}

func (c *Core) isSelf(i types.ValidatorIndex) bool { return c.cfg.Self != nil && *c.cfg.Self == i }

// quorum is how many of the list must agree, and must validate.
func (c *Core) quorum() int { return percentOf(c.cfg.Quorum, len(c.members)) }

// tolerated is how many of the list may be faulty with all still going well.
func (c *Core) tolerated() int { return len(c.members) - c.quorum() }

// Root is the last final ledger.
func (c *Core) Root() *types.Block { return c.tree.root.block }

// Working is the ledger on top of which the next is being made.
func (c *Core) Working() *types.Block { return c.working.block }

// LostRounds is how many rounds were given up since the start.
func (c *Core) LostRounds() uint64 { return c.lost }

// TxSet finds a transaction set for a peer that lacks it.
func (c *Core) TxSet(id hash.Hash) (*TxSet, bool) {
	s, ok := c.sets[id]
	return s, ok
}

// Undecided lists the ledgers from above the last final one up to and including
// the given one; nil if it is not known.
func (c *Core) Undecided(h hash.Hash) []*types.Block {
	n := c.tree.get(h)
	if n == nil {
		return nil
	}
	return c.blocks(n)
}

func (c *Core) blocks(n *node) []*types.Block {
	var out []*types.Block
	for _, n := range c.tree.path(n) {
		out = append(out, n.block)
	}
	return out
}

// Holds counts the transaction sets and undecided ledgers that are in memory.
func (c *Core) Holds() (sets, ledgers int) {
	return len(c.sets), len(c.tree.byHash) + len(c.fetch.chain)
}
