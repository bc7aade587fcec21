package dhtsim

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
)

// Load writes and reads records through random peers and remembers what was acknowledged.
type Load struct {
	world  *World
	author *store.Author
	acked  map[string]uint64 // the latest value of each record
	tried  map[string]uint64 // the latest that was begun
	names  []string
	// Acked and Failed count writes; Stale, Missing and Unanswered reads that came with an
	// earlier value than was acknowledged, with none, or not at all.
	Acked, Failed, Read, Stale, Missing, Unanswered int
}

// chacha is randomness for keys, always the same.
type chacha struct{ *rand.ChaCha8 }

// Load makes a load with one owner.
func (w *World) Load() *Load {
	seed := sha256.Sum256([]byte("dhtsim"))
	key, err := keys.FromSeed(keys.Ed25519, seed[:])
	if err != nil {
		panic(err) // a constant seed
	}
	return &Load{
		world: w, acked: map[string]uint64{}, tried: map[string]uint64{},
		author: &store.Author{Network: store.NewNetwork("dhtsim"), Key: key, Clock: &crdt.Clock{}, Rand: chacha{rand.NewChaCha8(seed)}, Sessions: nil},
	}
}

// Put writes a record's next value through some peer.
func (l *Load) Put(name string, life time.Duration) {
	w := l.world
	l.tried[name]++
	n := l.tried[name]
	value := binary.BigEndian.AppendUint64(nil, n)
	items, err := l.author.Create(w.Now(), store.Ref{Owner: l.author.Owner(), Name: name}, store.Spec{Kind: crdt.Register, Life: life}, nil, store.Write(value))
	if err != nil {
		panic(fmt.Sprintf("make a record: %v", err)) // of a load that is wrong in itself
	}
	p := w.Random()
	p.Core.At(w.Now())
	p.Core.Put(0, items, func(_ store.Written, err error) {
		if err != nil {
			l.Failed++
			return
		}
		l.Acked++
		if l.acked[name] == 0 {
			l.names = append(l.names, name)
		}
		l.acked[name] = max(l.acked[name], n)
	})
}

// Get reads a record through some peer and compares it with what was acknowledged when the
// read began.
func (l *Load) Get(name string) {
	w := l.world
	ref := store.Ref{Owner: l.author.Owner(), Name: name}
	want := l.acked[name]
	p := w.Random()
	p.Core.At(w.Now())
	p.Core.Get(ref.Key(), 0, func(r store.Read, err error) {
		l.Read++
		switch {
		case errors.Is(err, store.ErrNotFound):
			l.Missing++
			return
		case err != nil:
			l.Unanswered++
			return
		}
		if l.value(ref, r.Items) < want {
			l.Stale++
		}
	})
}

// value is what a record's items say; 0 if nothing.
func (l *Load) value(ref store.Ref, items []*store.Item) uint64 {
	rec, err := store.Open(ref, items, nil)
	if err != nil {
		return 0
	}
	value, _ := rec.State.Value(nil)
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

// Name is one of the acknowledged records.
func (l *Load) Name() string { return l.names[l.world.rand.IntN(len(l.names))] }

// Names lists the acknowledged records.
func (l *Load) Names() []string { return l.names }

// Bad is how many reads came without the value that was acknowledged.
func (l *Load) Bad() int { return l.Stale + l.Missing }

// String sums the load up.
func (l *Load) String() string {
	return fmt.Sprintf("%d writes acknowledged, %d not; %d reads: %d stale, %d missing, %d unanswered", l.Acked, l.Failed, l.Read, l.Stale, l.Missing, l.Unanswered)
}

func refOf(l *Load, name string) store.Ref { return store.Ref{Owner: l.author.Owner(), Name: name} }
