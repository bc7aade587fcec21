package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrFork means that two honest replicas decided different blocks at a height.
var ErrFork = errors.New("fork")

// law watches every effect of every honest replica.
type law struct {
	broken error
	chain  []hash.Hash        // decided block by height - 1, whoever decided it first
	votes  map[slot]hash.Hash // what each replica's votes, once outside, were for
}

type slot struct {
	replica int
	epoch   types.Epoch
	view    types.View
}

func (l *law) fail(format string, args ...any) {
	if l.broken == nil {
		l.broken = fmt.Errorf(format, args...)
	}
}

func (l *law) observe(w *world, r *replica, effect hotstuff.Effect) {
	w.report.Trace = hash.Sum("trace", w.report.Trace[:], canon.MustMarshal([]uint64{uint64(w.now), uint64(r.id)}), fmt.Appendf(nil, "%T", effect))
	if r.liar {
		return
	}
	switch e := effect.(type) {
	case hotstuff.SendVote:
		l.vote(r, e.Vote)
	case hotstuff.BroadcastTimeout:
		if e.Timeout.Vote != nil {
			l.vote(r, *e.Timeout.Vote)
		}
	case hotstuff.Broadcast:
		l.vote(r, types.Vote{Epoch: e.Block.Epoch, View: e.Block.View, Block: e.Block.Hash()})
	case hotstuff.Decided:
		l.decide(r, e.Block)
	case hotstuff.Blame:
		l.blame(w, e)
	}
}

// vote: a replica shows one vote a view, crash or no crash, and only after it
// is on disk.
func (l *law) vote(r *replica, v types.Vote) {
	s := slot{r.id, v.Epoch, v.View}
	if before, ok := l.votes[s]; ok && before != v.Block {
		l.fail("replica %d voted twice in view %d", r.id, v.View)
	}
	l.votes[s] = v.Block
	for _, rec := range slices.Backward(r.records) {
		if rec.Vote != nil && rec.Epoch == v.Epoch && rec.Vote.View == v.View {
			if rec.Vote.Block != v.Block {
				l.fail("replica %d shows another vote in view %d than it wrote down", r.id, v.View)
			}
			return
		}
	}
	l.fail("replica %d shows a vote in view %d that is not on its disk", r.id, v.View)
}

// decide: blocks come in order, and all replicas decide the same ones.
func (l *law) decide(r *replica, b *types.Block) {
	tip := r.executed[len(r.executed)-1].block
	if b.Height != tip.Height+1 || b.Parent() != tip.Hash() {
		l.fail("replica %d decides height %d on top of height %d", r.id, b.Height, tip.Height)
		return
	}
	switch i := int(b.Height) - 1; {
	case i == len(l.chain):
		l.chain = append(l.chain, b.Hash())
	case i > len(l.chain) || l.chain[i] != b.Hash():
		l.fail("%w: replica %d decides block %s at height %d, others decided %s", ErrFork, r.id, b.Hash().Short(), b.Height, l.chain[i].Short())
	}
}

// checkLive: within the calm time every honest replica decides what any had
// decided before, and a few blocks more.
func (l *law) checkLive(w *world, before types.Height) {
	const more = 5
	for r := range w.honest {
		if r.height() < before+more {
			l.fail("replica %d is at height %d; the network was at %d when it became timely and should be above %d", r.id, r.height(), before, before+more)
			return
		}
	}
}

// blame: what is proven is true, and nobody honest is ever proven to have lied.
func (l *law) blame(w *world, e hotstuff.Blame) {
	if e.Evidence == nil {
		return
	}
	culprit := w.replicas[w.members(e.Evidence.Epoch)[e.Evidence.Culprit]]
	if !culprit.liar {
		l.fail("replica %d is honest and accused of a %s", culprit.id, e.Evidence.Offence)
	}
	if _, err := w.authority(e.Evidence.Epoch).CheckEvidence(e.Evidence); err != nil {
		l.fail("evidence against replica %d: %w", culprit.id, err)
	}
	w.report.Proofs++
}
