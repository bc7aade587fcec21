package lanes

import (
	"fmt"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/poh"
)

const (
	// ticksAMilli is how fast a lane's history ticks between batches.
	ticksAMilli = 4
	// maxTicks is the most ticks between two batches: checking costs as many hashes.
	maxTicks = 4096
	// goodKept is how many checked certificates are remembered.
	goodKept = 4096
)

// want asks for the transactions of the next own batch, if the lane may go on.
func (c *Core) want() {
	if c.cfg.Self == nil || c.wanted || len(c.waiting) >= c.cfg.Pipeline {
		return
	}
	l := c.ownLane()
	if int(l.top.Height-l.ordered.Height) >= c.cfg.Window {
		return
	}
	c.wanted = true
	c.emit(WantTxs{MaxBytes: c.cfg.MaxBytes, MaxTxs: c.cfg.MaxTxs})
}

// onTxs makes a batch.
func (c *Core) onTxs(txs [][]byte) {
	if !c.wanted {
		return
	}
	c.wanted = false
	if len(txs) == 0 {
		c.want()
		return
	}
	l := c.ownLane()
	parent := hash.Hash{}
	last := int64(0)
	if l.top.Height > 0 {
		parent = l.top.Batch
		if b := l.held[parent]; b != nil {
			last = b.Time
		}
	}
	h := types.BatchHeader{
		Chain: c.cfg.Chain, Epoch: c.cfg.Epoch, Lane: *c.cfg.Self, Height: l.top.Height + 1, Parent: parent,
		Time: max(c.now.UnixMilli(), last+1),
	}
	history := l.top.History
	if last > 0 {
		history.Tick(uint64(min((h.Time-last)*ticksAMilli, maxTicks-1)))
	}
	history.Mix(types.TxRoot(txs))
	h.Ticks, h.History = history.Ticks, history.Value
	b, err := types.NewBatch(h, txs, c.cfg.Scheme.SignBlock)
	if err != nil {
		c.emit(Blame{Validator: *c.cfg.Self, Reason: err.Error()})
		return
	}
	c.waiting[b.Hash()] = &own{batch: b, acks: map[types.ValidatorIndex][]byte{}}
	c.store(l, b)
	c.emit(SendBatch{Batch: b})
	c.acknowledge(b)
	c.want()
	c.tickLater()
}

// store takes a batch up as the next of its lane's chain.
func (c *Core) store(l *lane, b *types.Batch) {
	l.held[b.Hash()] = b
	l.first[b.Height] = b.Hash()
	l.top = PlaceOf(b)
	c.emit(Persist{Batch: b})
}

// acknowledge signs that a batch, and all below it, is held.
func (c *Core) acknowledge(b *types.Batch) {
	if c.cfg.Self == nil {
		return
	}
	message := types.LaneMessage(c.domain, b.Lane, b.Height, b.Hash())
	ack := Ack{Epoch: c.cfg.Epoch, Lane: b.Lane, Height: b.Height, Batch: b.Hash(), Voter: *c.cfg.Self, Signature: c.cfg.Scheme.Sign(message)}
	if c.isSelf(b.Lane) {
		c.onAck(ack)
	} else {
		c.emit(SendAck{To: b.Lane, Ack: ack})
	}
}

// onBatch takes up a batch: as the next of its lane, for later, or because a decided
// cut needs it.
func (c *Core) onBatch(b *types.Batch) {
	if b.Chain != c.cfg.Chain || b.Epoch != c.cfg.Epoch || int(b.Lane) >= len(c.lanes) || b.Height == 0 {
		return
	}
	l := &c.lanes[b.Lane]
	if c.needed(b.Lane, b.Hash()) {
		l.held[b.Hash()] = b
		c.emit(Persist{Batch: b})
		c.deliver()
	}
	if int(b.Size) > c.cfg.MaxBytes || int(b.Count) > c.cfg.MaxTxs || b.Count == 0 {
		c.emit(Blame{Validator: b.Lane, Reason: fmt.Sprintf("batch %d holds %d transactions, %d bytes", b.Height, b.Count, b.Size)})
		return
	}
	if b.Height <= l.ordered.Height || int(b.Height-l.ordered.Height) > c.cfg.Window || c.isSelf(b.Lane) {
		return
	}
	if first, stored := l.first[b.Height]; stored {
		if first == b.Hash() {
			c.acknowledge(b) // sent again: the acknowledgement was lost
		}
		c.compare(l.held[first], b)
		return
	}
	if b.Height != l.top.Height+1 {
		if other := l.early[b.Height]; other != nil {
			c.compare(other, b)
			return
		}
		l.early[b.Height] = b
		return
	}
	for next := b; next != nil; next = l.early[l.top.Height+1] {
		delete(l.early, next.Height)
		if err := c.follows(l, next); err != nil {
			c.emit(Blame{Validator: b.Lane, Reason: err.Error()})
			return
		}
		c.store(l, next)
		c.acknowledge(next)
	}
	if len(c.queue) > 0 {
		c.deliver() // it may be what a block waited for
	}
}

// compare proves the leader of a lane guilty of two batches at one height.
func (c *Core) compare(first, second *types.Batch) {
	if first == nil || first.Hash() == second.Hash() {
		return
	}
	one, errOne := first.Signed()
	two, errTwo := second.Signed()
	if errOne != nil || errTwo != nil {
		return
	}
	ev := consensus.NewEvidence(types.DoubleBatch, c.cfg.Epoch, first.Lane, one, two)
	if _, err := c.cfg.CheckEvidence(&ev); err == nil {
		c.emit(Blame{Validator: first.Lane, Reason: "two batches at one height of a lane", Evidence: &ev})
	}
}

// follows checks that b is the next batch of a lane.
func (c *Core) follows(l *lane, b *types.Batch) error {
	switch {
	case b.Parent != l.top.Batch:
		return fmt.Errorf("batch %d does not extend the one before", b.Height)
	case b.Ticks <= l.top.History.Ticks || b.Ticks-l.top.History.Ticks > maxTicks:
		return fmt.Errorf("batch %d: %d ticks of history after %d", b.Height, b.Ticks, l.top.History.Ticks)
	}
	s := poh.Segment{From: l.top.History, Event: b.TxRoot, To: poh.Chain{Value: b.History, Ticks: b.Ticks}}
	if err := s.Check(); err != nil {
		return fmt.Errorf("batch %d: %w", b.Height, err)
	}
	return nil
}

// onAck counts an acknowledgement of an own batch and makes a certificate.
func (c *Core) onAck(a Ack) {
	w := c.waiting[a.Batch]
	if w == nil || a.Epoch != c.cfg.Epoch || a.Height != w.batch.Height || c.cfg.Validators.Power(a.Voter) == 0 {
		return
	}
	message := types.LaneMessage(c.domain, a.Lane, a.Height, a.Batch)
	if kept, again := w.acks[a.Voter]; again && (string(kept) == string(a.Signature) || !c.cfg.Scheme.Verify(a.Voter, message, a.Signature)) {
		return
	}
	w.acks[a.Voter] = a.Signature
	cert := c.certify(w, message)
	if cert == nil {
		return
	}
	for id, other := range c.waiting {
		if other.batch.Height <= cert.Height {
			delete(c.waiting, id) // the certificate covers what is below
		}
	}
	c.emit(SendCert{Cert: *cert})
	c.learn(*cert)
	c.want()
}

// certify aggregates the acknowledgements once there are enough.
func (c *Core) certify(w *own, message hash.Hash) *types.LaneCert {
	for {
		var power uint64
		var shares []consensus.Share
		for i := range c.cfg.Validators.Len() {
			voter := types.ValidatorIndex(i)
			if sig, ok := w.acks[voter]; ok {
				power += c.cfg.Validators.Power(voter)
				shares = append(shares, consensus.Share{Voter: voter, Signature: sig})
			}
		}
		if power < c.cfg.Validators.Minority() {
			return nil
		}
		aggregate, bad := c.cfg.Scheme.Combine(message, shares)
		if len(bad) == 0 {
			return &types.LaneCert{
				Lane: w.batch.Lane, Height: w.batch.Height, Batch: w.batch.Hash(),
				Signers: bitmapOf(c.cfg.Validators.Len(), shares), Signature: aggregate,
			}
		}
		for _, voter := range bad {
			delete(w.acks, voter)
			c.emit(Blame{Validator: voter, Reason: fmt.Sprintf("bad signature under batch %d of lane %d", w.batch.Height, w.batch.Lane)})
		}
	}
}
