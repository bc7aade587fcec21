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
	voter types.ValidatorIndex
	view  types.View
}

func (l *law) fail(format string, args ...any) {
	if l.broken == nil {
		l.broken = fmt.Errorf(format, args...)
	}
}

func (l *law) observe(w *world, r *replica, effect hotstuff.Effect) {
	w.report.Trace = hash.Sum("trace", w.report.Trace[:], canon.MustMarshal([]uint64{uint64(w.now), uint64(r.self)}), fmt.Appendf(nil, "%T", effect))
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
		l.vote(r, types.Vote{View: e.Block.View, Block: e.Block.Hash()})
	case hotstuff.Decided:
		l.decide(r, e.Block)
	}
}

// vote: a replica shows one vote a view, crash or no crash, and only after it
// is on disk.
func (l *law) vote(r *replica, v types.Vote) {
	s := slot{r.self, v.View}
	if before, ok := l.votes[s]; ok && before != v.Block {
		l.fail("replica %d voted twice in view %d", r.self, v.View)
	}
	l.votes[s] = v.Block
	for _, rec := range slices.Backward(r.records) {
		if rec.Vote != nil && rec.Vote.View == v.View {
			if rec.Vote.Block != v.Block {
				l.fail("replica %d shows another vote in view %d than it wrote down", r.self, v.View)
			}
			return
		}
	}
	l.fail("replica %d shows a vote in view %d that is not on its disk", r.self, v.View)
}

// decide: blocks come in order, and all replicas decide the same ones.
func (l *law) decide(r *replica, b *types.Block) {
	tip := r.executed[len(r.executed)-1].block
	if b.Height != tip.Height+1 || b.Parent() != tip.Hash() {
		l.fail("replica %d decides height %d on top of height %d", r.self, b.Height, tip.Height)
		return
	}
	switch i := int(b.Height) - 1; {
	case i == len(l.chain):
		l.chain = append(l.chain, b.Hash())
	case i > len(l.chain) || l.chain[i] != b.Hash():
		l.fail("%w: replica %d decides block %s at height %d, others decided %s", ErrFork, r.self, b.Hash().Short(), b.Height, l.chain[i].Short())
	}
}

// checkLive: within the calm time every honest replica decides what any had
// decided before, and a few blocks more.
func (l *law) checkLive(w *world, before types.Height) {
	const more = 5
	for r := range w.honest {
		if r.height() < before+more {
			l.fail("replica %d is at height %d; the network was at %d when it became timely and should be above %d", r.self, r.height(), before, before+more)
			return
		}
	}
}
