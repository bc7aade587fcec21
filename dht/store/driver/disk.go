package driver

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/store"
)

// disk keeps items in a datastore, under their hash. That is a checksum, too: what was changed
// on disk is noticed when it is read.
type disk struct{ d datastore.Batching }

var errDamaged = errors.New("the item on disk is not what was written")

func nameOf(id hash.Hash) datastore.Key { return datastore.RawKey("/item/" + id.String()) }

// Get implements store.Disk.
func (d disk) Get(id hash.Hash) (*store.Item, error) {
	raw, err := d.d.Get(context.Background(), nameOf(id))
	if err != nil {
		return nil, fmt.Errorf("read item %s: %w", id.Short(), err)
	}
	it, err := store.DecodeItem(raw)
	if err != nil || it.ID() != id {
		return nil, fmt.Errorf("read item %s: %w", id.Short(), errDamaged)
	}
	return it, nil
}

// Apply implements store.Disk.
func (d disk) Apply(put []*store.Item, remove []hash.Hash) error {
	ctx := context.Background() // local and short
	if len(put) == 1 && len(remove) == 0 {
		return d.d.Put(ctx, nameOf(put[0].ID()), put[0].Raw())
	}
	b, err := d.d.Batch(ctx)
	if err != nil {
		return fmt.Errorf("write items: %w", err)
	}
	for _, it := range put {
		if err := b.Put(ctx, nameOf(it.ID()), it.Raw()); err != nil {
			return fmt.Errorf("write item %s: %w", it.ID().Short(), err)
		}
	}
	for _, id := range remove {
		if err := b.Delete(ctx, nameOf(id)); err != nil {
			return fmt.Errorf("remove item %s: %w", id.Short(), err)
		}
	}
	if err := b.Commit(ctx); err != nil {
		return fmt.Errorf("write items: %w", err)
	}
	return nil
}

// load reads all items, and removes what is damaged: others bring it again.
func (d disk) load(ctx context.Context) (items []*store.Item, damaged int, err error) {
	all, err := d.d.Query(ctx, query.Query{Prefix: "/item"})
	if err != nil {
		return nil, 0, fmt.Errorf("read the store: %w", err)
	}
	defer func() { err = errors.Join(err, all.Close()) }()
	var bad []datastore.Key
	for r := range all.Next() {
		if r.Error != nil {
			return nil, 0, fmt.Errorf("read the store: %w", r.Error)
		}
		it, err := store.DecodeItem(r.Value)
		if err != nil || it.ID().String() != datastore.RawKey(r.Key).Name() {
			bad = append(bad, datastore.RawKey(r.Key))
			continue
		}
		items = append(items, it)
	}
	for _, k := range bad {
		if err := d.d.Delete(ctx, k); err != nil {
			return nil, 0, fmt.Errorf("remove a damaged item: %w", err)
		}
	}
	return items, len(bad), nil
}
