package lab

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Virtual time comes from a package for tests. That it also works in the program itself
// is promised by nobody, and so is tried.
func TestBuiltProgramRunsInVirtualTime(t *testing.T) {
	program := filepath.Join(t.TempDir(), "starling")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/starling").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), program, "lab", "propagate", "--nodes", "4", "--size", "64KiB", "--method", "turbine,unicast", "--json").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), `"unreached": 0`)
	help, err := exec.CommandContext(t.Context(), program, "lab", "propagate", "--help").CombinedOutput()
	require.NoError(t, err)
	require.NotContains(t, string(help), "test.")
}
