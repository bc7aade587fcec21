package state

import (
	"errors"
	"fmt"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Snapshot reads one version, whatever is committed meanwhile. It is safe for
// concurrent use. Close it soon: an open one keeps old records on disk.
type Snapshot struct {
	s     *State
	p     point
	txn   *badger.Txn
	close sync.Once
}

// Latest opens a snapshot of the newest version.
func (s *State) Latest() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := point{}
	if len(s.kept) > 0 {
		p = s.kept[len(s.kept)-1]
	}
	return s.snapshot(p)
}

// At opens a snapshot of a kept version. Errors: [ErrPruned], [ErrVersion].
func (s *State) At(version uint64) (*Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.find(version)
	if err != nil {
		return nil, err
	}
	return s.snapshot(p), nil
}

func (s *State) snapshot(p point) *Snapshot {
	s.readers[p.ts]++
	return &Snapshot{s: s, p: p, txn: s.db.badger.NewTransactionAt(p.ts, false)}
}

// Close ends the snapshot. Closing twice is fine.
func (v *Snapshot) Close() {
	v.close.Do(func() {
		v.txn.Discard()
		v.s.mu.Lock()
		defer v.s.mu.Unlock()
		if v.s.readers[v.p.ts]--; v.s.readers[v.p.ts] == 0 {
			delete(v.s.readers, v.p.ts)
		}
	})
}

// Version is the version that the snapshot shows.
func (v *Snapshot) Version() uint64 { return v.p.version }

// Root is the root of the version.
func (v *Snapshot) Root() hash.Hash { return v.p.root }

// Get returns the value of key, nil if it is absent. The caller owns it.
func (v *Snapshot) Get(key []byte) ([]byte, error) { return readSealed(v.txn, flatKey(key)) }

// Extra returns the caller's own record of key, nil if there is none.
func (v *Snapshot) Extra(key []byte) ([]byte, error) { return readSealed(v.txn, extraKey(key)) }

// Range calls fn for every key with the prefix, in order of keys, until fn
// returns an error, which it returns. The slices are valid during the call only.
func (v *Snapshot) Range(prefix []byte, fn func(key, value []byte) error) error {
	return v.scan(flatKey(prefix), nil, fn)
}

// RangeExtra is Range over the caller's own records with the prefix, starting
// at the first key that is not below from; nil starts with the first.
func (v *Snapshot) RangeExtra(prefix, from []byte, fn func(key, value []byte) error) error {
	if from != nil {
		from = extraKey(from)
	}
	return v.scan(extraKey(prefix), from, fn)
}

func (v *Snapshot) scan(prefix, from []byte, fn func(key, value []byte) error) error {
	it := v.txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: false})
	defer it.Close()
	if from == nil {
		from = prefix
	}
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		key := item.Key()
		var inner error
		err := item.Value(func(sealed []byte) error {
			value, err := unseal(key, sealed)
			if err == nil {
				err = fn(key[1:], value)
			}
			inner = err
			return err
		})
		if inner != nil {
			return inner
		}
		if err != nil {
			return fmt.Errorf("read record %x: %w: %w", key, ErrCorrupt, err)
		}
	}
	return nil
}

// Prove returns the value of key, nil if it is absent, and the proof that
// [VerifyProof] accepts with it under the root of the version.
func (v *Snapshot) Prove(key []byte) (*Proof, []byte, error) {
	value, err := v.Get(key)
	if err != nil {
		return nil, nil, err
	}
	k := hashKey(key)
	proof, end, err := prove(v.s.loader(v.txn), v.p.root, &k)
	if err != nil {
		return nil, nil, err
	}
	present := end.kind == kindLeaf && end.leaf.key == k
	if present != (value != nil) || present && end.leaf.value != hashValue(value) {
		return nil, nil, fmt.Errorf("value of key %x is not what the tree commits to: %w", key, ErrCorrupt)
	}
	return proof, value, nil
}

// loader reads nodes through the cache at the timestamp of txn.
func (s *State) loader(txn *badger.Txn) loader {
	return func(at place, want hash.Hash) (*node, error) {
		if n := s.cache.get(at, want); n != nil {
			return n, nil
		}
		n, err := readNode(txn, at, want)
		if err == nil {
			s.cache.put(at, n)
		}
		return n, err
	}
}

func readNode(txn *badger.Txn, at place, want hash.Hash) (n *node, err error) {
	key := nodeKey(at)
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("tree node %x is missing: %w", key, ErrCorrupt)
	} else if err != nil {
		return nil, fmt.Errorf("read tree node %x: %w", key, err)
	}
	err = item.Value(func(b []byte) error {
		n, err = decodeNode(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read tree node %x: %w: %w", key, ErrCorrupt, err)
	}
	if n.root() != want {
		return nil, fmt.Errorf("tree node %x hashes to %s, not %s: %w", key, n.root().Short(), want.Short(), ErrCorrupt)
	}
	return n, nil
}

// Get returns the value of key in the newest version, nil if it is absent.
func (s *State) Get(key []byte) ([]byte, error) {
	v := s.Latest()
	defer v.Close()
	return v.Get(key)
}

// GetAt is Get in a kept version. Errors: [ErrPruned], [ErrVersion].
func (s *State) GetAt(version uint64, key []byte) ([]byte, error) {
	v, err := s.At(version)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return v.Get(key)
}

// Prove is [Snapshot.Prove] in a kept version. Errors: [ErrPruned], [ErrVersion].
func (s *State) Prove(version uint64, key []byte) (*Proof, []byte, error) {
	v, err := s.At(version)
	if err != nil {
		return nil, nil, err
	}
	defer v.Close()
	return v.Prove(key)
}

// Range is [Snapshot.Range] in the newest version.
func (s *State) Range(prefix []byte, fn func(key, value []byte) error) error {
	v := s.Latest()
	defer v.Close()
	return v.Range(prefix, fn)
}
