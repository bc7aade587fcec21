package dht

import (
	"context"
	"errors"
	"strings"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/starlingmesh/starling/dht/store"
)

// Datastore offers a [Store] as a go-datastore: keys are names of records. The store's
// options should have Listed set, or queries find nothing.
type Datastore struct{ *Store }

var _ datastore.Datastore = Datastore{}

func nameOfKey(k datastore.Key) string { return strings.TrimPrefix(k.String(), "/") }

// Get implements datastore.Read.
func (d Datastore) Get(ctx context.Context, k datastore.Key) ([]byte, error) {
	value, err := d.Store.Get(ctx, d.Own(nameOfKey(k)))
	if errors.Is(err, store.ErrNotFound) {
		return nil, datastore.ErrNotFound
	}
	return value, err
}

// Has implements datastore.Read.
func (d Datastore) Has(ctx context.Context, k datastore.Key) (bool, error) {
	_, err := d.Record(ctx, d.Own(nameOfKey(k)))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// GetSize implements datastore.Read.
func (d Datastore) GetSize(ctx context.Context, k datastore.Key) (int, error) {
	rec, err := d.Record(ctx, d.Own(nameOfKey(k)))
	if errors.Is(err, store.ErrNotFound) {
		return -1, datastore.ErrNotFound
	}
	if err != nil {
		return -1, err
	}
	size, err := Size(rec)
	return int(size), err
}

// Put implements datastore.Write.
func (d Datastore) Put(ctx context.Context, k datastore.Key, value []byte) error {
	return d.Store.Put(ctx, nameOfKey(k), value)
}

// Delete implements datastore.Write. What is not there is deleted already.
func (d Datastore) Delete(ctx context.Context, k datastore.Key) error {
	err := d.Store.Delete(ctx, nameOfKey(k))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Query implements datastore.Read.
func (d Datastore) Query(ctx context.Context, q query.Query) (query.Results, error) {
	names, err := d.Names(ctx, d.Owner())
	if err != nil {
		return nil, err
	}
	var entries []query.Entry
	for _, name := range names {
		e := query.Entry{Key: "/" + name}
		if !q.KeysOnly || q.ReturnsSizes || len(q.Filters)+len(q.Orders) > 0 {
			e.Value, err = d.Store.Get(ctx, d.Own(name))
			if errors.Is(err, store.ErrNotFound) {
				continue // it has expired
			}
			if err != nil {
				return nil, err
			}
			e.Size = len(e.Value)
		}
		entries = append(entries, e)
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

// Sync implements datastore.Write: a Put that has returned is with a quorum of holders.
func (Datastore) Sync(context.Context, datastore.Key) error { return nil }

// Close implements io.Closer. The store belongs to others.
func (Datastore) Close() error { return nil }
