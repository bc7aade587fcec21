package sim

import (
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
)

// Siege draws a schedule that aims at a fork: liars lead most views and know every
// branch, and the network keeps one honest replica, the victim, from the others most
// of the time, so that it decides what they do not know of.
func Siege(seed uint64, n, liars int, rule hotstuff.Rule) Schedule {
	r := rand.New(rand.NewPCG(seed, 0x51e6e))
	s := Schedule{
		Seed: seed, Replicas: n, Rule: rule, Liars: liars,
		Tricks:      Branch | Tricks(r.IntN(int(DefaultTricks)+1))&(Equivocate|Withhold|DoubleVote|Forge),
		ViewTimeout: 200 * time.Millisecond, Delay: time.Duration(1+r.IntN(20)) * time.Millisecond,
		Calm: 8 * time.Second,
	}
	victim := r.IntN(n - liars)
	alone := []Side{1 << victim, (1<<n - 1) &^ (1 << victim)}
	for range 6 + r.IntN(8) {
		round := Round{Leader: types.ValidatorIndex(n - 1 - r.IntN(liars))}
		switch r.IntN(6) {
		case 0:
			round.Leader = types.ValidatorIndex(victim)
		case 1, 2:
			round.Leader = types.ValidatorIndex(r.IntN(n))
		}
		switch r.IntN(8) {
		case 0, 1, 2, 3:
			round.Sides = alone
		case 4:
			round.Sides = make([]Side, 2)
			for i := range n {
				round.Sides[r.IntN(2)] |= 1 << i
			}
		}
		s.Rounds = append(s.Rounds, round)
	}
	s.Chaos = time.Duration(len(s.Rounds)) * 2 * time.Second
	return s
}
