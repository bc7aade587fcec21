package state

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/hash"
)

// TestStateBehavesLikeAMapWithHistory runs commits, rollbacks and restarts and
// compares every kept version with a map.
func TestStateBehavesLikeAMapWithHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "state")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		history := rapid.IntRange(1, 6).Draw(t, "history")
		w := newWorld(t, dir, Options{History: history, CacheNodes: 32, Workers: rapid.IntRange(1, 3).Draw(t, "workers")})
		defer func() { w.stop() }()

		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("k%d", rapid.IntRange(0, 300).Draw(t, "k")) })
		next := rapid.Uint64Range(0, 5).Draw(t, "first")
		first := next
		model := map[uint64]map[string]string{} // by version
		kept := []uint64{}
		steps := rapid.IntRange(1, 12).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 9).Draw(t, "act") {
			default:
				batch := map[string]string{}
				for range rapid.IntRange(0, 60).Draw(t, "changes") {
					batch[key.Draw(t, "key")] = rapid.StringN(0, 4, 12).Draw(t, "value")
				}
				var changes []Change
				for k, v := range batch {
					c := Change{Key: []byte(k), Value: []byte(v)}
					if strings.HasPrefix(v, "A") || len(v)%3 == 1 {
						c.Value = nil
					}
					changes = append(changes, c)
				}
				w.commit(next, changes)
				model[next] = applied(model[next-1], changes)
				kept = append(kept, next)
				if len(kept) > history+1 {
					kept = kept[1:]
				}
				next++
			case 7:
				w.restart()
			case 8:
				if len(kept) == 0 {
					continue
				}
				i := rapid.IntRange(0, len(kept)-1).Draw(t, "back to")
				require.NoError(t, w.Rollback(kept[i]))
				next = kept[i] + 1
				kept = kept[:i+1]
			case 9:
				if len(kept) > 0 && kept[0] > first {
					require.ErrorIs(t, w.Rollback(kept[0]-1), ErrPruned)
				}
				require.ErrorIs(t, w.Rollback(next), ErrVersion)
			}
		}
		require.Equal(t, len(kept) == 0, w.Empty())
		for _, v := range kept {
			w.requireHolds(v, model[v], key.Draw(t, "probe"), "never")
		}
	})
}

func TestRootDoesNotDependOnHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		final := rapid.MapOfN(rapid.StringN(1, 5, 20), rapid.StringN(0, 5, 20), 0, 200).Draw(t, "final")
		detour := rapid.MapOfN(rapid.StringN(1, 5, 20), rapid.StringN(0, 5, 20), 0, 200).Draw(t, "detour")
		m := &memoryTree{nodes: map[place]*node{}}
		var root hash.Hash
		for _, part := range []int{0, 1} { // the detour in two batches
			var ops []op
			for k, v := range detour {
				if len(v)%2 == part {
					ops = append(ops, setOp(k, v))
				}
			}
			root = m.update(t, root, ops)
		}
		var ops []op
		for k := range detour {
			if _, stays := final[k]; !stays {
				ops = append(ops, op{leaf: leaf{key: hashKey([]byte(k))}, remove: true})
			}
		}
		for k, v := range final {
			ops = append(ops, setOp(k, v))
		}
		root = m.update(t, root, ops)
		require.Equal(t, rootOf(final), root)

		fresh := &memoryTree{nodes: map[place]*node{}}
		ops = ops[:0]
		for k, v := range final {
			ops = append(ops, setOp(k, v))
		}
		require.Equal(t, root, fresh.update(t, hash.Hash{}, ops))
		require.Equal(t, len(fresh.nodes), len(m.nodes), "stale nodes stay behind")
	})
}

// memoryTree keeps nodes in a map.
type memoryTree struct {
	mu    sync.Mutex
	nodes map[place]*node
}

func (m *memoryTree) load(at place, want hash.Hash) (*node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[at]; n != nil && n.root() == want {
		return n, nil
	}
	return nil, ErrCorrupt
}

func (m *memoryTree) store(at place, n *node) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n == nil {
		delete(m.nodes, at)
	} else {
		m.nodes[at] = n
	}
	return nil
}

func (m *memoryTree) update(t require.TestingT, root hash.Hash, ops []op) hash.Hash {
	if len(ops) == 0 {
		return root
	}
	sortOps(ops)
	u := updater{load: m.load, store: m.store, workers: 2}
	root, err := u.run(root, ops)
	require.NoError(t, err)
	return root
}

func setOp(k, v string) op {
	return op{leaf: leaf{key: hashKey([]byte(k)), value: hashValue([]byte(v))}}
}

func TestParallelUpdateEqualsSerial(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{Workers: 4})
	defer w.stop()
	changes := set(0, 3000, "v")
	require.Equal(t, rootOf(applied(nil, changes)), w.commit(0, changes))
	more := append(set(1000, 2500, "w"), Change{Key: []byte("key-7")})
	require.Equal(t, rootOf(applied(applied(nil, changes), more)), w.commit(1, more))
}

// TestGoldenRoot pins the commitment: a change of it splits the chain.
func TestGoldenRoot(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer w.stop()
	var got strings.Builder
	for i, n := range []int{0, 1, 2, 16, 1000} {
		fmt.Fprintf(&got, "%d %s\n", n, w.commit(uint64(i), set(0, n, "value")))
	}
	want, err := os.ReadFile(filepath.Join("testdata", "roots.txt"))
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}

func TestExtraRecordsFollowCommitAndRollback(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer w.stop()
	extra := func(key string) string {
		v := w.Latest()
		defer v.Close()
		b, err := v.Extra([]byte(key))
		require.NoError(t, err)
		return string(b)
	}
	kv := func(k, v string, once bool) KV { return KV{Key: []byte(k), Value: []byte(v), Once: once} }
	big := strings.Repeat("block", 20_000) // goes to the value log
	w.commit(5, nil, kv("a", "1", false), kv("big", big, false))
	w.commit(6, nil, kv("a", "2", true), kv("b", "3", true), kv("b", "4", true), KV{Key: []byte("big")})
	require.Equal(t, []string{"1", "3", ""}, []string{extra("a"), extra("b"), extra("big")})
	require.True(t, w.Root().IsZero())
	require.NoError(t, w.Rollback(5))
	w.restart()
	require.Equal(t, []string{"1", "", big}, []string{extra("a"), extra("b"), extra("big")})
	var keys []string
	v := w.Latest()
	defer v.Close()
	require.NoError(t, v.RangeExtra(nil, []byte("b"), func(k, _ []byte) error {
		keys = append(keys, string(k))
		return nil
	}))
	require.Equal(t, []string{"big"}, keys)
}

func TestBadChangesAreRefusedAndHarmless(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer w.stop()
	w.commit(0, set(0, 3, "v"))
	for name, changes := range map[string][]Change{
		"empty key":  {{Key: nil, Value: []byte("v")}},
		"long key":   {{Key: make([]byte, MaxKey+1), Value: []byte("v")}},
		"long value": {{Key: []byte("k"), Value: make([]byte, MaxValue+1)}},
		"twice":      {{Key: []byte("k"), Value: []byte("v")}, {Key: []byte("k")}},
	} {
		_, err := w.Commit(1, changes, nil)
		require.ErrorIs(t, err, ErrChange, name)
	}
	_, err := w.Commit(1, nil, []KV{{}})
	require.ErrorIs(t, err, ErrChange)
	_, err = w.Commit(2, nil, nil)
	require.ErrorIs(t, err, ErrVersion)
	largest := []Change{{Key: bytes.Repeat([]byte{'k'}, MaxKey), Value: make([]byte, MaxValue)}}
	w.commit(1, largest)
	w.requireHolds(1, applied(applied(nil, set(0, 3, "v")), largest))
}

func TestDirectoryAndChainAreGuarded(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	_, err := OpenDB(w.dir, smallDB)
	require.ErrorIs(t, err, ErrLocked)
	_, err = Open(w.db, Options{Chain: []byte("other")})
	require.ErrorIs(t, err, ErrForeignChain)
	w.stop()
}

func TestSnapshotIsStableWhileCommitsRun(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{History: 1, CacheNodes: 16})
	defer w.stop()
	want := applied(nil, set(0, 500, "0"))
	w.commit(0, set(0, 500, "0"))
	v := w.Latest()
	defer v.Close()

	var readers sync.WaitGroup
	stop := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			now := w.Latest()
			proof, value, err := now.Prove([]byte("key-499"))
			if err == nil {
				err = VerifyProof(now.Root(), []byte("key-499"), value, proof)
			}
			if err != nil || string(value) != fmt.Sprint(now.Version()) {
				t.Errorf("version %d reads %q, %v", now.Version(), value, err)
			}
			now.Close()
		}
	})
	for i := range 30 { // enough for tables and compactions
		w.commit(uint64(i+1), set(0, 500, fmt.Sprint(i+1)))
	}
	close(stop)
	readers.Wait()

	require.Equal(t, rootOf(want), v.Root())
	got := map[string]string{}
	require.NoError(t, v.Range([]byte("key-"), func(k, value []byte) error {
		got[string(k)] = string(value)
		return nil
	}))
	require.True(t, maps.Equal(want, got))
	proof, value, err := v.Prove([]byte("key-3"))
	require.NoError(t, err)
	require.NoError(t, VerifyProof(v.Root(), []byte("key-3"), value, proof))
	_, err = w.At(0)
	require.ErrorIs(t, err, ErrPruned)
}

func TestRangeStopsAtTheCallersError(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer w.stop()
	w.commit(0, set(0, 20, "v"))
	enough := errors.New("enough")
	n := 0
	err := w.Range([]byte("key-1"), func(k, _ []byte) error {
		require.True(t, bytes.HasPrefix(k, []byte("key-1")))
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	require.Equal(t, enough, err)
}
