package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Options configures a [State].
type Options struct {
	// Chain labels the database, usually with the chain id. A database with
	// another label is refused with [ErrForeignChain].
	Chain []byte
	// History is how many versions before the newest can be read and rolled
	// back to. Default 100.
	History int
	// CacheNodes bounds the decoded tree nodes held in memory, 1.1 to 2.1 KiB
	// each. Default 8192.
	CacheNodes int
	// Workers is how many goroutines a commit of at least 512 changes uses.
	// Default 1.
	Workers int

	fault func(b *batch, step string) error // of tests: breaks a write off where it returns an error
}

// State is the authenticated state. Commits and rollbacks exclude each other;
// any number of readers run beside them, each on a stable snapshot.
type State struct {
	db    *DB
	opts  Options
	cache *cache

	writing sync.Mutex // held during commit and rollback; guards the next two
	next    uint64     // timestamp of the next write
	failed  error

	mu      sync.RWMutex   // guards the rest
	kept    []point        // versions that can be read, oldest first
	floor   uint64         // timestamp of the oldest
	readers map[uint64]int // open snapshots by timestamp
}

// Open opens the state in db, and removes what a write left behind that broke
// off. Errors: [ErrForeignChain], [ErrCorrupt].
func Open(db *DB, opts Options) (*State, error) {
	if opts.History <= 0 {
		opts.History = 100
	}
	if opts.CacheNodes <= 0 {
		opts.CacheNodes = 8192
	}
	s := &State{db: db, opts: opts, cache: newCache(opts.CacheNodes), readers: map[uint64]int{}}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open state in %s: %w", db.dir, err)
	}
	return s, nil
}

func (s *State) open() error {
	m, ok, err := s.db.readMarker()
	if err != nil {
		return err
	}
	if !ok {
		m = marker{ts: 1, floor: 1, chain: s.opts.Chain}
		if err := s.db.writeMarker(m); err != nil {
			return err
		}
	}
	if !bytes.Equal(m.chain, s.opts.Chain) {
		return fmt.Errorf("labelled %x, not %x: %w", m.chain, s.opts.Chain, ErrForeignChain)
	}
	s.floor = m.floor
	if s.kept, err = s.db.readPoints(m); err != nil {
		return err
	}
	s.next = m.ts + 1
	if top := s.db.badger.MaxVersion(); top > m.ts {
		s.next = top + 1
		if err := s.recover(m); err != nil {
			return fmt.Errorf("remove a torn write: %w", err)
		}
	}
	s.db.badger.SetDiscardTs(s.floor)
	return nil
}

// readPoints lists the versions that can be read under a marker.
func (db *DB) readPoints(m marker) ([]point, error) {
	txn := db.badger.NewTransactionAt(m.ts, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixVersion}, PrefetchValues: false})
	defer it.Close()
	var points []point
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		sealed, err := it.Item().ValueCopy(nil)
		if err != nil {
			return nil, fmt.Errorf("read record %x: %w", key, err)
		}
		b, err := unseal(key, sealed)
		if err != nil {
			return nil, err
		}
		p, err := decodePoint(b)
		if err != nil {
			return nil, err
		}
		if len(key) != 9 || p.version != binary.BigEndian.Uint64(key[1:]) {
			return nil, fmt.Errorf("record %x: %w", key, ErrCorrupt)
		}
		if p.ts >= m.floor {
			points = append(points, p)
		}
	}
	for i := 1; i < len(points); i++ {
		if points[i].version != points[i-1].version+1 || points[i].ts <= points[i-1].ts {
			return nil, fmt.Errorf("versions %d and %d do not follow: %w", points[i-1].version, points[i].version, ErrCorrupt)
		}
	}
	if m.some != (len(points) > 0) || m.some && points[len(points)-1] != m.point {
		return nil, fmt.Errorf("marker and version records disagree: %w", ErrCorrupt)
	}
	return points, nil
}

// Empty reports whether nothing was committed yet; the first commit may then
// have any version.
func (s *State) Empty() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.kept) == 0
}

// Version is the newest committed version, 0 if the state is empty.
func (s *State) Version() uint64 { return s.current().version }

// Root is the root of the newest version; zero means that it has no keys.
func (s *State) Root() hash.Hash { return s.current().root }

// Oldest is the oldest version that can be read and rolled back to.
func (s *State) Oldest() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.kept) == 0 {
		return 0
	}
	return s.kept[0].version
}

// RootAt is the root of a kept version. Errors: [ErrPruned], [ErrVersion].
func (s *State) RootAt(version uint64) (hash.Hash, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, err := s.find(version)
	return p.root, err
}

// current is the newest point; without commits, one at which nothing is seen.
func (s *State) current() point {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.kept) == 0 {
		return point{}
	}
	return s.kept[len(s.kept)-1]
}

// find looks a version up; s.mu is held.
func (s *State) find(version uint64) (point, error) {
	i, ok := slices.BinarySearchFunc(s.kept, version, func(p point, v uint64) int {
		switch {
		case p.version < v:
			return -1
		case p.version > v:
			return 1
		}
		return 0
	})
	switch {
	case ok:
		return s.kept[i], nil
	case i == 0 && len(s.kept) > 0:
		return point{}, fmt.Errorf("version %d, the oldest is %d: %w", version, s.kept[0].version, ErrPruned)
	}
	return point{}, fmt.Errorf("version %d is not committed: %w", version, ErrVersion)
}

// publish makes the kept versions visible and lets badger drop what only older
// ones and closed snapshots needed.
func (s *State) publish(kept []point, floor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.floor = kept, floor
	discard := floor
	for ts := range s.readers {
		discard = min(discard, ts)
	}
	s.db.badger.SetDiscardTs(discard)
}
