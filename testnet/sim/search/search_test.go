package search

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/testnet/sim"
)

var (
	schedules = flag.Uint64("schedules", 2500, "how many schedules to run")
	first     = flag.Uint64("seed", 1, "the number of the first schedule")
	shrink    = flag.Bool("shrink", true, "shrink what breaks a law to the least script")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The scripts are attacks that only one rule of the protocol stands against.
func TestDirectedAttacksFail(t *testing.T) { runScripts(t, "testdata/*.script") }

// These once showed something broken.
func TestWhatWasFoundStaysMended(t *testing.T) { runScripts(t, "testdata/found/*.script") }

func runScripts(t *testing.T, pattern string) {
	scripts, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, file := range scripts {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			s, err := sim.Parse(string(text))
			require.NoError(t, err)
			_, err = sim.Run(s)
			require.NoError(t, err)
		})
	}
}

func TestNoScheduleBreaksALaw(t *testing.T) {
	res := Run(*first, *schedules, Mix)
	t.Logf("%d schedules, %d steps, the slowest live %s after chaos", res.Schedules, res.Steps, res.Healing)
	switch {
	case res.Found == nil:
	case *shrink:
		require.Fail(t, sim.Explain(*res.Found, res.Broken))
	default:
		require.Fail(t, res.Broken.Error())
	}
}
