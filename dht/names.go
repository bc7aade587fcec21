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
// knows only hashes of names.
const (
	namesPrefix = ".names/"
	nameShards  = 16
)

func shardOf(name string) string {
	return fmt.Sprintf("%s%x", namesPrefix, hash.Sum("starling/dht/names", []byte(name))[0]%nameShards)
}

// listing reports whether a record's name must be noted once it is written.
func (s *Store) listing(ctx context.Context, ref store.Ref) (bool, error) {
	if !s.opts.Listed {
		return false, nil
	}
	shard := s.Own(shardOf(ref.Name))
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
	o.Listed, o.Writers, o.Life = false, nil, store.MaxLife
	return s.With(o)
}

func (s *Store) list(ctx context.Context, name string) error {
	return s.names().Update(ctx, s.Own(shardOf(name)), crdt.Set, Add(nil, []byte(name)))
}

func (s *Store) unlist(ctx context.Context, name string) error {
	err := s.names().Update(ctx, s.Own(shardOf(name)), crdt.Set, Remove(nil, []byte(name)))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Names lists the records of an owner that were written with Listed, by name. Of records that
// have expired since names may be left.
func (s *Store) Names(ctx context.Context, owner store.Owner) (out []string, err error) {
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	for i := range nameShards {
		g.Go(func() error {
			rec, err := s.Record(ctx, store.Ref{Owner: owner, Name: fmt.Sprintf("%s%x", namesPrefix, i)})
			if errors.Is(err, store.ErrNotFound) {
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
	return out, err
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
