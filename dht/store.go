package dht

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
)

// Holders is through whom a [Store] reads and writes: the driver of a node's own store, or the
// API of another node. Errors are those of dht/store.
type Holders interface {
	// Get reads a record from want holders; 0 is a majority.
	Get(ctx context.Context, ref store.Ref, want int) (store.Read, error)
	// Local reads what the node holds itself: perhaps an earlier value.
	Local(ref store.Ref) (store.Read, error)
	// Put gives items of one record to want holders; 0 is a majority.
	Put(ctx context.Context, ref store.Ref, items []*store.Item, want int) (store.Written, error)
	// Watch returns when a record may have changed from one with a digest.
	Watch(ctx context.Context, ref store.Ref, have hash.Hash) error
}

// Options are how a [Store] works. The zero value is usable.
type Options struct {
	// Life is how long records live unless they are renewed; 0 is store.DefaultLife.
	Life time.Duration
	// Write and Read are how many holders a write and a read wait for; 0 is a majority.
	Write, Read int
	// Private seals records for the owner and Readers.
	Private bool
	Readers []*ecdh.PublicKey
	// Writers may change records besides the owner.
	Writers []keys.PublicKey
	// Listed notes the names of new records, so that [Store.Names] finds them.
	Listed bool
	// StaleOK lets reads be answered by what the node holds itself, without waiting for
	// anybody; it may be an earlier value.
	StaleOK bool
	// Progress, if set, is told how many bytes of a large value are done.
	Progress func(done, of int64)
}

// Store keeps data in the DHT as one owner, and reads everybody's. It is safe for concurrent
// use.
type Store struct {
	holders Holders
	opts    Options
	now     func() time.Time

	mu     *sync.Mutex // of author
	author *store.Author
}

// NewStore makes a store for the owner of the author's key.
func NewStore(h Holders, a *store.Author, o Options) *Store {
	if a.Sessions == nil {
		a.Sessions = map[ring.ID]store.Session{}
	}
	return &Store{holders: h, opts: o, author: a, now: time.Now, mu: &sync.Mutex{}}
}

// With is the store with other options.
func (s *Store) With(o Options) *Store {
	return &Store{holders: s.holders, opts: o, author: s.author, now: s.now, mu: s.mu}
}

// Owner is whom the store's records belong to.
func (s *Store) Owner() store.Owner { return s.author.Owner() }

// Own names a record of the store's owner.
func (s *Store) Own(name string) store.Ref { return store.Ref{Owner: s.Owner(), Name: name} }

// Record reads a record. It wraps [store.ErrNotFound] if there is none, and [store.ErrSealed]
// if it is for others.
func (s *Store) Record(ctx context.Context, ref store.Ref) (*store.Record, error) {
	r, err := s.read(ctx, ref)
	if err != nil {
		return nil, err
	}
	var reader *ecdh.PrivateKey
	if !s.author.Key.IsZero() {
		if reader, err = s.author.Reader(); err != nil {
			return nil, err
		}
	}
	rec, err := store.Open(ref, r.Items, reader)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", ref.Name, err)
	}
	return rec, nil
}

func (s *Store) read(ctx context.Context, ref store.Ref) (store.Read, error) {
	if s.opts.StaleOK {
		if r, err := s.holders.Local(ref); err == nil {
			return r, nil
		}
	}
	r, err := s.holders.Get(ctx, ref, s.opts.Read)
	if err != nil {
		return r, fmt.Errorf("read %q: %w", ref.Name, err)
	}
	return r, nil
}

func (s *Store) spec(k crdt.Kind, work int) store.Spec {
	return store.Spec{Kind: k, Life: s.opts.Life, Writers: s.opts.Writers, Private: s.opts.Private, Readers: s.opts.Readers, Work: work}
}

const (
	firstWork = 4
	mostWork  = 26 // bits, about ten seconds
)

// create writes a new record, with as much work as the holders ask for.
func (s *Store) create(ctx context.Context, ref store.Ref, k crdt.Kind, before *store.Header, change store.Change) error {
	if ref.Owner != s.Owner() {
		return fmt.Errorf("create %q: %w", ref.Name, store.ErrNotWriter)
	}
	for work := firstWork; ; work += 2 {
		err := s.write(ctx, ref, func() ([]*store.Item, error) {
			return s.author.Create(s.now(), ref, s.spec(k, work), before, change)
		})
		if !errors.Is(err, store.ErrWork) || work >= mostWork {
			return err
		}
	}
}

// write makes items and gives them to the holders, several times where they have too much to do.
func (s *Store) write(ctx context.Context, ref store.Ref, make func() ([]*store.Item, error)) error {
	const tries, pause = 8, 50 * time.Millisecond // 12 s in all, before the last
	for try := 0; ; try++ {
		err := s.writeOnce(ctx, ref, make)
		if !errors.Is(err, store.ErrBusy) || try == tries {
			return err
		}
		later := time.NewTimer(pause << try)
		select {
		case <-later.C:
		case <-ctx.Done():
			later.Stop()
			return err
		}
	}
}

func (s *Store) writeOnce(ctx context.Context, ref store.Ref, make func() ([]*store.Item, error)) error {
	s.mu.Lock()
	items, err := make()
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("write %q: %w", ref.Name, err)
	}
	if len(items) == 0 {
		return nil
	}
	if _, err = s.holders.Put(ctx, ref, items, s.opts.Write); err != nil {
		s.mu.Lock()
		s.author.Failed(ref)
		s.mu.Unlock()
		return fmt.Errorf("write %q: %w", ref.Name, err)
	}
	return nil
}

// Put sets a record of the owner to a value, whatever it was: of two at once the later one
// stays. It wraps [store.ErrStale] if somebody has written a later one, whose clock is ahead;
// the next Put will be later still.
func (s *Store) Put(ctx context.Context, name string, value []byte) error {
	ref := s.Own(name)
	fresh, err := s.listing(ctx, ref)
	if err != nil {
		return err
	}
	body, err := s.chunked(ctx, value)
	if err != nil {
		return err
	}
	err = s.create(ctx, ref, crdt.Register, nil, store.Write(body))
	switch {
	case errors.Is(err, crdt.ErrKind): // it was a record of another kind
		rec, err := s.Record(ctx, ref)
		if err != nil {
			return err
		}
		return s.create(ctx, ref, crdt.Register, rec.Header, store.Write(body))
	case errors.Is(err, store.ErrStale):
		if rec, rerr := s.Record(ctx, ref); rerr == nil {
			s.observe(rec)
		}
	}
	if err == nil && fresh {
		err = s.list(ctx, name)
	}
	return err
}

// observe makes the author's next stamp later than a record.
func (s *Store) observe(r *store.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.author.Clock.Observe(s.now(), r.Header.Version) // if it is too far ahead, the next write is refused
	_ = s.author.Clock.Observe(s.now(), r.State.Latest())
}

// Get reads the value that [Store.Put] wrote, of any owner.
func (s *Store) Get(ctx context.Context, ref store.Ref) ([]byte, error) {
	rec, err := s.Record(ctx, ref)
	if err != nil {
		return nil, err
	}
	return s.Value(ctx, rec)
}

// Value is what [Store.Put] wrote to a record that was read: large values are fetched now.
func (s *Store) Value(ctx context.Context, rec *store.Record) ([]byte, error) {
	body, ok := rec.State.Value(nil)
	if rec.State.Kind() != crdt.Register || !ok {
		return nil, fmt.Errorf("%q is a %s, not a value: %w", rec.Ref.Name, rec.State.Kind(), crdt.ErrKind)
	}
	return s.assembled(ctx, rec, body)
}

// Update changes a record of any kind, and creates it if it is the owner's and there is none.
// change may be called again if others have changed the record meanwhile.
func (s *Store) Update(ctx context.Context, ref store.Ref, k crdt.Kind, change store.Change) error {
	const tries = 5
	var err error
	for range tries {
		var rec *store.Record
		rec, err = s.Record(ctx, ref)
		switch {
		case errors.Is(err, store.ErrNotFound) && ref.Owner == s.Owner():
			if err = s.create(ctx, ref, k, nil, change); err == nil && s.opts.Listed {
				err = s.list(ctx, ref.Name)
			}
		case err != nil:
			return err
		case rec.Header.Kind != k:
			return fmt.Errorf("%q is a %s, not a %s: %w", ref.Name, rec.Header.Kind, k, crdt.ErrKind)
		default:
			err = s.write(ctx, ref, func() ([]*store.Item, error) { return s.author.Update(s.now(), rec, change) })
		}
		if !errors.Is(err, store.ErrStale) && !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrUnknown) {
			return err
		}
	}
	return err
}

// Delete removes a record of the owner.
func (s *Store) Delete(ctx context.Context, name string) error {
	ref := s.Own(name)
	rec, err := s.Record(ctx, ref)
	if err != nil {
		return err
	}
	if err := s.deleteChunks(ctx, rec); err != nil {
		return err
	}
	if err := s.write(ctx, ref, func() ([]*store.Item, error) { return s.author.Delete(s.now(), ref, rec.Header) }); err != nil {
		return err
	}
	return s.unlist(ctx, rec)
}

// Renew lets a record of the owner live on for the store's life from now.
func (s *Store) Renew(ctx context.Context, name string) error {
	ref := s.Own(name)
	rec, err := s.Record(ctx, ref)
	if err != nil {
		return err
	}
	if err := s.renewChunks(ctx, rec); err != nil {
		return err
	}
	return s.write(ctx, ref, func() ([]*store.Item, error) { return s.author.Renew(s.now(), rec, s.opts.Life) })
}

// Share makes a record of the owner anew, with the same value, for other readers and writers:
// those of the store's options.
func (s *Store) Share(ctx context.Context, name string) error {
	ref := s.Own(name)
	rec, err := s.Record(ctx, ref)
	if err != nil {
		return err
	}
	return s.write(ctx, ref, func() ([]*store.Item, error) {
		return s.author.Again(s.now(), rec, s.spec(rec.Header.Kind, firstWork))
	})
}

// Watch sends a record now, and whenever it changes, until ctx ends; nil says that it is gone.
// The channel is closed at the end.
func (s *Store) Watch(ctx context.Context, ref store.Ref) <-chan *store.Record {
	out := make(chan *store.Record)
	go func() {
		defer close(out)
		var have hash.Hash
		first := true
		for ctx.Err() == nil {
			rec, err := s.Record(ctx, ref)
			gone := errors.Is(err, store.ErrNotFound)
			now := hash.Hash{}
			if err == nil {
				now = rec.Digest
			}
			if (err == nil || gone) && (first || now != have) {
				first, have = false, now
				select {
				case out <- rec:
				case <-ctx.Done():
					return
				}
			}
			wait, cancel := context.WithTimeout(ctx, lookAnyway)
			_ = s.holders.Watch(wait, ref, have) // if it fails, or nothing comes: look
			cancel()
		}
	}()
	return out
}

// lookAnyway is how long a watch relies on being told.
const lookAnyway = 30 * time.Second

// Reader is a store that only reads, and opens nothing that is sealed.
func Reader(h Holders) *Store {
	return &Store{holders: h, now: time.Now, mu: &sync.Mutex{}, author: &store.Author{}}
}
