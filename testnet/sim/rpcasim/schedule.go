package rpcasim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/rpca"
)

// Schedule is one experiment: a network and what happens to it.
type Schedule struct {
	Seed  uint64
	Nodes int
	// Lists are the trusted lists by node; nil is all nodes for everybody.
	Lists [][]int
	// Liars is how many nodes, the last ones, equivocate, withhold and vote for
	// everything.
	Liars int
	// Splitter makes the last of five nodes a liar that does nothing but keep the
	// votes of the others split.
	Splitter bool
	// Chaos is how long faults happen, Calm how long the network then is timely.
	Chaos, Calm time.Duration
	// Loss and Duplicate are chances per message in percent; Delay is the
	// longest delay of a message, each drawn evenly.
	Loss, Duplicate int
	Delay           time.Duration
	// Skew is by how much clocks differ at most, drawn for each node.
	Skew time.Duration
	// Crashes and Partitions are how many happen during Chaos. Cut separates
	// the first so many nodes from the others for all of Chaos.
	Crashes, Partitions, Cut int
	// Every is the time between two transactions.
	Every time.Duration
	// Quorum replaces the 80% if it is not 0, and Amnesia has nodes forget in a
	// crash what they validated: both must be found out.
	Quorum  int
	Amnesia bool
}

// timing suits delays of up to 60 ms.
func timing() rpca.Timing {
	return rpca.Timing{
		Tick: 50 * time.Millisecond, MinClose: 100 * time.Millisecond, Idle: 400 * time.Millisecond,
		MinConsensus: 100 * time.Millisecond, MaxConsensus: time.Second, Abandon: 3 * time.Second, MinRound: 150 * time.Millisecond,
		Fresh: 2 * time.Second, Resend: 200 * time.Millisecond, Resolution: 200 * time.Millisecond,
	}
}

// Random draws a schedule for n nodes from a seed. Half of them have liars.
func Random(seed uint64, n int) Schedule {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	s := Schedule{
		Seed: seed, Nodes: n,
		Chaos: time.Duration(1000+r.IntN(5000)) * time.Millisecond, Calm: 12 * time.Second,
		Loss: r.IntN(30), Duplicate: r.IntN(20),
		Delay: time.Duration(1+r.IntN(60)) * time.Millisecond, Skew: time.Duration(r.IntN(500)) * time.Millisecond,
		Crashes: r.IntN(3 * n), Partitions: r.IntN(4), Every: time.Duration(5+r.IntN(100)) * time.Millisecond,
	}
	if r.IntN(2) == 0 {
		s.Liars = r.IntN(n/5 + 1)
	}
	return s
}

// String says how to run the schedule again.
func (s Schedule) String() string {
	return fmt.Sprintf("rpcasim.Random(%d, %d) [%d liars, loss %d%%, duplicates %d%%, delay %s, skew %s, %d crashes, %d partitions]",
		s.Seed, s.Nodes, s.Liars, s.Loss, s.Duplicate, s.Delay, s.Skew, s.Crashes, s.Partitions)
}
