package hotstuff

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrStanding is wrapped when a stored standing cannot be read.
var ErrStanding = errors.New("stored standing of the leaders")

// failure is what the chain tells of a leader who let a view pass.
type failure struct {
	_      struct{} `cbor:",toarray"`
	Leader types.ValidatorIndex
	View   types.View // the last one it lost
	Count  uint64     // since it last led with success
	Heard  bool       // it has signed a certificate of a later view
}

// Standing says which leaders are passed over, as far as one block's ancestors
// tell: who failed is, until it is heard of again, and then for a number of views
// that doubles with each failure. Everything follows from the committed chain, so
// replicas that extend one block agree on who leads next (after Carousel, Cohen et
// al., FC 2023, which elects only recent voters). The zero value passes over nobody.
// It is immutable.
type Standing struct{ failures []failure } // ascending by leader

// maxPenalty is by how many doublings a penalty grows at most.
const maxPenalty = 8

// after returns the standing as of a block on top of the one that s is of. lost are
// the leaders that should have proposed, by view, between the two.
func (s Standing) after(b *types.Block, lost []failure) Standing {
	next := make([]failure, 0, len(s.failures)+len(lost))
	for _, f := range s.failures {
		if f.Leader == b.Proposer {
			continue
		}
		f.Heard = f.Heard || b.Justify.View > f.View && b.Justify.Signers.Has(int(f.Leader))
		next = append(next, f)
	}
	for _, l := range lost {
		at, found := slices.BinarySearchFunc(next, l, byLeader)
		if !found {
			next = slices.Insert(next, at, failure{Leader: l.Leader})
		}
		f := &next[at]
		f.View, f.Count, f.Heard = l.View, f.Count+1, false
	}
	return Standing{next}
}

func byLeader(a, b failure) int { return cmp.Compare(a.Leader, b.Leader) }

// excluded lists who is passed over in a view: the latest failures first, and never
// so many that the rest might not hold enough honest validators to lead.
func (s Standing) excluded(set *types.ValidatorSet, v types.View) (out []types.ValidatorIndex) {
	failures := slices.Clone(s.failures)
	slices.SortStableFunc(failures, func(a, b failure) int { return cmp.Compare(b.View, a.View) })
	var power uint64
	for _, f := range failures {
		penalty := types.View(set.Len()) << min(f.Count-1, maxPenalty)
		if f.Heard && v >= f.View+penalty {
			continue
		}
		if power += set.Power(f.Leader); power >= set.Minority() {
			break
		}
		out = append(out, f.Leader)
	}
	return out
}

// Encode returns the canonical encoding.
func (s Standing) Encode() []byte {
	if s.failures == nil {
		return canon.MustMarshal([]failure{})
	}
	return canon.MustMarshal(s.failures)
}

// DecodeStanding reads what [Standing.Encode] wrote; nothing is the zero value.
func DecodeStanding(raw []byte) (Standing, error) {
	var s Standing
	if len(raw) == 0 {
		return s, nil
	}
	if err := canon.Unmarshal(raw, &s.failures); err != nil {
		return s, fmt.Errorf("%w: %w", ErrStanding, err)
	}
	if s.failures == nil {
		return s, fmt.Errorf("%w: null", ErrStanding)
	}
	for i, f := range s.failures {
		if f.Count == 0 || i > 0 && s.failures[i-1].Leader >= f.Leader {
			return Standing{}, fmt.Errorf("%w: out of order", ErrStanding)
		}
	}
	return s, nil
}

// leader is who may propose in view v on top of n. relief is whether the view
// before, n's own, ended in a timeout although n was certified: then whoever should
// have collected the votes failed, and another takes its place.
func (c *Core) leader(n *Node, v types.View, relief bool) types.ValidatorIndex {
	scheduled := c.cfg.Schedule.Leader(v)
	if !c.cfg.Reputation {
		return scheduled
	}
	out := n.excluded(c.cfg.Validators, v)
	first := c.substitute(scheduled, v, out)
	if !relief {
		return first
	}
	return c.substitute(first, v, append(slices.Clone(out), first))
}

// substitute passes over those who are out by drawing other turns of the schedule.
func (c *Core) substitute(scheduled types.ValidatorIndex, v types.View, out []types.ValidatorIndex) types.ValidatorIndex {
	const draws = 64 // with two thirds of the turns good, missing all is out of the question
	for i := range uint64(draws) {
		if !slices.Contains(out, scheduled) {
			break
		}
		draw := hash.Sum("starling/substitute", canon.MustMarshal([]uint64{uint64(v), i}))
		var turn uint64
		for _, b := range draw[:7] {
			turn = turn<<8 | uint64(b)
		}
		scheduled = c.cfg.Schedule.Leader(types.View(turn))
	}
	return scheduled
}

// excluded memorises the standing's answer: views on top of one node are few.
func (n *Node) excluded(set *types.ValidatorSet, v types.View) []types.ValidatorIndex {
	if len(n.standing.failures) == 0 {
		return nil
	}
	return n.standing.excluded(set, v)
}

// maxLost bounds how many lost views one block is told of.
const maxLost = 64

// standingAfter is the standing that a block on top of p makes.
func (c *Core) standingAfter(p *Node, b *types.Block) Standing {
	if !c.cfg.Reputation {
		return Standing{}
	}
	var lost []failure
	if relieved(b) {
		lost = append(lost, failure{Leader: c.leader(p, b.View, false), View: b.View})
	}
	for v := p.Block.View + 1; v < b.View && v <= p.Block.View+maxLost; v++ {
		lost = append(lost, failure{Leader: c.leader(p, v, false), View: v})
	}
	if len(lost) == 0 && len(p.standing.failures) == 0 {
		return p.standing
	}
	return p.standing.after(b, lost)
}

// relieved reports whether b was proposed by a relief, see [Core.leader].
func relieved(b *types.Block) bool { return b.Timeouts != nil && b.Justify.View+1 == b.View }
