package sim

import (
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
)

var (
	schedules = flag.Int("schedules", 300, "how many random schedules to run for all network sizes together")
	firstSeed = flag.Uint64("seed", 1, "the first seed")
)

// sizes shares the schedules out: small networks show most faults per second.
var sizes = []struct{ replicas, percent int }{{4, 60}, {7, 32}, {31, 8}}

func TestRandomSchedulesAreSafeAndLive(t *testing.T) {
	for _, size := range sizes {
		t.Run(fmt.Sprintf("%d replicas", size.replicas), func(t *testing.T) {
			count := *schedules * size.percent / 100
			var steps, heights atomic.Int64
			each(count, func(i int) {
				s := Random(*firstSeed+uint64(i), size.replicas)
				report, err := Run(s)
				if err != nil {
					t.Errorf("sim.Random(%d, %d): %s", s.Seed, s.Replicas, Explain(s, err))
				}
				steps.Add(int64(report.Steps))
				heights.Add(int64(report.Decided))
			})
			t.Logf("%d schedules, %d steps, %d heights decided by all", count, steps.Load(), heights.Load())
		})
	}
}

func TestSameSeedIsTheSameRun(t *testing.T) {
	for seed := range uint64(6) {
		a, errA := Run(Random(seed, 4))
		b, errB := Run(Random(seed, 4))
		require.Equal(t, a, b)
		require.Equal(t, errA, errB)
	}
}

// A voting rule that votes for anything must be found out by random schedules.
func TestVotingForAnythingForks(t *testing.T) {
	for _, rule := range []hotstuff.Rule{hotstuff.ThreePhase{}, hotstuff.TwoPhase{}} {
		t.Run(rule.Name(), func(t *testing.T) {
			var forks atomic.Int64
			each(20000, func(i int) {
				if forks.Load() > 0 {
					return
				}
				if _, err := Run(Siege(*firstSeed+uint64(i), 4, 1, credulous{rule})); errors.Is(err, ErrFork) {
					t.Log(i, err)
					forks.Add(1)
				}
			})
			require.Positive(t, forks.Load(), "no schedule shows that the rule is broken")
		})
	}
}

// each runs f for 0..n-1 on two goroutines: worlds share nothing.
func each(n int, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

func BenchmarkConsensusCore(b *testing.B) {
	for _, n := range []int{4, 31} {
		b.Run(fmt.Sprintf("%d-replicas", n), func(b *testing.B) {
			steps := 0
			for i := 0; b.Loop(); i++ {
				s := Random(uint64(i), n)
				s.Liars, s.Crashes, s.Cuts, s.Loss, s.Duplicate = 0, nil, nil, 0, 0
				report, err := Run(s)
				require.NoError(b, err)
				steps += report.Steps
			}
			b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
		})
	}
}
