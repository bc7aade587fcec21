package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
)

// Schedule is one experiment: a network and what happens to it.
type Schedule struct {
	Seed     uint64
	Replicas int
	Rule     hotstuff.Rule
	// Liars is how many replicas, the last ones, equivocate and withhold.
	Liars int
	// Chaos is how long faults happen, Calm how long the network then is timely.
	Chaos, Calm time.Duration
	// Loss and Duplicate are chances per message in percent; Delay is the
	// longest delay of a message, each drawn evenly.
	Loss, Duplicate int
	Delay           time.Duration
	// Crashes and Partitions are how many happen during Chaos.
	Crashes, Partitions int
	// ViewTimeout is the replicas' base timeout.
	ViewTimeout time.Duration
	// EpochBlocks is the length of an epoch, 0 for one without end. Each epoch has
	// another set of validators: with 5 replicas or more one of them is left out.
	EpochBlocks uint64
	// Reputation has leaders passed over who failed.
	Reputation bool
}

// maxTimeouts caps a replica's view timeout, in multiples of the base.
const maxTimeouts = 4

// Random draws a schedule for n replicas from a seed. The rule alternates.
func Random(seed uint64, n int) Schedule {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	s := Schedule{
		Seed: seed, Replicas: n, Rule: hotstuff.ThreePhase{},
		Chaos: time.Duration(1000+r.IntN(3000)) * time.Millisecond, Calm: 6 * time.Second,
		Loss: r.IntN(30), Duplicate: r.IntN(20),
		Delay:   time.Duration(1+r.IntN(60)) * time.Millisecond,
		Crashes: r.IntN(2 * n), Partitions: r.IntN(4),
		ViewTimeout: 200 * time.Millisecond,
	}
	if seed%2 == 1 {
		s.Rule = hotstuff.TwoPhase{}
	}
	if r.IntN(3) == 0 {
		s.EpochBlocks = uint64(4 + r.IntN(12))
	}
	s.Reputation = r.IntN(2) == 0
	if r.IntN(2) == 0 {
		s.Liars = 1 + r.IntN((n-1)/3)
		// All liars may lead in a row, each costing the longest timeout.
		s.Calm += time.Duration(s.Liars) * maxTimeouts * s.ViewTimeout
	}
	return s
}

// String says how to run the schedule again.
func (s Schedule) String() string {
	return fmt.Sprintf("sim.Random(%d, %d) [%s, %d liars, loss %d%%, duplicates %d%%, delay %s, %d crashes, %d partitions, epochs of %d, reputation %t]",
		s.Seed, s.Replicas, s.Rule.Name(), s.Liars, s.Loss, s.Duplicate, s.Delay, s.Crashes, s.Partitions, s.EpochBlocks, s.Reputation)
}

// members is how many replicas validate at a time.
func (s Schedule) members() int {
	if s.EpochBlocks > 0 && s.Replicas > 4 {
		return s.Replicas - 1
	}
	return s.Replicas
}
