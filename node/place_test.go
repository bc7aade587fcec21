package node

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHomeThatWasCopiedIsToldFromTheOriginal(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	require.NoError(t, os.MkdirAll(filepath.Join(home, voteLogDir), 0o700))
	moved, err := copied(home, true)
	require.NoError(t, err)
	require.False(t, moved, "a fresh home")
	moved, err = copied(home, false)
	require.NoError(t, err)
	require.True(t, moved, "a vote log of unknown origin")

	require.NoError(t, settle(home))
	moved, err = copied(home, false)
	require.NoError(t, err)
	require.False(t, moved)

	backup := filepath.Join(t.TempDir(), "backup")
	require.NoError(t, os.CopyFS(backup, os.DirFS(home)))
	moved, err = copied(backup, false)
	require.NoError(t, err)
	require.True(t, moved, "a copy")
	require.NoError(t, settle(backup))
	moved, err = copied(backup, false)
	require.NoError(t, err)
	require.False(t, moved, "once it was found to be safe")
	_, err = copied(t.TempDir(), false)
	require.Error(t, err, "no vote log")
}
