package hotstuff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// patience is how many views may be lost in a row before timeouts grow: one
// crashed leader should not slow the others down.
const patience = 2

// votesKept is for how many views past votes wait for a late quorum.
const votesKept = 16

// enter begins a view.
func (c *Core) enter(v types.View, timedOut bool) {
	failed := c.Leader()
	c.view, c.entered = v, c.now
	maps.DeleteFunc(c.votes, func(old types.View, _ map[hash.Hash]map[types.ValidatorIndex][]byte) bool {
		return old <= c.high.View || old+votesKept < v
	})
	maps.DeleteFunc(c.timeouts, func(_ types.ValidatorIndex, t *types.Timeout) bool { return t.View+1 < v })
	c.forgetWitnessed()
	c.emit(EnterView{View: v, Leader: c.Leader(), TimedOut: timedOut, Failed: failed})
	c.emit(SetTimer{View: v, After: c.timeout()})
	c.build()
}

// timeout is the duration of the present view: growing by half with each view
// lost since the highest certificate, after the first few.
func (c *Core) timeout() time.Duration {
	d := c.base()
	for lost := patience; types.View(lost) < c.view-c.high.View-1 && d < c.cfg.MaxViewTimeout; lost++ {
		d += d / 2
	}
	return min(d, c.cfg.MaxViewTimeout)
}

// onTimer gives up the present view, and says so again as long as it lasts: every
// base timeout, however long the view was given, since what was said before may
// have been lost.
func (c *Core) onTimer(v types.View) {
	if v != c.view {
		return
	}
	c.fetchMissing()
	c.emit(SetTimer{View: v, After: c.base()})
	c.giveUp()
}

// giveUp broadcasts the timeout of the present view. A repetition carries the
// same signed statement with newer attachments.
func (c *Core) giveUp() {
	if c.cfg.Self == nil || c.silent() {
		return
	}
	again := c.ownTimeout != nil && c.ownTimeout.View == c.view
	t := types.Timeout{Epoch: c.cfg.Epoch, View: c.view, Voter: *c.cfg.Self, High: c.high}
	if c.highTC != nil && c.highTC.View > c.high.View {
		t.Last = c.highTC // why the replica is in this view; it may be the last to know
	}
	if again {
		t.High, t.Signature = c.ownTimeout.High, c.ownTimeout.Signature
	} else {
		t.Signature = c.cfg.Scheme.Sign(types.TimeoutMessage(c.domain, c.view, c.high.View))
	}
	if c.lastVote != nil && c.lastVote.View > c.high.View {
		t.Vote = c.lastVote
	}
	if c.unproven() {
		t.Handover = c.cfg.Handover
	}
	c.ownTimeout = &t
	if !again {
		c.voted = max(c.voted, c.view)
		promise := t
		promise.Vote, promise.Handover = nil, nil
		c.emit(Persist{Record{Epoch: c.cfg.Epoch, Timeout: &promise, Locked: c.locked, High: c.high}})
	}
	c.emit(BroadcastTimeout{Timeout: t})
	if t.Vote != nil {
		c.onVote(*t.Vote) // everyone collects what a crashed leader cannot
	}
	c.take(&t)
}

// onTimeout takes up a timeout and everything it carries.
func (c *Core) onTimeout(t *types.Timeout) {
	if t.Epoch == c.cfg.Epoch+1 {
		c.onSuccessor(t.High.Block, t.Handover)
	}
	c.remind(t.Epoch)
	c.lag(t.Epoch, t.High.Block)
	if t.Epoch != c.cfg.Epoch || c.isSelf(t.Voter) || c.cfg.Validators.Power(t.Voter) == 0 {
		return
	}
	if c.checkTimeout(t) != nil {
		// Nobody is blamed: the signature covers the statement only, and whoever
		// passed it on may have put something else beside it.
		return
	}
	if t.Handover != nil && c.unproven() && c.cfg.Handover == nil && c.learnHandover(t.Handover) == nil {
		c.build()
	}
	if t.Last != nil && c.checkWholeTC(t.Last) == nil {
		c.learnTC(t.Last)
	}
	c.learnHigh(t.High)
	c.fetchMissing()
	c.hear(t.Voter)
	if v := t.Vote; v != nil && v.Voter == t.Voter && v.Epoch == t.Epoch && (c.holds(*v) || c.genuine(*v)) {
		// Checked at once: whoever passed the timeout on may have put it there, to have
		// the voter blamed or to use up the room for votes.
		c.onVote(*v)
	}
	c.take(t)
}

func (c *Core) checkTimeout(t *types.Timeout) error {
	if t.High.View >= t.View {
		return fmt.Errorf("%w: timeout of view %d with certificate %d", ErrCertificate, t.View, t.High.View)
	}
	if kept := c.timeouts[t.Voter]; kept == nil || kept.View != t.View || string(kept.Signature) != string(t.Signature) {
		if !c.cfg.Scheme.Verify(t.Voter, types.TimeoutMessage(c.domain, t.View, t.High.View), t.Signature) {
			return fmt.Errorf("%w: timeout signature in view %d", ErrCertificate, t.View)
		}
	}
	return c.checkQC(t.High)
}

// take counts a checked timeout. A minority that holds an honest replica makes
// this one join; a quorum ends the view.
func (c *Core) take(t *types.Timeout) {
	if t.View+1 < c.view {
		return
	}
	if kept := c.timeouts[t.Voter]; kept == nil || kept.View < t.View {
		c.timeouts[t.Voter] = t
	}
	var same uint64
	for voter, other := range c.timeouts {
		if other.View == t.View {
			same += c.cfg.Validators.Power(voter)
		}
	}
	if same >= c.cfg.Validators.Quorum() {
		if c.highTC != nil && c.highTC.View >= t.View {
			return
		}
		if tc := c.aggregate(t.View); tc != nil {
			c.learnTC(tc)
		}
		return
	}
	if v, ok := c.minorityView(); ok && (c.ownTimeout == nil || c.ownTimeout.View < v) {
		if v > c.view {
			c.enter(v, true)
		}
		c.giveUp()
	}
}

// minorityView is the highest view, not below the present one, that a minority
// with an honest member has given up or passed.
func (c *Core) minorityView() (types.View, bool) {
	latest := slices.SortedFunc(maps.Values(c.timeouts), func(a, b *types.Timeout) int {
		if a.View != b.View {
			return cmp.Compare(b.View, a.View)
		}
		return cmp.Compare(a.Voter, b.Voter)
	})
	var power uint64
	for _, t := range latest {
		if power += c.cfg.Validators.Power(t.Voter); power >= c.cfg.Validators.Minority() {
			return t.View, t.View >= c.view
		}
	}
	return 0, false
}

// aggregate makes a TC of the timeouts of a view.
func (c *Core) aggregate(v types.View) *types.TC {
	tc := &types.TC{View: v}
	groups := map[types.View]bls.Bitmap{}
	var signatures [][]byte
	for i := range c.cfg.Validators.Len() {
		t := c.timeouts[types.ValidatorIndex(i)]
		if t == nil || t.View != v {
			continue
		}
		if groups[t.High.View] == nil {
			groups[t.High.View] = bls.NewBitmap(c.cfg.Validators.Len())
		}
		groups[t.High.View].Set(i)
		signatures = append(signatures, t.Signature)
		if t.High.View >= tc.High.View {
			tc.High = t.High
		}
	}
	for _, high := range slices.Sorted(maps.Keys(groups)) {
		tc.Groups = append(tc.Groups, types.TCGroup{High: high, Signers: groups[high]})
	}
	var err error
	if tc.Signature, err = c.cfg.Scheme.Merge(signatures); err != nil {
		return nil // cannot be: every signature was checked when it came
	}
	return tc
}

// learnTC takes up a timeout certificate that passed checkTC. It is kept, to be shown to
// others, only if the highest certificate in it is genuine, too.
func (c *Core) learnTC(tc *types.TC) {
	whole := c.checkQC(tc.High) == nil
	if whole {
		c.learnHigh(tc.High)
	}
	if c.highTC != nil && tc.View <= c.highTC.View {
		return
	}
	if whole {
		c.highTC = tc
	}
	switch {
	case tc.View >= c.view:
		c.enter(tc.View+1, true)
	case c.relief():
		c.relieve()
	}
}

// relieve lets another leader take over a view that was entered with a certificate
// that its collector never showed: the timeouts brought it. Without this a crashed
// leader would cost two timeouts, one for the votes that it did not collect and one
// for the block that it did not propose.
func (c *Core) relieve() {
	n := c.tree.Get(c.high.Block)
	if n == nil {
		return
	}
	c.emit(EnterView{View: c.view, Leader: c.Leader(), TimedOut: true, Failed: c.leader(n, c.view, false)})
	c.build()
}
