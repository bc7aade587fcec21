package hotstuff

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// An epoch ends with its block of height Config.Last. Blocks on top of that one stay
// empty: they only serve to decide it, and are no part of the chain. The replica
// that decides it hands over ([EpochEnded]) and does nothing more; a core for the
// next epoch begins with that block as its root. Its first block carries the
// [types.Handover], which proves the decision to whoever missed it, as do timeouts
// as long as nothing of the new epoch is certified.

// lag has the decided blocks above fetched when somebody speaks of a later epoch: its
// certificates cannot be checked here, but the blocks up to there can, one epoch
// after the other. tip is the block that was spoken of. A liar costs this replica
// little, a few questions now and then, and does not keep it from asking about what
// others speak of.
func (c *Core) lag(e types.Epoch, tip hash.Hash) {
	if e <= c.cfg.Epoch || c.tree.Get(tip) != nil {
		return
	}
	maps.DeleteFunc(c.lagging, func(_ hash.Hash, asked time.Time) bool { return c.now.Sub(asked) >= c.cfg.ViewTimeout/4 })
	if _, asked := c.lagging[tip]; asked || len(c.lagging) >= 2*c.cfg.Validators.Len() {
		return
	}
	c.lagging[tip] = c.now
	holders := bls.NewBitmap(c.cfg.Validators.Len())
	c.emit(Fetch{Epoch: c.cfg.Epoch, Block: tip, Above: c.DecidedHeight(), Holders: holders})
}

// remind shows the proof that the epoch before has ended when one of its validators
// still gives up views in it. It may be that nobody else can: the others are not in the
// new set, or not to be trusted.
func (c *Core) remind(of types.Epoch) {
	h := c.cfg.Handover
	if c.cfg.Prior == nil || h == nil || of+1 != c.cfg.Epoch || c.now.Sub(c.shown) < c.cfg.ViewTimeout/2 {
		return
	}
	c.shown = c.now
	c.emit(ShowEnding{types.Ending{Epoch: of, Last: c.begun.Hash(), Handover: *h}})
}

// onSuccessor takes up the proof that this replica's epoch has ended with the block
// last.
func (c *Core) onSuccessor(last hash.Hash, h *types.Handover) {
	if h == nil || c.proven != nil {
		return
	}
	if err := c.authority.CheckHandover(last, c.cfg.Rule.Phases(), h); err != nil {
		return // whoever sent it need not be a validator of this epoch: not blamed
	}
	headers, err := h.Chain(last)
	if err != nil || headers[0].Height != c.cfg.Last+1 {
		return
	}
	// Not the certificate that was shown: whoever passed it on may have changed it. A
	// quorum checked this one.
	c.proven = &ending{cert: headers[0].Justify, handover: h}
	c.endIfProven()
	if c.done == nil {
		c.fetchMissing()
	}
}

// ending is a proof that the epoch ended, whose last block may not be here yet.
type ending struct {
	cert     types.QC
	handover *types.Handover
}

// endIfProven decides the epoch's last block once it and its proof are here.
func (c *Core) endIfProven() {
	if c.proven == nil || c.done != nil {
		return
	}
	if n := c.tree.Get(c.proven.cert.Block); n != nil && n.Block.Height == c.cfg.Last {
		c.decide(n, c.proven.cert, func(*Node) *types.Handover { return c.proven.handover })
	}
}

// finish hands over to the next epoch at the end of a step in which the last block
// was decided. Not earlier: if this replica leads the next view it proposes once
// more, so that all see what it saw.
func (c *Core) finish() {
	if c.done != nil {
		c.emit(*c.done)
		c.ended = true
	}
}

// handover proves the decision of the epoch's last block by what was certified on
// top of it, up to the block that qc certifies.
func (c *Core) handover(last *Node, qc types.QC) *types.Handover {
	h := &types.Handover{Cert: qc}
	for n := c.tree.Get(qc.Block); n != nil && n != last; n = n.Parent {
		signed, err := n.Block.Signed()
		if err != nil {
			return nil // cannot be: the block was made or decoded here
		}
		h.Headers = append(h.Headers, signed.Header)
	}
	slices.Reverse(h.Headers)
	return h
}

// onNextSet learns which validators the next epoch has.
func (c *Core) onNextSet(h hash.Hash) {
	if c.next != (hash.Hash{}) {
		return
	}
	c.next = h
	var waiting *Node
	for _, n := range c.tree.nodes {
		if n.Block.View == c.view && n != c.tree.root && (waiting == nil || before(n.Block, waiting.Block)) {
			waiting = n
		}
	}
	if waiting != nil {
		c.vote(waiting)
	}
	c.build()
}

// fits checks what a block's place in the epoch demands of it. next is the hash of
// the next set as far as it is known.
func (c *Core) fits(b *types.Block, parent *types.Block) error {
	first := c.cfg.Prior != nil && parent.Hash() == c.begun.Hash()
	switch {
	case b.Epoch != c.cfg.Epoch:
		return fmt.Errorf("block of epoch %d in epoch %d", b.Epoch, c.cfg.Epoch)
	case b.Height > c.cfg.Last && (b.Works() || b.State != nil):
		return fmt.Errorf("block %d is above the epoch's last and not empty", b.Height)
	case (b.Height >= c.cfg.Last) != (b.NextSet != hash.Hash{}):
		return fmt.Errorf("block %d of an epoch that ends with %d: the next set is named exactly at the end", b.Height, c.cfg.Last)
	case b.NextSet != hash.Hash{} && c.next != hash.Hash{} && b.NextSet != c.next:
		return fmt.Errorf("block %d names another next set, %s", b.Height, b.NextSet.Short())
	case first != (b.Handover != nil):
		return fmt.Errorf("block %d: a handover must be present exactly in the first block of an epoch", b.Height)
	}
	if b.Handover != nil {
		if err := c.learnHandover(b.Handover); err != nil {
			return fmt.Errorf("block %d: %w", b.Height, err)
		}
	}
	return nil
}

// learnHandover checks the proof of what this epoch began with, and keeps it.
func (c *Core) learnHandover(h *types.Handover) error {
	if err := c.cfg.Prior.CheckHandover(c.begun.Hash(), c.cfg.Rule.Phases(), h); err != nil {
		return err
	}
	if c.cfg.Handover == nil {
		c.cfg.Handover = h
	}
	return nil
}

// unproven reports whether nothing of this epoch is certified yet, so that others
// may still have to be told that it began.
func (c *Core) unproven() bool { return c.cfg.Prior != nil && c.high.Block == c.begun.Hash() }

// endless is the last height of an epoch that never ends.
const endless = types.Height(math.MaxUint64)
