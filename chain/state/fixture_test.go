package state

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/crypto/hash"
)

// TestMain lets badger leak what it does not stop when opening fails over a
// damaged table; after that error a process ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
		goleak.IgnoreTopFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"))
}

var testChain = []byte("test chain")

// smallDB makes badger split a commit of a few hundred records into several
// transactions and tables.
var smallDB = DBOptions{MemTableBytes: 256 << 10, valueLogFile: 2 << 20}

// world is a state in a directory, beside what it should hold.
type world struct {
	t    require.TestingT
	dir  string
	opts Options
	db   *DB
	*State
}

func newWorld(t require.TestingT, dir string, opts Options) *world {
	opts.Chain = testChain
	w := &world{t: t, dir: dir, opts: opts}
	w.start()
	return w
}

func (w *world) start() {
	var err error
	w.db, err = OpenDB(w.dir, smallDB)
	require.NoError(w.t, err)
	w.State, err = Open(w.db, w.opts)
	require.NoError(w.t, err)
}

func (w *world) stop() { require.NoError(w.t, w.db.Close()) }

func (w *world) restart() {
	w.stop()
	w.start()
}

// crash goes on with a copy of the files as they are now, which is what a
// killed process leaves behind.
func (w *world) crash(dir string) {
	entries, err := os.ReadDir(w.dir)
	require.NoError(w.t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(w.dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // a memtable log that has become a table
		}
		require.NoError(w.t, err)
		if e.Name() != "LOCK" {
			require.NoError(w.t, os.WriteFile(filepath.Join(dir, e.Name()), b, 0o600))
		}
	}
	w.stop()
	w.dir = dir
	w.start()
}

func (w *world) commit(version uint64, changes []Change, extra ...KV) hash.Hash {
	root, err := w.Commit(version, changes, extra)
	require.NoError(w.t, err)
	return root
}

// requireHolds checks values, extra-free flat listing, root and proofs.
func (w *world) requireHolds(version uint64, want map[string]string, probes ...string) {
	v, err := w.At(version)
	require.NoError(w.t, err)
	defer v.Close()
	require.Equal(w.t, rootOf(want), v.Root(), "root of version %d", version)
	got := map[string]string{}
	require.NoError(w.t, v.Range(nil, func(k, value []byte) error {
		got[string(k)] = string(value)
		return nil
	}))
	require.Equal(w.t, want, got, "version %d", version)
	for _, k := range slices.Concat(slices.Collect(maps.Keys(want)), probes) {
		proof, value, err := v.Prove([]byte(k))
		require.NoError(w.t, err)
		expect, present := want[k]
		require.Equal(w.t, present, value != nil)
		require.Equal(w.t, expect, string(value))
		require.NoError(w.t, VerifyProof(v.Root(), []byte(k), value, proof))
	}
}

// rootOf computes the root by its definition, without nodes.
func rootOf(values map[string]string) hash.Hash {
	var leaves []leaf
	for k, v := range values {
		leaves = append(leaves, leaf{key: hashKey([]byte(k)), value: hashValue([]byte(v))})
	}
	return definition(leaves, 0)
}

func definition(leaves []leaf, depth int) hash.Hash {
	switch len(leaves) {
	case 0:
		return hash.Hash{}
	case 1:
		return hash.Sum(tagLeaf, leaves[0].key[:], leaves[0].value[:])
	}
	var half [2][]leaf
	for _, l := range leaves {
		b := l.key[depth/8] >> (7 - depth%8) & 1
		half[b] = append(half[b], l)
	}
	left, right := definition(half[0], depth+1), definition(half[1], depth+1)
	return hash.Sum(tagInner, left[:], right[:])
}

// set makes changes that give keys n..m the value v.
func set(from, to int, v string) (changes []Change) {
	for i := from; i < to; i++ {
		changes = append(changes, Change{Key: fmt.Appendf(nil, "key-%d", i), Value: []byte(v)})
	}
	return changes
}

func applied(base map[string]string, changes []Change) map[string]string {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]string{}
	}
	for _, c := range changes {
		if c.Value == nil {
			delete(out, string(c.Key))
		} else {
			out[string(c.Key)] = string(c.Value)
		}
	}
	return out
}
