package state

import (
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Change sets a key to a value, or removes it if Value is nil. Removing a key
// that is absent does nothing.
type Change struct {
	Key   []byte // 1 to [MaxKey] bytes
	Value []byte // up to [MaxValue] bytes
}

// KV is a record of the caller's own, written with a commit but not part of the
// authenticated state. A nil Value removes it. Key: 1 to 1024 bytes, Value: up
// to [MaxExtra] bytes. Of several records with one key the last counts.
type KV struct {
	Key   []byte
	Value []byte
	Once  bool // write only if there is no record with this key: the first one stays
}

const maxExtraKey = 1024

// Commit applies the changes and the extra records as the next version and
// returns its root once all is durable. The order of changes does not matter;
// none may name a key twice, and the slices must not change meanwhile.
//
// After an error that is not [ErrChange] or [ErrVersion], the version before is
// still what is read, and further writes return [ErrFailed] until the state is
// opened again.
func (s *State) Commit(version uint64, changes []Change, extra []KV) (hash.Hash, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	before := s.current()
	if s.failed != nil {
		return hash.Hash{}, fmt.Errorf("commit version %d: %w: %w", version, ErrFailed, s.failed)
	}
	if !s.Empty() && version != before.version+1 {
		return hash.Hash{}, fmt.Errorf("commit version %d on %d: %w", version, before.version, ErrVersion)
	}
	ops, err := s.prepare(changes, extra)
	if err != nil {
		return hash.Hash{}, fmt.Errorf("commit version %d: %w", version, err)
	}
	p, err := s.commit(version, before, ops, changes, extra)
	if err != nil {
		s.failed = err
		return hash.Hash{}, fmt.Errorf("commit version %d: %w", version, err)
	}
	return p.root, nil
}

// prepare checks the input and hashes keys and values into sorted ops.
func (s *State) prepare(changes []Change, extra []KV) ([]op, error) {
	for _, c := range changes {
		if len(c.Key) == 0 || len(c.Key) > MaxKey || len(c.Value) > MaxValue {
			return nil, fmt.Errorf("key of %d bytes, value of %d bytes: %w", len(c.Key), len(c.Value), ErrChange)
		}
	}
	for _, e := range extra {
		if len(e.Key) == 0 || len(e.Key) > maxExtraKey || len(e.Value) > MaxExtra {
			return nil, fmt.Errorf("extra key of %d bytes, value of %d bytes: %w", len(e.Key), len(e.Value), ErrChange)
		}
	}
	ops := make([]op, len(changes))
	var group errgroup.Group
	group.SetLimit(max(1, s.opts.Workers))
	for start := 0; start < len(changes); start += parallelFrom {
		group.Go(func() error {
			for i := start; i < min(start+parallelFrom, len(changes)); i++ {
				c := &changes[i]
				ops[i] = op{leaf: leaf{key: hashKey(c.Key)}, remove: c.Value == nil}
				if c.Value != nil {
					ops[i].value = hashValue(c.Value)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	sortOps(ops)
	for i := 1; i < len(ops); i++ {
		if ops[i].key == ops[i-1].key {
			return nil, fmt.Errorf("a key is given twice: %w", ErrChange)
		}
	}
	return ops, nil
}

// commit writes everything of a version, then its marker, then shows it.
func (s *State) commit(version uint64, before point, ops []op, changes []Change, extra []KV) (point, error) {
	p := point{version: version, ts: s.next, root: before.root}
	s.next++
	b := s.newBatch(p.ts)
	defer b.cancel()

	if len(ops) > 0 {
		var err error
		if p.root, err = s.updateTree(b, before, ops); err != nil {
			return p, err
		}
	}
	extra, err := s.absent(before, extra)
	if err != nil {
		return p, err
	}
	if err := b.putAll(changes, extra); err != nil {
		return p, err
	}
	if p.chunks, err = b.writeTouched(); err != nil {
		return p, err
	}
	key := versionKey(version)
	if err := b.write(key, seal(key, p.append(nil))); err != nil {
		return p, err
	}
	kept := append(slices.Clone(s.kept), p)
	for len(kept) > s.opts.History+1 {
		if err := b.dropTouched(kept[0]); err != nil {
			return p, err
		}
		kept = kept[1:]
	}
	floor := max(s.floor, kept[0].ts)
	return p, s.finish(b, marker{ts: p.ts, floor: floor, some: true, point: p, chain: s.opts.Chain}, kept)
}

// updateTree writes the nodes that change. Cached are also nodes of a version
// that never gets its marker: harmless, see cache.
func (s *State) updateTree(b *batch, before point, ops []op) (hash.Hash, error) {
	txn := s.db.badger.NewTransactionAt(before.ts, false)
	defer txn.Discard()
	u := updater{load: s.loader(txn), workers: s.opts.Workers}
	u.store = func(at place, n *node) error {
		s.cache.put(at, n)
		if n == nil {
			return b.put(nodeKey(at), nil)
		}
		return b.put(nodeKey(at), n.encode())
	}
	return u.run(before.root, ops)
}

// absent leaves out the records that are to be written once and were before.
func (s *State) absent(before point, extra []KV) ([]KV, error) {
	txn := s.db.badger.NewTransactionAt(before.ts, false)
	defer txn.Discard()
	seen := map[string]bool{}
	out := make([]KV, 0, len(extra))
	for _, e := range extra {
		if e.Once {
			old, err := readSealed(txn, extraKey(e.Key))
			if err != nil {
				return nil, err
			}
			if old != nil || seen[string(e.Key)] {
				continue
			}
			seen[string(e.Key)] = true
		}
		out = append(out, e)
	}
	return out, nil
}

func (b *batch) putAll(changes []Change, extra []KV) error {
	put := func(key, value []byte) error {
		if value != nil {
			value = seal(key, value)
		}
		return b.put(key, value)
	}
	for _, c := range changes {
		if err := put(flatKey(c.Key), c.Value); err != nil {
			return err
		}
	}
	for _, e := range extra {
		if err := put(extraKey(e.Key), e.Value); err != nil {
			return err
		}
	}
	return nil
}

// finish makes a batch count: all durable, marker, durable, visible.
func (s *State) finish(b *batch, m marker, kept []point) error {
	if err := b.flush(); err != nil {
		return err
	}
	if err := s.db.writeMarker(m); err != nil {
		return err
	}
	s.publish(kept, m.floor)
	return nil
}
