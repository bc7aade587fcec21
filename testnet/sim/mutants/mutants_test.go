package mutants

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	all       = flag.Bool("all", false, "run all mutants, not only the quick ones")
	schedules = flag.Int("schedules", 10000, "how many schedules a mutant may survive at most")
)

func TestSearchFindsEveryMutant(t *testing.T) {
	root, err := filepath.Abs("../../..")
	require.NoError(t, err)
	for _, m := range All {
		t.Run(m.Name, func(t *testing.T) {
			file, patched := m.apply(t, root)
			if !m.Quick && !*all {
				t.Skip("make mutants runs it")
			}
			t.Parallel()
			found := m.search(t, root, file, patched)
			require.True(t, m.caught(found), "want one of %q reported broken, the search says:\n%s", m.Laws, found)
			t.Log(strings.TrimSpace(found))
		})
	}
}

// apply returns the source file's path and its mutated text.
func (m Mutant) apply(t *testing.T, root string) (file, patched string) {
	file = filepath.Join(root, "chain", "consensus", filepath.FromSlash(m.File))
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(source), m.Old),
		"%s has changed: the mutant must follow it; its old text must be there exactly once:\n%s", m.File, m.Old)
	patched = strings.Replace(string(source), m.Old, m.New, 1)
	if m.Also[0] != "" {
		require.Equal(t, 1, strings.Count(patched, m.Also[0]), "%s has changed: %s", m.File, m.Also[0])
		patched = strings.Replace(patched, m.Also[0], m.Also[1], 1)
	}
	return file, patched
}

// search builds the search with the mutated file in place of the genuine one and
// runs it. It returns what the search printed.
func (m Mutant) search(t *testing.T, root, file, patched string) string {
	dir := t.TempDir()
	mutated, overlay, binary := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "search.test")
	require.NoError(t, os.WriteFile(mutated, []byte(patched), 0o600))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: mutated}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replace, 0o600))

	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, "./testnet/sim/search")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	run := exec.CommandContext(t.Context(), binary, "-test.run", "^(TestDirectedAttacksFail|TestNoScheduleBreaksALaw)$", "-test.failfast", "-shrink=false", "-schedules", fmt.Sprint(*schedules))
	run.Dir = filepath.Join(root, "testnet", "sim", "search")
	out, err = run.CombinedOutput()
	var failed *exec.ExitError
	require.ErrorAs(t, err, &failed, "no law is reported broken:\n%s", out)
	return string(out)
}

func (m Mutant) caught(output string) bool {
	for _, law := range m.Laws {
		if strings.Contains(output, law) {
			return true
		}
	}
	return false
}
