// Package storetest is a ring of one in memory, for tests of what uses the store. Look at
// [Alone].
package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/dht/store/driver"
)

// Alone is a store with one holder. It implements dht.Holders, and is safe for concurrent use.
type Alone struct {
	mu       sync.Mutex
	core     *store.Core
	verifier *store.Verifier
}

// New makes a store of a network.
func New(network string) *Alone {
	v, err := store.NewVerifier(store.NewNetwork(network))
	if err != nil {
		panic(err) // of sizes that are constants
	}
	a := &Alone{verifier: v}
	a.core = store.New(ring.PeerOf("alone"), store.Config{Pace: ring.Pace{Patience: time.Nanosecond}}, store.NewShelf(store.Limits{}, store.Memory(), nil), nobody{})
	now := time.Now()
	a.core.At(now)
	a.core.Member().Join(now)
	a.core.Tick(now.Add(time.Millisecond))
	a.core.Tick(now.Add(2 * time.Millisecond))
	return a
}

// nobody is a network without peers.
type nobody struct{}

func (nobody) Call(_ ring.Peer, _ *store.Request, done func(*store.Response, error)) {
	done(nil, errors.New("there is nobody else"))
}

func (a *Alone) do(f func(*store.Core)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.core.At(time.Now())
	f(a.core)
}

// Get implements dht.Holders.
func (a *Alone) Get(_ context.Context, ref store.Ref, want int) (out store.Read, err error) {
	a.do(func(c *store.Core) { c.Get(ref.Key(), want, func(r store.Read, e error) { out, err = r, e }) })
	return out, err
}

// Local implements dht.Holders.
func (a *Alone) Local(ref store.Ref) (store.Read, error) { return a.Get(context.Background(), ref, 1) }

// Put implements dht.Holders.
func (a *Alone) Put(_ context.Context, _ store.Ref, items []*store.Item, want int) (out store.Written, err error) {
	for _, it := range items {
		if err := a.verifier.Verify(it); err != nil {
			return out, err
		}
	}
	a.do(func(c *store.Core) { c.Put(want, items, func(w store.Written, e error) { out, err = w, e }) })
	return out, err
}

// Watch implements dht.Holders.
func (a *Alone) Watch(ctx context.Context, ref store.Ref, have hash.Hash) error {
	changed := make(chan struct{}, 1)
	var number int
	a.do(func(c *store.Core) {
		number = c.Watch(ref.Key(), have, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	})
	defer a.do(func(c *store.Core) { c.Unwatch(ref.Key(), number) })
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Lookup finds the only member.
func (a *Alone) Lookup(_ context.Context, key ring.ID, paths int) (out ring.Found, err error) {
	a.do(func(c *store.Core) {
		c.Member().Lookup(key, paths, nil, func(f ring.Found, e error) { out, err = f, e })
	})
	return out, err
}

// Status tells what is held.
func (a *Alone) Status() (s driver.Status) {
	a.do(func(c *store.Core) {
		s = driver.Status{
			Self: c.Member().Self(), Member: c.Member().Core().Member(), Settled: c.Settled(), State: c.Member().Core().State(),
			Records: c.Shelf().Len(), Bytes: c.Shelf().Bytes(), Owners: c.Shelf().Owners(), Count: c.Count,
		}
	})
	return s
}
