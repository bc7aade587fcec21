package sim

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
)

// Every replica is crashed at each of its writes to the vote log, once with the
// record lost and once with the record on disk and nothing sent.
func TestCrashAtAnyWriteKeepsEveryPromise(t *testing.T) {
	for _, rule := range []hotstuff.Rule{hotstuff.ThreePhase{}, hotstuff.TwoPhase{}} {
		t.Run(rule.Name(), func(t *testing.T) {
			base := Schedule{
				Seed: 5, Replicas: 4, Rule: rule, Loss: 15, Delay: 10 * time.Millisecond,
				ViewTimeout: 60 * time.Millisecond, Chaos: 900 * time.Millisecond, Calm: 4 * time.Second,
			}
			report, err := Run(base)
			require.NoError(t, err)
			var crashes []Crash
			for r, writes := range report.Writes {
				require.Greater(t, writes, 20)
				for n := range writes {
					crashes = append(crashes,
						Crash{Replica: r, Nth: n, Down: time.Duration(n%4) * 50 * time.Millisecond, Lag: n % 3},
						Crash{Replica: r, Nth: n, Down: time.Duration(n%5) * 40 * time.Millisecond, Lag: n % 3, OnDisk: true})
				}
			}
			var happened atomic.Int64
			each(len(crashes), func(i int) {
				s := base
				s.Crashes = crashes[i : i+1]
				report, err := Run(s)
				if err != nil {
					t.Error(Explain(s, err))
				}
				happened.Add(int64(report.Crashes))
			})
			t.Logf("%d writes, %d crashes", len(crashes)/2, happened.Load())
			// Writes in the calm after the base run's chaos cannot be crashed at.
			require.Greater(t, int(happened.Load()), len(crashes)*3/5)
		})
	}
}
