package twins

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/testnet/sim"
)

var rules = []hotstuff.Rule{hotstuff.ThreePhase{}, hotstuff.TwoPhase{}}

// small is the space that is searched in full.
var small = Bound{Validators: 4, Pairs: 1, Rounds: 7, Sides: 2, Changes: 1}

func TestEveryScenarioOfTheSmallSpaceIsSafeAndLive(t *testing.T) {
	space := New(small)
	require.EqualValues(t, 80+6*80*79, space.Count())
	jobs := make(chan sim.Schedule)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for s := range jobs {
				if _, err := sim.Run(s); err != nil {
					t.Error(sim.Explain(s, err))
				}
			}
		})
	}
	count := 0
	for scenario := range space.All() {
		count++
		jobs <- space.Schedule(scenario, rules[count%2], uint64(count))
	}
	close(jobs)
	wg.Wait()
	require.Equal(t, 5055, count) // of 38,000, those that are the same one counted once
}

// With more than a third of the validators twins there must be forks: else the
// search is blind.
func TestTwoPairsOfFourFork(t *testing.T) {
	space := New(Bound{Validators: 4, Pairs: 2, Rounds: 7, Sides: 2, Changes: 0})
	for _, rule := range rules {
		forks := 0
		for scenario := range space.All() {
			if _, err := sim.Run(space.Schedule(scenario, rule, 1)); errors.Is(err, sim.ErrFork) {
				forks++
			}
		}
		require.Positive(t, forks, rule.Name())
	}
}

// Every raw scenario is a renaming of exactly one that is listed.
func TestListedScenariosStandForAll(t *testing.T) {
	space := New(Bound{Validators: 4, Pairs: 1, Rounds: 2, Sides: 2, Changes: 1})
	renamings := space.renamings()
	covered := map[[2]int]int{}
	for s := range space.All() {
		orbit := map[[2]int]bool{}
		for _, to := range renamings {
			orbit[[2]int{to[s[0]], to[s[1]]}] = true
		}
		for raw := range orbit {
			covered[raw]++
		}
	}
	require.Len(t, covered, int(space.Count()))
	for raw, times := range covered {
		require.Equal(t, 1, times, raw)
	}
	require.Len(t, renamings, 12)
}

func TestDrawnScenariosKeepTheBound(t *testing.T) {
	space := New(Bound{Validators: 7, Pairs: 2, Rounds: 8, Sides: 3, Changes: 3})
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		scenario := space.Draw(r)
		changes := 0
		for i := 1; i < len(scenario); i++ {
			if scenario[i] != scenario[i-1] {
				changes++
			}
		}
		require.LessOrEqual(t, changes, 3)
		s := space.Schedule(scenario, rules[0], 1)
		require.Len(t, s.Rounds, 8)
		for _, round := range s.Rounds {
			var all sim.Side
			for _, side := range round.Sides {
				require.Zero(t, all&side)
				all |= side
			}
			require.True(t, all == 0 || all == 1<<9-1)
		}
	}
}

// Without a bound on changes the space is the full product of choices.
func TestUnboundedSpaceIsTheProduct(t *testing.T) {
	require.InEpsilon(t, 80.*80*80*80*80*80*80, float64(New(Bound{Validators: 4, Pairs: 1, Rounds: 7, Sides: 2, Changes: 6}).Count()), 1e-9)
}

func BenchmarkScenario(b *testing.B) {
	space := New(small)
	r := rand.New(rand.NewPCG(1, 2))
	steps := 0
	for i := 0; b.Loop(); i++ {
		report, err := sim.Run(space.Schedule(space.Draw(r), rules[i%2], uint64(i)))
		require.NoError(b, err)
		steps += report.Steps
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "schedules/s")
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}
