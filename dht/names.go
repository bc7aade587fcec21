package dht

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
)

// The names of an owner's records are kept as sets, in records of their own, since the ring
// knows only hashes of names. Those of private records are in private ones.
const (
	namesPrefix        = ".names/"
	privateNamesPrefix = ".names.private/"
	nameShards         = 16
)

func (s *Store) shardOf(name string) string {
	return s.shard(int(hash.Sum("starling/dht/names", []byte(name))[0])%nameShards, s.opts.Private)
}

func (*Store) shard(i int, private bool) string {
	if private {
		return fmt.Sprintf("%s%x", privateNamesPrefix, i)
	}
	return fmt.Sprintf("%s%x", namesPrefix, i)
}

// listing reports whether a record's name must be noted once it is written.
func (s *Store) listing(ctx context.Context, ref store.Ref) (bool, error) {
	if !s.opts.Listed {
		return false, nil
	}
	shard := s.Own(s.shardOf(ref.Name))
	rec, err := s.Record(ctx, shard)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(rec.State.Elements(nil), func(e []byte) bool { return string(e) == ref.Name }), nil
}

// names is the store for its own lists: they live as long as may be, as nobody renews them.
func (s *Store) names() *Store {
	o := s.opts
	o.Listed, o.Writers, o.Readers, o.Life = false, nil, nil, store.MaxLife
	return s.With(o)
}

func (s *Store) list(ctx context.Context, name string) error {
	return s.names().Update(ctx, s.Own(s.shardOf(name)), crdt.Set, Add(nil, []byte(name)))
}

func (s *Store) unlist(ctx context.Context, rec *store.Record) error {
	own := s.names()
	own.opts.Private = rec.Header.Seal != 0
	err := own.Update(ctx, s.Own(own.shardOf(rec.Ref.Name)), crdt.Set, Remove(nil, []byte(rec.Ref.Name)))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Names lists the records of an owner that were written with Listed, by name; private ones
// only to the owner. Of records that have expired since names may be left.
func (s *Store) Names(ctx context.Context, owner store.Owner) (out []string, err error) {
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	for i := range 2 * nameShards {
		g.Go(func() error {
			rec, err := s.Record(ctx, store.Ref{Owner: owner, Name: s.shard(i/2, i%2 == 1)})
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrSealed) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range rec.State.Elements(nil) {
				out = append(out, string(e))
			}
			return nil
		})
	}
	err = g.Wait()
	slices.SortFunc(out, strings.Compare)
	return slices.Compact(out), err
}

// Add is the change that puts an element into the set at a path.
func Add(at crdt.Path, element []byte) store.Change {
	return func(st *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		return st.Add(w, now, at, element)
	}
}

// Remove is the change that takes an element out of the set at a path.
func Remove(at crdt.Path, element []byte) store.Change {
	return func(st *crdt.State, w crdt.Writer, _ time.Time) (*crdt.State, error) {
		return st.Remove(w, at, element)
	}
}

// Increment is the change that adds to the counter at a path.
func Increment(at crdt.Path, by int64) store.Change {
	return func(st *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		return st.Increment(w, now, at, by)
	}
}

// Append is the change that adds an entry to the log at a path.
func Append(at crdt.Path, data []byte) store.Change {
	return func(st *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		return st.Append(w, now, at, data)
	}
}

// Set is the change that sets the register at a path.
func Set(at crdt.Path, value []byte) store.Change {
	return func(st *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		return st.Write(w, now, at, value)
	}
}

// Unset is the change that removes the field at a path.
func Unset(at crdt.Path, k crdt.Kind) store.Change {
	return func(st *crdt.State, w crdt.Writer, _ time.Time) (*crdt.State, error) { return st.Delete(w, at, k) }
}

// Together makes one change of several.
func Together(changes ...store.Change) store.Change {
	return func(st *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		all := crdt.New(st.Kind())
		for _, c := range changes {
			delta, err := c(st, w, now)
			if err != nil {
				return nil, err
			}
			if err := all.Merge(delta); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
}
