package lanes

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrCut is wrapped by every refusal of a cut.
var ErrCut = errors.New("bad cut")

// onCert takes up a certificate if it is good and newer.
func (c *Core) onCert(cert types.LaneCert) {
	if int(cert.Lane) >= len(c.lanes) {
		return
	}
	l := &c.lanes[cert.Lane]
	if cert.Height <= l.ordered.Height || l.cert != nil && cert.Height <= l.cert.Height || c.check(cert) != nil {
		return
	}
	c.learn(cert)
}

func (c *Core) learn(cert types.LaneCert) {
	l := &c.lanes[cert.Lane]
	if l.cert == nil || cert.Height > l.cert.Height {
		l.cert = &cert
	}
}

// CheckCert checks that a certificate proves that its batch can be had.
func CheckCert(a *consensus.Authority, cert types.LaneCert) error {
	if err := cert.Signers.Validate(a.Validators.Len()); err != nil {
		return fmt.Errorf("%w: lane %d: %w", ErrCut, cert.Lane, err)
	}
	if a.Validators.PowerOf(cert.Signers) < a.Validators.Minority() {
		return fmt.Errorf("%w: lane %d: not enough signers", ErrCut, cert.Lane)
	}
	signed := []consensus.Signed{{Message: types.LaneMessage(a.Domain(), cert.Lane, cert.Height, cert.Batch), Signers: cert.Signers}}
	if !a.Scheme.VerifyAggregate(signed, cert.Signature) {
		return fmt.Errorf("%w: lane %d: signature", ErrCut, cert.Lane)
	}
	return nil
}

// check verifies a certificate, once.
func (c *Core) check(cert types.LaneCert) error {
	key := hash.Sum("lane certificate", canon.MustMarshal(cert))
	if _, good := c.good[key]; good {
		return nil
	}
	if err := CheckCert(&c.cfg.Authority, cert); err != nil {
		return err
	}
	if len(c.good) >= goodKept {
		clear(c.good)
	}
	c.good[key] = struct{}{}
	return nil
}

// CheckCut checks a proposed block's cut for a voter: lanes that exist, each once, in
// ascending order, with good certificates. Whether they are newer than what was
// ordered before is not asked: those that are not order nothing.
func (c *Core) CheckCut(cut []types.LaneCert) error {
	for i, cert := range cut {
		if int(cert.Lane) >= len(c.lanes) || i > 0 && cert.Lane <= cut[i-1].Lane || cert.Height == 0 {
			return fmt.Errorf("%w: lane %d at height %d is out of place", ErrCut, cert.Lane, cert.Height)
		}
		if err := c.check(cert); err != nil {
			return err
		}
	}
	return nil
}

// deliver orders decided blocks as far as their batches are here.
func (c *Core) deliver() {
	for len(c.queue) > 0 {
		b := c.queue[0]
		batches, missing := c.resolve(b)
		if len(missing) > 0 {
			c.ask(missing)
			return
		}
		c.queue = c.queue[1:]
		clear(c.asked)
		c.emit(Ordered{Block: b, Batches: batches})
		for _, cert := range b.Cut {
			c.advance(cert)
		}
	}
	c.want()
}

// resolve finds the batches that a block's cut adds, lane by lane from the bottom, or
// what is missing of them: the highest missing batch of each lane.
func (c *Core) resolve(b *types.Block) (batches []*types.Batch, missing []Fetch) {
	for _, cert := range b.Cut {
		if int(cert.Lane) >= len(c.lanes) {
			continue
		}
		l := &c.lanes[cert.Lane]
		var chain []*types.Batch
		height, id := cert.Height, cert.Batch
		for height > l.ordered.Height {
			batch := l.held[id]
			if batch == nil {
				missing = append(missing, Fetch{Lane: cert.Lane, Height: height, Batch: id, Above: l.ordered.Height, Holders: cert.Signers})
				break
			}
			chain = append(chain, batch)
			height, id = height-1, batch.Parent
		}
		slices.Reverse(chain)
		batches = append(batches, chain...)
	}
	return batches, missing
}

// needed reports whether the first decided block that is not ordered waits for a
// batch.
func (c *Core) needed(lane types.ValidatorIndex, h hash.Hash) bool {
	if len(c.queue) == 0 || c.lanes[lane].held[h] != nil {
		return false
	}
	_, missing := c.resolve(c.queue[0])
	for _, f := range missing {
		if f.Lane == lane && f.Batch == h {
			return true
		}
	}
	return false
}

// ask fetches missing batches: at once what is new, again after a while.
func (c *Core) ask(missing []Fetch) {
	for _, f := range missing {
		if last, asked := c.asked[f.Batch]; !asked || c.now.Sub(last) >= c.cfg.Retry {
			c.asked[f.Batch] = c.now
			c.emit(f)
		}
	}
	c.tickLater()
}

// tickLater sets the timer while there is something that may have to be repeated.
func (c *Core) tickLater() {
	idle := len(c.queue) == 0 && len(c.waiting) == 0 && (c.cfg.Self == nil || c.ownLane().cert == nil)
	if !c.ticking && !idle {
		c.ticking = true
		c.emit(SetTimer{After: c.cfg.Retry})
	}
}

// onTick repeats what may have been lost: fetches, own batches that are not
// certified, and the own lane's certificate that is not ordered.
func (c *Core) onTick() {
	c.ticking = false
	if len(c.queue) > 0 {
		c.deliver()
	}
	if c.cfg.Self != nil {
		l := c.ownLane()
		if l.cert != nil {
			c.emit(SendCert{Cert: *l.cert})
		}
		for h := l.ordered.Height + 1; h <= l.top.Height; h++ {
			if w := c.waiting[l.first[h]]; w != nil && c.now.UnixMilli()-w.batch.Time >= c.cfg.Retry.Milliseconds() {
				c.emit(SendBatch{Batch: w.batch})
			}
		}
	}
	c.tickLater()
}

// advance moves a lane's cut and forgets what is below it. A lane whose leader made
// two branches goes on, for this validator, from the one that was ordered.
func (c *Core) advance(cert types.LaneCert) {
	if int(cert.Lane) >= len(c.lanes) || cert.Height <= c.lanes[cert.Lane].ordered.Height {
		return
	}
	l := &c.lanes[cert.Lane]
	top := l.held[cert.Batch]
	l.ordered = PlaceOf(top)
	for h, b := range l.held {
		if b.Height <= cert.Height {
			delete(l.held, h)
		}
	}
	for h := range l.first {
		if h <= cert.Height {
			delete(l.first, h)
		}
	}
	for h := range l.early {
		if h <= cert.Height {
			delete(l.early, h)
		}
	}
	if l.cert != nil && l.cert.Height <= cert.Height {
		l.cert = nil
	}
	if l.top.Height <= cert.Height {
		l.top = l.ordered
	}
	for id, w := range c.waiting {
		if w.batch.Lane == cert.Lane && w.batch.Height <= cert.Height {
			delete(c.waiting, id)
		}
	}
}
