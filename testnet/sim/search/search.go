// Package search looks for schedules that break a law of consensus: a fixed mix of
// Twins scenarios, lying replicas, bad networks, wrong clocks and crashes. Look at
// [Mix], which says what the i-th schedule is, then at [Run].
//
// The package runs testnet/sim on all processors; each schedule is deterministic,
// and so which is found first does not depend on how many there are. It never
// imports a driver, a clock or a network.
package search

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/testnet/sim"
	"github.com/starlingmesh/starling/testnet/sim/twins"
)

// The spaces of Twins scenarios that the mix draws from.
var (
	wild  = twins.New(twins.Bound{Validators: 4, Pairs: 1, Rounds: 7, Sides: 3, Changes: 6})
	tame  = twins.New(twins.Bound{Validators: 4, Pairs: 1, Rounds: 9, Sides: 2, Changes: 2})
	pairs = twins.New(twins.Bound{Validators: 7, Pairs: 2, Rounds: 8, Sides: 3, Changes: 3})
)

// Mix is the schedule with a number: of ten, three are drawn from all Twins scenarios
// of 4 validators with 1 pair over 7 views, one from those of 9 views with at most two
// changes, one is a Twins scenario of 7 validators with 2 pairs, two are sieges
// ([sim.Siege]), and three are random schedules ([sim.Random]), most of 4 validators,
// some of 7. Rules alternate.
func Mix(number uint64) sim.Schedule {
	r := rand.New(rand.NewPCG(number, 0x7715))
	var rule hotstuff.Rule = hotstuff.ThreePhase{}
	if number/10%2 == 1 {
		rule = hotstuff.TwoPhase{}
	}
	space := wild
	switch number % 10 {
	case 3:
		space = tame
	case 4:
		space = pairs
	case 5:
		return sim.Siege(number, 4, 1, rule)
	case 6:
		n := 4 + 3*int(number/20%4/3)
		return sim.Siege(number, n, (n-1)/3, rule)
	case 7, 8:
		return sim.Random(number/2, 4)
	case 9:
		return sim.Random(number/10, 4+3*int(number/10%4/3))
	}
	return space.Schedule(space.Draw(r), rule, number)
}

// Result is what a search came to.
type Result struct {
	Schedules, Steps int
	Healing          time.Duration // the longest
	Found            *sim.Schedule // of the least number that breaks a law, nil if none does
	Broken           error         // the law
}

// Run runs the schedules numbered from first on, until count have run or one breaks
// a law.
func Run(first, count uint64, schedule func(number uint64) sim.Schedule) (res Result) {
	var next atomic.Uint64
	var found atomic.Uint64 // the least number yet, from 1
	found.Store(count + 1)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1); i < found.Load(); i = next.Add(1) {
				s := schedule(first + i - 1)
				report, err := sim.Run(s)
				mu.Lock()
				res.Schedules++
				res.Steps += report.Steps
				res.Healing = max(res.Healing, report.Healing)
				if err != nil && i < found.Load() {
					found.Store(i)
					res.Found, res.Broken = &s, err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return res
}
