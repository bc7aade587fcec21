package sim

import (
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
)

// Siege draws a schedule that aims at a fork, as attacks on the family of HotStuff
// do: after a few common views as many honest replicas as there are liars miss some;
// then one of the others, the victim, leads alone, so that it may decide what nobody
// else can; from then on it is cut off, and liars, who know every branch, lead most
// views of the others.
func Siege(seed uint64, n, liars int, rule hotstuff.Rule) Schedule {
	r := rand.New(rand.NewPCG(seed, 0x51e6e))
	s := Schedule{
		Seed: seed, Replicas: n, Rule: rule, Liars: liars, Tricks: Branch,
		ViewTimeout: 200 * time.Millisecond, Delay: time.Duration(1+r.IntN(20)) * time.Millisecond,
		Calm: 8 * time.Second,
	}
	if r.IntN(2) == 0 {
		s.Tricks |= Tricks(r.IntN(int(DefaultTricks)+1)) & (Equivocate | Withhold | DoubleVote | Forge)
	}
	victim := r.IntN(n - liars)
	all := Side(1<<n - 1)
	alone := []Side{1 << victim, all &^ (1 << victim)}
	var late Side
	for i := range liars {
		late |= 1 << ((victim + 1 + i) % (n - liars))
	}
	liar := func() types.ValidatorIndex { return types.ValidatorIndex(n - 1 - r.IntN(liars)) }
	anybody := func() types.ValidatorIndex { return types.ValidatorIndex(r.IntN(n)) }
	present := func() types.ValidatorIndex { // not one of those who are late
		if i := anybody(); !late.Has(int(i)) {
			return i
		}
		return liar()
	}
	for range r.IntN(3) {
		s.Rounds = append(s.Rounds, Round{Leader: anybody(), Sides: s.split(r, 6)})
	}
	for range 2 + r.IntN(3) {
		s.Rounds = append(s.Rounds, Round{Leader: present(), Sides: []Side{late, all &^ late}})
	}
	for range 1 + r.IntN(2) {
		s.Rounds = append(s.Rounds, Round{Leader: types.ValidatorIndex(victim), Sides: alone})
	}
	for range 4 + r.IntN(6) {
		round := Round{Leader: liar(), Sides: alone}
		if r.IntN(3) == 0 {
			round.Leader = anybody()
		}
		if r.IntN(12) == 0 {
			round.Sides = s.split(r, 2)
		}
		s.Rounds = append(s.Rounds, round)
	}
	s.Chaos = time.Duration(len(s.Rounds)) * 2 * time.Second
	return s
}

// split draws two sides, once in a number of times.
func (s *Schedule) split(r *rand.Rand, once int) []Side {
	if r.IntN(once) > 0 {
		return nil
	}
	sides := make([]Side, 2)
	for i := range s.Replicas {
		sides[r.IntN(2)] |= 1 << i
	}
	return sides
}
