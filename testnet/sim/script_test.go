package sim

import (
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
)

var (
	scriptFile = flag.String("script", "", "a script to run, as failures print them")
	logFile    = flag.String("log", "", "where to write what every replica of -script is told and does")
)

func TestScriptFile(t *testing.T) {
	if *scriptFile == "" {
		t.Skip("no -script")
	}
	text, err := os.ReadFile(*scriptFile)
	require.NoError(t, err)
	s, err := Parse(string(text))
	require.NoError(t, err)
	var out io.Writer
	if *logFile != "" {
		file, err := os.Create(*logFile)
		require.NoError(t, err)
		defer file.Close()
		out = file
	}
	report, err := RunLogged(s, out)
	require.NoError(t, err)
	t.Logf("%+v", report)
}

func TestScriptIsTheSchedule(t *testing.T) {
	for seed := range uint64(200) {
		s := Random(seed, 4+3*int(seed%2))
		s.Twins, s.EpochBlocks = 1, 0
		if seed%3 == 0 {
			s.Rounds = []Round{{Leader: 3}, {Leader: 1, Sides: []Side{0b10011, 0b01100}, Moves: []Move{{On: 1, To: 0b101}}}}
		}
		again, err := Parse(s.String())
		require.NoError(t, err)
		require.Equal(t, s.String(), again.String())
		a, errA := Run(s)
		b, errB := Run(again)
		require.Equal(t, a, b)
		require.Equal(t, errA, errB)
	}
}

func TestBadScriptsAreRefused(t *testing.T) {
	good := Random(1, 4).String()
	for _, line := range []string{
		"rule four-phase", "replicas x", "tricks charm", "crash 9 at 1s write 0 after down 1s lag 0", "crash 1 at", "cut at 1s for 1s 0>1>2",
		"round leader 7 whole", "round 3 whole", "round leader 3 whole on 1", "whatever 3", "delay", "liars 5", "skew 1 far",
	} {
		_, err := Parse(good + line)
		require.ErrorIs(t, err, ErrScript, line)
	}
	_, err := Parse("")
	require.ErrorIs(t, err, ErrScript)
}

// A failure is shrunk to a script that fails in the same way when it is read again.
func TestPrintedScriptReplaysTheFailure(t *testing.T) {
	// Two twins of four must fork.
	s := Random(4, 4)
	s.Rule, s.Liars, s.Tricks, s.Twins, s.Loss = hotstuff.ThreePhase{}, 0, 0, 2, 1
	s.EpochBlocks, s.Reputation = 0, false
	s.Rounds = slices.Repeat([]Round{{Leader: 3, Sides: []Side{0b001101, 0b110010}}}, 8)
	_, err := Run(s)
	require.ErrorIs(t, err, ErrFork)

	text := Explain(s, err)
	t.Log(text)
	_, script, found := strings.Cut(text, "-log WHERE\n")
	require.True(t, found)
	least, parseErr := Parse(script)
	require.NoError(t, parseErr)
	_, again := Run(least)
	require.ErrorIs(t, again, ErrFork)
	require.Contains(t, script, again.Error())
	require.Empty(t, least.Crashes)
	require.Empty(t, least.Cuts)
	require.Zero(t, least.Loss)
	require.Less(t, len(least.Rounds), len(s.Rounds))
}
