package state

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/hash"
)

const million = 1 << 20

// benchChanges makes n changes to pseudo-random ones of million keys, values of
// 40 bytes as an account has.
func benchChanges(n, seed int) []Change {
	seen := make(map[uint64]bool, n)
	changes := make([]Change, 0, n)
	for i := uint64(seed) * 1e9; len(changes) < n; i++ {
		h := hash.Sum("bench", binary.BigEndian.AppendUint64(nil, i))
		k := binary.BigEndian.Uint64(h[:]) % million
		if seen[k] {
			continue
		}
		seen[k] = true
		changes = append(changes, benchChange(k, seed))
	}
	return changes
}

func benchChange(k uint64, seed int) Change {
	value := make([]byte, 40)
	binary.BigEndian.PutUint64(value, k)
	binary.BigEndian.PutUint64(value[8:], uint64(seed))
	return Change{Key: binary.BigEndian.AppendUint64([]byte("account/"), k), Value: value}
}

// benchMillion returns a database with million keys in it.
func benchMillion(b *testing.B, opts Options) *State {
	db, err := OpenDB(b.TempDir(), DBOptions{MemTableBytes: 64 << 20})
	require.NoError(b, err)
	b.Cleanup(func() { db.Close() })
	opts.Chain = testChain
	s, err := Open(db, opts)
	require.NoError(b, err)
	for part := range uint64(16) {
		var changes []Change
		for k := part * million / 16; k < (part+1)*million/16; k++ {
			changes = append(changes, benchChange(k, 0))
		}
		_, err := s.Commit(part, changes, nil)
		require.NoError(b, err)
	}
	return s
}

func BenchmarkCommitDurable(b *testing.B) {
	for _, c := range []struct{ keys, cache, workers int }{
		{100, 1 << 17, 2}, {10_000, 1 << 13, 2}, {10_000, 1 << 19, 1}, {10_000, 1 << 19, 2},
	} {
		b.Run(fmt.Sprintf("keys=%d/cache=%d/workers=%d", c.keys, c.cache, c.workers), func(b *testing.B) {
			s := benchMillion(b, Options{CacheNodes: c.cache, Workers: c.workers})
			version, keys := s.Version(), 0
			for i := range 3 { // warm
				version++
				_, err := s.Commit(version, benchChanges(c.keys, 1000+i), nil)
				require.NoError(b, err)
			}
			for b.Loop() {
				b.StopTimer()
				version++
				changes := benchChanges(c.keys, int(version))
				b.StartTimer()
				_, err := s.Commit(version, changes, nil)
				require.NoError(b, err)
				keys += c.keys
			}
			b.ReportMetric(float64(keys)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

// BenchmarkTreeInMemory updates a tree of a million keys without a database.
func BenchmarkTreeInMemory(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("keys=100000/workers=%d", workers), func(b *testing.B) {
			t := &benchTree{}
			for i := range t.shards {
				t.shards[i].nodes = map[place]*node{}
			}
			var ops []op
			for k := range uint64(million) {
				c := benchChange(k, 0)
				ops = append(ops, op{leaf: leaf{key: hashKey(c.Key), value: hashValue(c.Value)}})
			}
			sortOps(ops)
			u := updater{load: t.load, store: t.store, workers: workers}
			root, err := u.run(hash.Hash{}, ops)
			require.NoError(b, err)
			s := &State{opts: Options{Workers: workers}}
			keys := 0
			for b.Loop() {
				b.StopTimer()
				changes := benchChanges(100_000, keys+1)
				b.StartTimer()
				ops, err := s.prepare(changes, nil)
				require.NoError(b, err)
				root, err = u.run(root, ops)
				require.NoError(b, err)
				keys += len(ops)
			}
			b.ReportMetric(float64(keys)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

type benchTree struct {
	shards [16]struct {
		sync.Mutex
		nodes map[place]*node
	}
}

func (t *benchTree) load(at place, _ hash.Hash) (*node, error) {
	s := &t.shards[at.prefix[0]>>4]
	s.Lock()
	defer s.Unlock()
	return s.nodes[at], nil
}

func (t *benchTree) store(at place, n *node) error {
	s := &t.shards[at.prefix[0]>>4]
	s.Lock()
	defer s.Unlock()
	s.nodes[at] = n
	return nil
}

func BenchmarkReadMillion(b *testing.B) {
	s := benchMillion(b, Options{CacheNodes: 1 << 17, Workers: 2})
	var proof *Proof
	var value []byte
	changes := benchChanges(10_000, 5)
	b.Run("get", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := s.Get(changes[i%len(changes)].Key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("prove", func(b *testing.B) {
		v := s.Latest()
		defer v.Close()
		size := 0
		for i := 0; b.Loop(); i++ {
			var err error
			if proof, value, err = v.Prove(changes[i%len(changes)].Key); err != nil {
				b.Fatal(err)
			}
			size += len(proof.Siblings)
		}
		b.ReportMetric(float64(len(proof.Encode())), "B/proof")
	})
	b.Run("verify", func(b *testing.B) {
		key := changes[0].Key
		proof, value, _ = s.Prove(s.Version(), key)
		for b.Loop() {
			if err := VerifyProof(s.Root(), key, value, proof); err != nil {
				b.Fatal(err)
			}
		}
	})
}
