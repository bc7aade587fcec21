package twins

import (
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/testnet/sim"
)

// Space is the set of scenarios within a bound: Rounds views, in each of which the
// replicas are split into at most Sides sides and one validator leads. The last
// Pairs validators are twins. It is safe for concurrent use.
//
// A choice is what happens in one view: a partition of the Validators+Pairs
// replicas, and a leader, where one more "leader" is the plain rotation. With four
// validators, one pair and two sides there are 16 partitions and 5 leaders, 80
// choices. Scenarios of R rounds whose choice changes at most once number
// 80 + (R-1)*80*79; those of 7 rounds without such a bound, 80^7, or 2*10^13.
//
// Honest validators are alike, twins of a pair are alike and pairs are alike:
// scenarios that differ only by renaming them are the same one. Rotation is not
// touched by renaming: that counts some scenarios twice and misses none.
type Space struct {
	Bound
	choices []choice
}

// Bound is how large a space is.
type Bound struct {
	Validators, Pairs int
	Rounds, Sides     int
	// Changes bounds how often in a scenario the choice changes.
	Changes int
}

// New makes the space within a bound.
func New(b Bound) *Space {
	s := &Space{Bound: b}
	for sides := range s.partitions {
		for leader := rotation; leader < s.Validators; leader++ {
			s.choices = append(s.choices, choice{leader, sides})
		}
	}
	return s
}

// Scenario is one choice a round, by number.
type Scenario []int

// choice is what happens in one view; rotation stands for no fixed leader.
type choice struct {
	leader int
	sides  []sim.Side
}

const rotation = -1

// partitions yields each partition of the replicas into at most Sides sides once,
// each side listed by its least replica.
func (s *Space) partitions(yield func([]sim.Side) bool) {
	var grow func(i int, sides []sim.Side) bool
	grow = func(i int, sides []sim.Side) bool {
		if i == s.Validators+s.Pairs {
			return yield(slices.Clone(sides))
		}
		for k := range min(len(sides)+1, s.Sides) {
			next := slices.Clone(sides)
			if k == len(next) {
				next = append(next, 0)
			}
			next[k] |= 1 << i
			if !grow(i+1, next) {
				return false
			}
		}
		return true
	}
	grow(0, nil)
}

// Count is the number of scenarios before those that are the same one are taken
// together; it is capped at 2^63.
func (s *Space) Count() uint64 {
	choices := float64(len(s.choices))
	total, ways := 0.0, choices
	for k := range min(s.Changes, s.Rounds-1) + 1 {
		total += ways
		ways *= (choices - 1) * float64(s.Rounds-1-k) / float64(k+1)
	}
	return uint64(min(total, 1<<63))
}

// All lists every scenario of the space, of those that are the same one only the
// first.
func (s *Space) All() iter.Seq[Scenario] {
	return func(yield func(Scenario) bool) {
		choices := len(s.choices)
		renamings := s.renamings()
		scenario := make(Scenario, s.Rounds)
		var extend func(i, changes int) bool
		extend = func(i, changes int) bool {
			if i == s.Rounds {
				return !first(scenario, renamings) || yield(slices.Clone(scenario))
			}
			if i > 0 && changes == s.Changes {
				scenario[i] = scenario[i-1]
				return extend(i+1, changes)
			}
			for c := range choices {
				scenario[i] = c
				next := changes
				if i > 0 && c != scenario[i-1] {
					next++
				}
				if !extend(i+1, next) {
					return false
				}
			}
			return true
		}
		extend(0, 0)
	}
}

// first reports whether no renaming of a scenario comes before it.
func first(s Scenario, renamings [][]int) bool {
	for _, renamed := range renamings {
		for _, c := range s {
			if renamed[c] != c {
				if renamed[c] < c {
					return false
				}
				break
			}
		}
	}
	return true
}

// Draw draws a scenario, each of the space (renamed ones apart) with nearly the
// same chance: in all rounds where a change is drawn, the choice may happen to stay.
func (s *Space) Draw(r *rand.Rand) Scenario {
	choices := len(s.choices)
	scenario := make(Scenario, s.Rounds)
	changes := r.Perm(s.Rounds - 1)[:min(s.Changes, s.Rounds-1)]
	for i := range scenario {
		scenario[i] = r.IntN(choices)
		if i > 0 && !slices.Contains(changes, i-1) {
			scenario[i] = scenario[i-1]
		}
	}
	return scenario
}

// renamings lists what each renaming of honest validators, of pairs, and of the
// twins of each pair makes of each choice.
func (s *Space) renamings() (tables [][]int) {
	number := map[string]int{}
	for i, c := range s.choices {
		number[c.key()] = i
	}
	honest := s.Validators - s.Pairs
	for h := range permutations(honest) {
		for p := range permutations(s.Pairs) {
			for swaps := range 1 << s.Pairs {
				to := slices.Clone(h)
				for i := range s.Pairs {
					to = append(to, honest+p[i])
				}
				for i := range s.Pairs {
					to = append(to, s.Validators+p[i])
					if swaps>>i&1 == 1 {
						to[honest+i], to[s.Validators+i] = to[s.Validators+i], to[honest+i]
					}
				}
				table := make([]int, len(s.choices))
				for i, c := range s.choices {
					table[i] = number[s.rename(c, to).key()]
				}
				tables = append(tables, table)
			}
		}
	}
	return tables
}

// rename applies a renaming of replicas. A leader stands for both of its twins.
func (s *Space) rename(c choice, to []int) choice {
	out := choice{leader: c.leader}
	if c.leader >= 0 {
		if out.leader = to[c.leader]; out.leader >= s.Validators {
			out.leader -= s.Pairs
		}
	}
	for _, side := range c.sides {
		var renamed sim.Side
		for i, j := range to {
			if side.Has(i) {
				renamed |= 1 << j
			}
		}
		out.sides = append(out.sides, renamed)
	}
	// Sides are listed by their least replica.
	slices.SortFunc(out.sides, func(a, b sim.Side) int { return int(a&-a) - int(b&-b) })
	return out
}

func (c choice) key() string {
	key := []byte{byte(c.leader)}
	for _, side := range c.sides {
		key = append(key, byte(side>>8), byte(side))
	}
	return string(key)
}

func permutations(n int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		var extend func(taken []int) bool
		extend = func(taken []int) bool {
			if len(taken) == n {
				return yield(slices.Clone(taken))
			}
			for i := range n {
				if !slices.Contains(taken, i) && !extend(append(slices.Clone(taken), i)) {
					return false
				}
			}
			return true
		}
		extend(nil)
	}
}

// Schedule makes the schedule of a scenario. Only delays are left to the seed.
func (s *Space) Schedule(scenario Scenario, rule hotstuff.Rule, seed uint64) sim.Schedule {
	out := sim.Schedule{
		Seed: seed, Replicas: s.Validators, Rule: rule, Twins: s.Pairs,
		ViewTimeout: 200 * time.Millisecond, Delay: 20 * time.Millisecond,
		Chaos: time.Duration(s.Rounds) * 2 * time.Second, Calm: 8 * time.Second,
	}
	for i, n := range scenario {
		c := s.choices[n]
		r := sim.Round{Leader: types.ValidatorIndex(c.leader)}
		if c.leader == rotation {
			r.Leader = types.ValidatorIndex((i + 1) % s.Validators)
		}
		if len(c.sides) > 1 {
			r.Sides = c.sides
		}
		out.Rounds = append(out.Rounds, r)
	}
	return out
}
