package state

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCollectedValueLogLosesNothing writes large records, drops most of them,
// and finds less on disk and all that remains.
func TestCollectedValueLogLosesNothing(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{History: 1})
	defer func() { w.stop() }()
	body := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "body %d ", i), 40_000) }
	const blocks = 60
	for i := range blocks {
		extra := []KV{{Key: fmt.Appendf(nil, "%03d", i), Value: body(i)}}
		if old := i - 5; old >= 0 {
			extra = append(extra, KV{Key: fmt.Appendf(nil, "%03d", old)})
		}
		w.commit(uint64(i), set(i, i+50, strings.Repeat(fmt.Sprint(i), 3000)), extra...) // enough to be compacted
	}
	logs := func() int {
		files, err := filepath.Glob(filepath.Join(w.dir, "*.vlog"))
		require.NoError(t, err)
		return len(files)
	}
	// Badger learns what is dead while it compacts tables.
	w.restart()
	require.NoError(t, w.db.badger.Flatten(2))
	before := logs()
	require.NoError(t, w.db.GC(context.Background()))
	require.Less(t, logs(), before)

	w.crash(t.TempDir())
	v := w.Latest()
	defer v.Close()
	for i := range blocks {
		got, err := v.Extra(fmt.Appendf(nil, "%03d", i))
		require.NoError(t, err)
		if i < blocks-5 {
			require.Nil(t, got)
		} else {
			require.Equal(t, body(i), got)
		}
	}

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, w.db.GC(ended), context.Canceled)
}

// TestHistoryIsPruned checks that old versions of records leave the disk.
func TestHistoryIsPruned(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{History: 2})
	defer func() { w.stop() }()
	for i := range 40 {
		w.commit(uint64(i), set(0, 200, fmt.Sprint(i)))
	}
	require.Len(t, w.keys(prefixVersion), 3)
	require.LessOrEqual(t, len(w.keys(prefixTouched)), 3*2)
	w.restart()
	require.Len(t, w.kept, 3)
	require.NoError(t, w.db.badger.Flatten(2))
	var size int64
	tables, err := filepath.Glob(filepath.Join(w.dir, "*.sst"))
	require.NoError(t, err)
	for _, name := range tables {
		info, err := os.Stat(name)
		require.NoError(t, err)
		size += info.Size()
	}
	require.Less(t, size, int64(1<<20), "40 versions of 200 keys would take some 4 MiB")
	w.requireHolds(39, applied(nil, set(0, 200, "39")))
	w.requireHolds(37, applied(nil, set(0, 200, "37")))
}
