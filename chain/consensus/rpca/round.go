package rpca

import (
	"fmt"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Phase is a phase of a round.
type Phase uint8

// The phases. Accepting takes no time: it begins the next round.
const (
	Open      Phase = iota // transactions gather
	Establish              // positions converge
)

// String returns the name of the phase.
func (p Phase) String() string {
	if p == Open {
		return "open"
	}
	return "establish"
}

// round is the making of one ledger on top of Core.working.
type round struct {
	phase     Phase
	began     time.Time
	closed    time.Time // when establish began
	overtaken time.Time // when a child of working was first seen preferred; zero if none

	own    *Position
	before *Position // the own last one of the round before
	level  int       // updates so far
	moved  bool      // since the last update some position changed
	still  int       // updates at the last threshold since anything moved
}

// Phase is the phase of the present round.
func (c *Core) Phase() Phase { return c.round.phase }

// Support is the threshold for disputed transactions in the next update, in
// percent of the positions.
func (c *Core) Support() int {
	return min(firstSupport+supportStep*c.round.level, lastSupport)
}

// enter begins a round on top of c.working.
func (c *Core) enter(expired, switched bool) {
	before := c.round.before
	if c.round.own != nil && c.round.own.Parent != c.working.block.Hash() {
		before = c.round.own
	}
	c.round = round{began: c.now, before: before}
	for _, i := range c.members {
		c.voices[i].expire(c.tree.root.block.Height)
	}
	c.dropSets()
	c.emit(EnterRound{
		Height: c.working.block.Height + 1, Parent: c.working.block.Hash(), Expired: expired, Switched: switched,
	})
	c.needSets()
}

// expire drops the positions of rounds that are over for good.
func (o *voice) expire(final types.Height) {
	kept := o.positions[:0]
	for _, p := range o.positions {
		if p.Height > final {
			kept = append(kept, p)
		}
	}
	o.positions = kept
}

// advance does what time has come for.
func (c *Core) advance() {
	if c.round.phase == Open {
		c.tryClose()
		return
	}
	if c.now.Sub(c.round.closed) < c.cfg.Timing.MinConsensus {
		return // let everybody take a first position
	}
	c.update()
	if c.round.phase == Establish {
		c.tryExpire()
	}
}

// tryClose asks for the transactions of the next ledger if it may close.
func (c *Core) tryClose() {
	if c.cfg.Self == nil || c.behind() {
		return
	}
	if c.now.Sub(c.round.began) >= c.cfg.Timing.MinClose || c.mostClosed() {
		c.emit(BuildPayload{Parent: c.working.block.Hash(), Undecided: c.blocks(c.working)})
	}
}

// onPayload closes the ledger, unless there is neither work nor need to.
func (c *Core) onPayload(e Payload) {
	if c.cfg.Self == nil || c.round.phase != Open || e.Parent != c.working.block.Hash() {
		return
	}
	idle := c.now.Sub(c.round.began) >= c.cfg.Timing.Idle
	if len(e.Txs) == 0 && !e.Hurry && !idle && !c.mostClosed() {
		return
	}
	entries := make([]candidate, len(e.Txs))
	for i, tx := range e.Txs {
		entries[i] = candidate{hash.Sum("starling/rpca/tx", tx), tx}
	}
	c.round.phase, c.round.closed = Establish, c.now
	resolution := c.cfg.Timing.Resolution.Milliseconds()
	closing := (c.now.UnixMilli() + resolution/2) / resolution * resolution
	c.position(setOf(limited(entries, c.cfg.MaxBytes, c.cfg.MaxTxs)), max(closing, resolution))
	c.needSets()
	c.tryAccept()
}

// position takes a position: on disk first, then to all.
func (c *Core) position(set *TxSet, closing int64) {
	c.seq++
	p := Position{
		Parent: c.working.block.Hash(), Height: c.working.block.Height + 1, Seq: c.seq,
		Set: set.ID(), Close: closing, Voter: *c.cfg.Self,
	}
	p.Signature = c.cfg.Scheme.Sign(p.Message(c.cfg.Chain))
	c.sets[set.ID()] = set
	c.round.own = &p
	c.dropSets()
	c.emit(Persist{Record{Position: &p}})
	c.emit(BroadcastPosition{p})
}

// update brings the own position closer to the others'. The threshold rises
// with each update.
func (c *Core) update() {
	r, support := &c.round, c.Support()
	others := c.here()
	set, closing := c.wantedSet(others, support), wantedClose(*r.own, others, support)
	if set.ID() != r.own.Set || closing != r.own.Close {
		c.position(set, closing)
		r.moved = true
	}
	if r.moved {
		r.still = 0
	} else if support == lastSupport {
		r.still++
	}
	r.moved = false
	r.level++
	c.dropSets()
	c.needSets()
	c.tryAccept()
}

// tryAccept makes the ledger once a quorum of the list holds the own position.
func (c *Core) tryAccept() {
	r := &c.round
	if r.phase != Establish || c.now.Sub(r.closed) < c.cfg.Timing.MinConsensus {
		return
	}
	agree := 0
	if c.voices[*c.cfg.Self] != nil {
		agree++
	}
	for _, p := range c.here() {
		if p.Set == r.own.Set && p.Close == r.own.Close {
			agree++
		}
	}
	if agree >= c.quorum() {
		c.accept()
	}
}

// accept builds the agreed ledger, says so, and goes on to the next.
func (c *Core) accept() {
	r := &c.round
	block, err := c.build(c.working.block, c.sets[r.own.Set], r.own.Close)
	if err != nil {
		c.halt(fmt.Errorf("build ledger %d: %w", r.own.Height, err))
		return
	}
	n := c.tree.insert(block, c.working)
	n.passage.Prepare, n.passage.Precommit, n.passage.Commit = r.closed, c.now, c.now
	c.lastRound = c.now.Sub(r.closed)
	c.working = n
	c.validate(n)
	c.enter(false, false)
	c.settle()
}

// build makes the ledger that everybody makes of the same parent and position.
func (c *Core) build(parent *types.Block, set *TxSet, closing int64) (*types.Block, error) {
	txs := c.cfg.Order(set.Txs())
	txs = txs[:fitting(len(txs), c.cfg.MaxBytes, c.cfg.MaxTxs, func(i int) int { return len(txs[i]) })]
	height := parent.Height + 1
	return types.NewBlock(types.BlockHeader{
		Chain: c.cfg.Chain, Height: height, View: types.View(height),
		Time: max(closing, parent.Time+1), Justify: parentRef(parent),
	}, txs, func(hash.Hash) ([]byte, error) { return []byte{}, nil })
}

// parentRef names the parent. It proves nothing: certificates differ from node
// to node, and a ledger must not.
func parentRef(parent *types.Block) types.QC {
	return types.QC{View: parent.View, Block: parent.Hash(), Signers: []byte{}, Signature: []byte{}}
}

// tryExpire gives the round up when it goes nowhere: when nothing has moved for
// some updates at the last threshold, though not before MaxConsensus; and
// moving or not, after ten times as long as the last round took. A round is not
// called stalled just because it is long: on a network that became slow,
// positions still move.
func (c *Core) tryExpire() {
	t := c.cfg.Timing
	took := c.now.Sub(c.round.closed)
	patience := min(max(expiryFactor*max(c.lastRound, t.MinRound), t.MaxConsensus), t.Abandon)
	stalled := c.round.still >= stallRounds && took >= t.MaxConsensus
	if !stalled && took < patience {
		return
	}
	c.lost++
	c.burned = max(c.burned, c.working.block.Height+1)
	c.working = c.retreat()
	c.partial()
	c.enter(true, false)
}
