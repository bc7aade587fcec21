package state

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var errPower = errors.New("power is gone")

// failAt breaks off before the n-th record of a write, with all records before
// it in the database; 0 breaks off before the marker.
func failAt(n int) func(*batch, string) error {
	seen := 0
	return func(b *batch, step string) error {
		if step == "write" {
			seen++
		}
		if n == 0 && step == "flushed" || n > 0 && seen == n {
			if n > 0 {
				b.mu.Lock()
				b.send()
				b.mu.Unlock()
				b.sent.Wait()
			}
			return errPower
		}
		return nil
	}
}

// records counts the records that a write makes.
func records(w *world, write func() error) (n int) {
	w.State.opts.fault = func(_ *batch, step string) error {
		if step == "write" {
			n++
		}
		return nil
	}
	require.NoError(w.t, write())
	w.State.opts.fault = nil
	return n
}

// TestBrokenOffWriteLeavesNoTrace stops commits and rollbacks after any number
// of records, kills the process, and sees exactly the version before.
func TestBrokenOffWriteLeavesNoTrace(t *testing.T) {
	old := set(0, 400, "old")
	change := append(append(set(100, 500, "new"), Change{Key: []byte("key-1")}), set(2, 3, strings.Repeat("x", 100_000))...)
	before, after := applied(nil, old), applied(applied(nil, old), change)
	block := func(s string) KV { return KV{Key: []byte("block"), Value: []byte(s)} }

	prepare := func(t *testing.T) *world {
		w := newWorld(t, t.TempDir(), Options{History: 3})
		w.commit(0, old, block("0"))
		w.commit(1, change, block("1"))
		w.commit(2, set(0, 50, "newer"), block("2"))
		return w
	}
	newest := applied(after, set(0, 50, "newer"))
	writes := map[string]struct {
		run   func(w *world) error
		then  map[string]string
		as    uint64
		block string
	}{
		"commit": {
			run: func(w *world) error {
				_, err := w.Commit(3, append(set(0, 300, "x"), Change{Key: []byte("key-333")}), []KV{block("3")})
				return err
			},
			then: applied(newest, append(set(0, 300, "x"), Change{Key: []byte("key-333")})), as: 3, block: "3",
		},
		"rollback": {
			run: func(w *world) error { return w.Rollback(0) }, then: before, as: 0, block: "0",
		},
	}
	for name, write := range writes {
		total := 0
		t.Run(name+" unbroken", func(t *testing.T) {
			w := prepare(t)
			defer func() { w.stop() }()
			total = records(w, func() error { return write.run(w) })
			w.crash(t.TempDir())
			w.requireHolds(write.as, write.then)
		})
		for _, n := range []int{0, 1, 2, total / 4, total / 2, total - 1, total} {
			t.Run(fmt.Sprintf("%s broken before record %d", name, n), func(t *testing.T) {
				w := prepare(t)
				defer func() { w.stop() }()
				w.State.opts.fault = failAt(n)
				require.ErrorIs(t, write.run(w), errPower)
				w.requireHolds(2, newest)
				require.ErrorIs(t, write.run(w), ErrFailed)
				require.ErrorIs(t, w.Rollback(1), ErrFailed)

				w.opts.fault = nil
				w.crash(t.TempDir())
				w.requireHolds(2, newest)
				w.requireHolds(1, after)
				w.requireHolds(0, before)
				require.Equal(t, uint64(2), w.Version())
				v := w.Latest()
				b, err := v.Extra([]byte("block"))
				v.Close()
				require.NoError(t, err)
				require.Equal(t, "2", string(b))

				// What broke off must not come to light later.
				w.commit(3, nil)
				w.requireHolds(3, newest)
				require.NoError(t, w.Rollback(2))
				require.NoError(t, write.run(w))
				w.requireHolds(write.as, write.then)
			})
		}
	}
}

func TestRecoveryThatBreaksOffIsDoneAgain(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer func() { w.stop() }()
	w.commit(0, set(0, 300, "old"))
	w.State.opts.fault = failAt(0)
	_, err := w.Commit(1, set(100, 600, "new"), nil)
	require.ErrorIs(t, err, errPower)
	for _, n := range []int{1, 50, 400, 0} {
		w.stop()
		w.db, err = OpenDB(w.dir, smallDB)
		require.NoError(t, err)
		_, err = Open(w.db, Options{Chain: testChain, fault: failAt(n)})
		require.ErrorIs(t, err, errPower)
	}
	w.restart()
	w.requireHolds(0, applied(nil, set(0, 300, "old")))
	w.commit(1, nil)
	w.requireHolds(1, applied(nil, set(0, 300, "old")))
	require.Equal(t, w.db.badger.MaxVersion()+1, w.next)
}

func TestFirstCommitThatBreaksOffLeavesTheStateEmpty(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer func() { w.stop() }()
	w.State.opts.fault = failAt(0)
	_, err := w.Commit(7, set(0, 300, "old"), nil)
	require.ErrorIs(t, err, errPower)
	w.crash(t.TempDir())
	require.True(t, w.Empty())
	require.NoError(t, w.Range(nil, func(k, _ []byte) error { return fmt.Errorf("holds %s", k) }))
	w.commit(9, set(0, 1, "v"))
	w.requireHolds(9, applied(nil, set(0, 1, "v")))
}
