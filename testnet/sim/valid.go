package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
)

// What a core accepts is checked here a second time, from the definitions and
// with none of its code.

// quorum reports whether distinct validators, all of the set, are more than two
// thirds of it.
func (w *world) quorum(groups ...bls.Bitmap) bool {
	seen := map[int]bool{}
	for _, g := range groups {
		for i := range g.All() {
			if i >= w.size() || seen[i] {
				return false
			}
			seen[i] = true
		}
	}
	return 3*len(seen) > 2*w.size()
}

func (w *world) validQC(e types.Epoch, qc types.QC) bool {
	if qc.View == 0 {
		return qc.Block == w.chain
	}
	signed := []consensus.Signed{{Message: types.VoteMessage(types.EpochDomain(w.chain, e), qc.View, qc.Block), Signers: qc.Signers}}
	return w.quorum(qc.Signers) && consensustest.Scheme{}.VerifyAggregate(signed, qc.Signature)
}

// validTC checks a timeout certificate of an epoch on top of a decided view: a highest
// certificate that is not above it tells nothing and is nobody's business.
func (w *world) validTC(e types.Epoch, above types.View, tc *types.TC) bool {
	var high types.View
	var groups []bls.Bitmap
	var signed []consensus.Signed
	for _, g := range tc.Groups {
		high = max(high, g.High)
		groups = append(groups, g.Signers)
		signed = append(signed, consensus.Signed{Message: types.TimeoutMessage(types.EpochDomain(w.chain, e), tc.View, g.High), Signers: g.Signers})
	}
	return w.quorum(groups...) && tc.High.View == high && high < tc.View && (high <= above || w.validQC(e, tc.High)) &&
		consensustest.Scheme{}.VerifyAggregate(signed, tc.Signature)
}

// checkBlock checks a decided block against its parent.
func (w *world) checkBlock(b, parent *types.Block) error {
	switch {
	case !w.Reputation && b.Proposer != w.leaders.Leader(b.View):
		return fmt.Errorf("proposed by validator %d, who does not lead view %d", b.Proposer, b.View)
	case b.View <= parent.View || b.Justify.View != parent.View || b.Time <= parent.Time:
		return errors.New("it does not come after its parent")
	case time.UnixMilli(b.Time).After(w.latestClock().Add(maxDrift)):
		return errors.New("it comes from the future of every honest clock")
	case !w.validQC(parent.Epoch, b.Justify):
		return errors.New("its parent is not certified")
	case b.Timeouts == nil && b.View != parent.View+1:
		return errors.New("views were lost without a timeout certificate")
	case b.Timeouts != nil && (b.Timeouts.View+1 != b.View || !w.validTC(b.Epoch, parent.View, b.Timeouts)):
		return errors.New("its timeout certificate is invalid")
	}
	return nil
}

// latestClock is the honest clock that is furthest ahead.
func (w *world) latestClock() (latest time.Time) {
	for r := range w.honest {
		if t := r.clock(); t.After(latest) {
			latest = t
		}
	}
	return latest
}

// trace mixes an effect into the fingerprint of the run.
func (w *world) trace(r *replica, effect hotstuff.Effect) {
	x := uint64(0)
	switch e := effect.(type) {
	case hotstuff.Persist:
		x = 1 + uint64(e.Record.View())<<8
	case hotstuff.Broadcast:
		h := e.Block.Hash()
		x = 2 + uint64(h[0])<<8 + uint64(h[1])<<16 + uint64(h[2])<<24
	case hotstuff.SendVote:
		x = 3 + uint64(e.To)<<8 + uint64(e.Vote.Block[0])<<32
	case hotstuff.Decided:
		x = 4 + uint64(e.Block.Height)<<8
	case hotstuff.EnterView:
		x = 5 + uint64(e.View)<<8
	}
	t := w.report.Trace ^ x ^ uint64(w.now)<<20 ^ uint64(r.id)<<56
	t *= 0x9e3779b97f4a7c15
	w.report.Trace = t ^ t>>29
}
