package sim

import (
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
)

// Schedule is one experiment: a network and what happens to it. Chances are
// drawn from Seed while it runs, so equal schedules are equal runs. [Schedule.String]
// writes it as a script, [Parse] reads one.
//
// Replicas are numbered: validators first, then the second copies of twins.
type Schedule struct {
	Seed     uint64
	Replicas int // validators, each of power 1
	Rule     hotstuff.Rule
	// Twins is how many validators, the last ones, run twice: two unmodified
	// replicas with one key, each with a disk of its own (Bano et al., 2020).
	Twins int
	// Liars is how many validators, those before the twins, use the Tricks.
	Liars  int
	Tricks Tricks
	// Chaos is how long faults happen, Calm how long the network then is timely:
	// every honest replica must be live within it. With Rounds, chaos ends as
	// soon as an honest replica has passed them all.
	Chaos, Calm time.Duration
	// Loss and Duplicate are chances per message in percent; Delay is the
	// longest delay of a message, each drawn evenly.
	Loss, Duplicate int
	Delay           time.Duration
	// ViewTimeout is the replicas' base timeout.
	ViewTimeout time.Duration
	// EpochBlocks is the length of an epoch, 0 for one without end. Each epoch has
	// another set of validators: with 5 replicas or more one of them is left out.
	// Twins and rounds are for one epoch.
	EpochBlocks int
	// Reputation has leaders passed over who failed.
	Reputation bool
	// Skews is how far each validator's clock is off; the rest are right.
	Skews   []time.Duration
	Crashes []Crash
	Cuts    []Cut
	Rounds  []Round
}

// Crash kills a replica at a write to its vote log: the Nth (from 0) at or after
// At, with the record on disk or not. It starts again after Down and has forgotten
// to have executed the last Lag blocks.
type Crash struct {
	Replica int
	At      time.Duration
	Nth     int
	OnDisk  bool
	Down    time.Duration
	Lag     int
}

// Cut loses all messages between the sides of the network for a while; with
// OneWay only those from the first side to the second. Replicas on no side are
// not concerned.
type Cut struct {
	At, For time.Duration
	Sides   []Side
	OneWay  bool
}

// Round says who leads a view, the first, second and so on, and how messages of
// that view are kept within sides; no sides is a whole network. Timeouts cross
// once no view has begun for [roundPatience] timeouts, so that rounds always end.
type Round struct {
	Leader types.ValidatorIndex
	Sides  []Side
	Moves  []Move // what a liar with the [Branch] trick does if it leads
}

// Move is a proposal of a liar's: on the certificate of a view, to some replicas.
// A move waits until the liar has the certificates, and for the move before it.
type Move struct {
	On types.View
	To Side
}

// Side is a set of replicas: bit i is replica i.
type Side uint64

// Has reports whether a replica is on the side.
func (s Side) Has(i int) bool { return s>>i&1 == 1 }

const (
	// maxTimeouts caps a replica's view timeout, in multiples of the base.
	maxTimeouts = 4
	// roundPatience is after how many base timeouts a round's sides let timeouts
	// through.
	roundPatience = 3
	// maxDrift is how far ahead of a replica's clock proposals may be.
	maxDrift = time.Second
)

// cores is how many replicas run: twins count twice.
func (s *Schedule) cores() int { return s.Replicas + s.Twins }

// faulty reports whether a replica is a liar or a twin.
func (s *Schedule) faulty(replica int) bool { return replica >= s.Replicas-s.Twins-s.Liars }

// size is how many replicas validate at a time.
func (s *Schedule) size() int {
	if s.EpochBlocks > 0 && s.Replicas > 4 {
		return s.Replicas - 1
	}
	return s.Replicas
}

// members lists the replicas that validate in an epoch, by index: one more is left
// out from epoch to epoch.
func (s *Schedule) members(e types.Epoch) []int {
	out := make([]int, 0, s.Replicas)
	for i := range s.Replicas {
		if s.size() == s.Replicas || i != int(uint64(e)%uint64(s.Replicas)) {
			out = append(out, i)
		}
	}
	return out
}

// Random draws a schedule for n validators from a seed. The rule alternates.
func Random(seed uint64, n int) Schedule {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	s := Schedule{
		Seed: seed, Replicas: n, Rule: hotstuff.ThreePhase{},
		Chaos: time.Duration(1000+r.IntN(3000)) * time.Millisecond, Calm: 6 * time.Second,
		Loss: r.IntN(31), Duplicate: r.IntN(20),
		Delay:       time.Duration(1+r.IntN(60)) * time.Millisecond,
		ViewTimeout: 200 * time.Millisecond,
	}
	if seed%2 == 1 {
		s.Rule = hotstuff.TwoPhase{}
	}
	if r.IntN(3) == 0 {
		s.EpochBlocks = 4 + r.IntN(12)
	}
	s.Reputation = r.IntN(2) == 0
	if r.IntN(2) == 0 {
		s.Liars = 1 + r.IntN((s.size()-1)/3)
		if s.Tricks = Tricks(1 + r.IntN(int(DefaultTricks))); r.IntN(16) == 0 {
			s.Tricks = Mute
		}
		// All liars may lead in a row, each costing the longest timeout.
		s.Calm += time.Duration(s.Liars) * maxTimeouts * s.ViewTimeout
	}
	s.skew(r)
	s.faults(r)
	return s
}

// skew sets clocks wrong: within the drift that replicas tolerate of each other,
// or, as long as nobody lies, one of them beyond it.
func (s *Schedule) skew(r *rand.Rand) {
	if r.IntN(3) > 0 {
		return
	}
	s.Skews = make([]time.Duration, s.Replicas)
	for i := range s.Skews {
		s.Skews[i] = time.Duration(r.Int64N(int64(maxDrift))) - maxDrift/2
	}
	if s.Liars == 0 && r.IntN(3) == 0 {
		far := maxDrift + time.Duration(r.Int64N(int64(5*time.Second)))
		if r.IntN(2) == 0 {
			far = -far
		}
		s.Skews[r.IntN(s.Replicas)] = far
		s.Calm += maxTimeouts * s.ViewTimeout
	}
}

// faults spreads crashes and cuts over the time of chaos.
func (s *Schedule) faults(r *rand.Rand) {
	at := func(longest time.Duration) time.Duration {
		return time.Duration(r.Int64N(int64(longest))).Truncate(time.Microsecond)
	}
	for range r.IntN(2 * s.Replicas) {
		s.Crashes = append(s.Crashes, Crash{
			Replica: r.IntN(s.Replicas), At: at(s.Chaos), OnDisk: r.IntN(2) == 0,
			Down: at(800 * time.Millisecond), Lag: r.IntN(3),
		})
	}
	for range r.IntN(4) {
		c := Cut{At: at(s.Chaos), For: at(time.Second), Sides: make([]Side, 2+r.IntN(2))}
		c.OneWay = len(c.Sides) == 2 && r.IntN(2) == 0
		for i := range s.Replicas {
			c.Sides[r.IntN(len(c.Sides))] |= 1 << i
		}
		s.Cuts = append(s.Cuts, c)
	}
}

// separates reports whether messages from one replica to another are lost.
func separates(sides []Side, oneWay bool, from, to int) bool {
	if oneWay {
		return sides[0].Has(from) && sides[1].Has(to)
	}
	a, b := sideOf(sides, from), sideOf(sides, to)
	return a >= 0 && b >= 0 && a != b
}

func sideOf(sides []Side, i int) int {
	for k, s := range sides {
		if s.Has(i) {
			return k
		}
	}
	return -1
}

// members lists a side's replicas in order.
func (s Side) members(yield func(int) bool) {
	for rest := uint64(s); rest != 0; rest &= rest - 1 {
		if !yield(bits.TrailingZeros64(rest)) {
			return
		}
	}
}

// turns is the [hotstuff.Schedule] of rounds, and a rotation once they are over.
type turns struct {
	rounds []Round
	after  hotstuff.Schedule
}

// Leader implements [hotstuff.Schedule].
func (t turns) Leader(v types.View) types.ValidatorIndex {
	if v >= 1 && v <= types.View(len(t.rounds)) {
		return t.rounds[v-1].Leader
	}
	return t.after.Leader(v)
}
