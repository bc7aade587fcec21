package twins

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/testnet/sim"
)

func TestX(t *testing.T) {
	s := New(Bound{4, 1, 7, 2, 1})
	n := 0
	for range s.All() {
		n++
	}
	t.Log(s.Count(), n)
	jobs := make(chan sim.Schedule, 100)
	var wg sync.WaitGroup
	var maxHeal, steps atomic.Int64
	start := time.Now()
	for range 2 {
		wg.Go(func() {
			for j := range jobs {
				r, err := sim.Run(j)
				if err != nil {
					t.Error(sim.Explain(j, err))
				}
				steps.Add(int64(r.Steps))
				for m := maxHeal.Load(); m < int64(r.Healing) && !maxHeal.CompareAndSwap(m, int64(r.Healing)); m = maxHeal.Load() {
				}
			}
		})
	}
	i := uint64(0)
	for sc := range s.All() {
		i++
		jobs <- s.Schedule(sc, hotstuff.ThreePhase{}, i)
	}
	close(jobs)
	wg.Wait()
	t.Log(i, steps.Load(), time.Duration(maxHeal.Load()), time.Since(start))
}

func TestFork(t *testing.T) {
	s := New(Bound{4, 2, 7, 2, 0})
	n, forks := 0, 0
	for sc := range s.All() {
		n++
		if _, err := sim.Run(s.Schedule(sc, hotstuff.ThreePhase{}, 1)); err != nil {
			forks++
			if forks == 1 {
				t.Log(err)
			}
		}
	}
	require.Positive(t, forks)
	t.Log(n, forks)
	_ = rand.N[int]
}
