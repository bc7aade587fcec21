package state

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// Rollback makes an older kept version the newest one, extra records included.
// Versions after it are gone. Errors: [ErrPruned], [ErrVersion]; after any other
// error the state must be opened again, as with [State.Commit].
func (s *State) Rollback(version uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.failed != nil {
		return fmt.Errorf("roll back to version %d: %w: %w", version, ErrFailed, s.failed)
	}
	s.mu.RLock()
	target, err := s.find(version)
	s.mu.RUnlock()
	if err != nil {
		return fmt.Errorf("roll back: %w", err)
	}
	if target == s.current() {
		return nil
	}
	if err := s.rollback(target); err != nil {
		s.failed = err
		return fmt.Errorf("roll back to version %d: %w", version, err)
	}
	return nil
}

func (s *State) rollback(target point) error {
	end := slices.Index(s.kept, target) + 1
	b := s.newBatch(s.next)
	defer b.cancel()
	s.next++

	now := s.db.badger.NewTransactionAt(s.current().ts, false)
	defer now.Discard()
	then := s.db.badger.NewTransactionAt(target.ts, false)
	defer then.Discard()
	touched := map[string]struct{}{}
	for _, p := range s.kept[end:] {
		err := readTouched(now, p, func(key []byte) { touched[string(key)] = struct{}{} })
		if err != nil {
			return err
		}
		if err := b.dropTouched(p); err != nil {
			return err
		}
	}
	for key := range touched {
		if err := restore(b, then, []byte(key)); err != nil {
			return err
		}
	}
	m := marker{ts: b.ts, floor: s.floor, some: true, point: target, chain: s.opts.Chain}
	return s.finish(b, m, slices.Clone(s.kept[:end]))
}

// restore writes the record of key again as it was in an older version.
func restore(b *batch, then *badger.Txn, key []byte) error {
	item, err := then.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return b.write(key, nil)
	} else if err != nil {
		return fmt.Errorf("read record %x: %w", key, err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return fmt.Errorf("read record %x: %w: %w", key, ErrCorrupt, err)
	}
	return b.write(key, value)
}

// recover covers every record above the marker with what the marker's version
// held, so that the next commit does not bring it to light. Should it break off
// itself, the next opening does it again.
func (s *State) recover(m marker) error {
	b := s.newBatch(s.next)
	defer b.cancel()
	s.next++
	then := s.db.badger.NewTransactionAt(m.ts, false)
	defer then.Discard()
	if err := s.eachAbove(m.ts, func(key []byte) error { return restore(b, then, key) }); err != nil {
		return err
	}
	m.ts = b.ts
	return s.finish(b, m, s.kept)
}

// eachAbove visits the keys with records above a timestamp, removed ones too.
func (s *State) eachAbove(ts uint64, fn func(key []byte) error) error {
	txn := s.db.badger.NewTransactionAt(forever, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{SinceTs: ts, AllVersions: true})
	defer it.Close()
	var last []byte
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if item.Version() <= ts || bytes.Equal(item.Key(), last) {
			continue
		}
		last = item.KeyCopy(nil)
		if err := fn(last); err != nil {
			return err
		}
	}
	return nil
}
