package sim

import (
	"math"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// send has an event arrive at a replica, if the network is so kind. The event
// reaches whatever incarnation runs then.
func (w *world) send(from, to *replica, ev hotstuff.Event) {
	if from == to || from.liar != nil && w.Tricks.Has(Mute) {
		return
	}
	copies := 1
	if !w.calm {
		if w.rand.IntN(100) < w.Loss || w.lost(from.id, to.id, ev) {
			copies--
		}
		if w.rand.IntN(100) < w.Duplicate {
			copies++
		}
	}
	for range copies {
		w.at(w.now+from.lag()+w.delay(), func() { to.receive(ev) })
	}
}

// toValidator sends to a validator of an epoch: to both of twins.
func (w *world) toValidator(from *replica, epoch types.Epoch, to types.ValidatorIndex, ev hotstuff.Event) {
	member := w.members(epoch)[to]
	for _, r := range w.replicas {
		if r.seat == member {
			w.send(from, r, ev)
		}
	}
}

func (w *world) toAll(from *replica, ev hotstuff.Event) {
	for _, r := range w.replicas {
		w.send(from, r, ev)
	}
}

func (w *world) delay() time.Duration {
	return time.Millisecond/2 + time.Duration(w.rand.Int64N(int64(w.Delay)))
}

// lost reports whether a cut or the round's sides keep an event from a replica.
func (w *world) lost(from, to int, ev hotstuff.Event) bool {
	for _, c := range w.Cuts {
		if c.At <= w.now && w.now < c.At+c.For && separates(c.Sides, c.OneWay, from, to) {
			return true
		}
	}
	if len(w.Rounds) == 0 {
		return false
	}
	v, timeout := viewOf(ev)
	if v == 0 || v > types.View(len(w.Rounds)) {
		return false
	}
	if timeout && w.passes(v) {
		return false
	}
	return separates(w.Rounds[v-1].Sides, false, from, to)
}

// passes reports whether timeouts of a view cross between sides: when no view has
// begun for a while, those that the hindmost replicas wait for, and in the end all.
func (w *world) passes(v types.View) bool {
	idle := w.now - w.progress
	if idle <= roundPatience*w.ViewTimeout || idle > 2*roundPatience*w.ViewTimeout {
		return idle > roundPatience*w.ViewTimeout
	}
	lowest, second := types.View(math.MaxUint64), types.View(math.MaxUint64)
	for _, r := range w.replicas {
		if r.core == nil {
			continue
		}
		switch at := r.core.View(); {
		case at < lowest:
			lowest, second = at, lowest
		case at > lowest:
			second = min(second, at)
		}
	}
	return v <= second
}

func viewOf(ev hotstuff.Event) (v types.View, timeout bool) {
	switch e := ev.(type) {
	case hotstuff.Proposal:
		return e.Block.View, false
	case hotstuff.VoteIn:
		return e.Vote.View, false
	case hotstuff.TimeoutIn:
		return e.Timeout.View, true
	}
	return 0, false
}

// separated reports whether two replicas cannot talk in the view of the first.
func (w *world) separated(a, b *replica) bool {
	return w.lost(a.id, b.id, hotstuff.VoteIn{Vote: types.Vote{View: a.core.View()}})
}

// fetch asks one replica, drawn at random, who answers after two delays. What a
// driver lets through links up to the block that was asked for, so only honest
// answers are played; a liar's is no answer.
func (r *replica) fetch(e hotstuff.Fetch) {
	other := r.w.replicas[r.w.rand.IntN(len(r.w.replicas))]
	if other == r || other.liar != nil || !r.w.calm && r.w.separated(r, other) {
		return
	}
	r.w.at(r.w.now+r.w.delay(), func() {
		if blocks := other.serve(e.Block, e.Above); len(blocks) > 0 {
			r.w.send(other, r, hotstuff.Blocks{Blocks: blocks})
		}
	})
}

// serve lists the ancestors of a block, and the block, above a height.
func (r *replica) serve(h hash.Hash, above types.Height) []*types.Block {
	if r.core == nil {
		return nil
	}
	undecided := r.core.Undecided(h)
	var blocks []*types.Block
	for _, d := range r.executed {
		if d.block.Height > above {
			blocks = append(blocks, d.block)
		}
		if d.block.Hash() == h {
			return blocks
		}
	}
	return append(blocks, undecided...)
}
