package dhtsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
)

// edit changes a record through a peer as an author who knows only what that side of a
// partition knows.
func edit(t *testing.T, w *World, p *Peer, a *store.Author, ref store.Ref, change store.Change) {
	t.Helper()
	done := false
	p.Core.At(w.Now())
	p.Core.Get(ref.Key(), 0, func(r store.Read, err error) {
		require.NoError(t, err)
		rec, err := store.Open(ref, r.Items, nil)
		require.NoError(t, err)
		items, err := a.Update(w.Now(), rec, change)
		require.NoError(t, err)
		p.Core.Put(0, items, func(_ store.Written, err error) {
			require.NoError(t, err)
			done = true
		})
	})
	w.Run(15 * time.Second)
	require.True(t, done)
}

// holders are the peers that should hold a key, in order.
func (w *World) holders(ref store.Ref, n int) (out []*Peer) {
	at := slices.Index(w.alive, w.Owner(ref.Key()))
	for i := range n {
		out = append(out, w.alive[(at+i)%len(w.alive)])
	}
	return out
}

// Five groups that do not hear each other edit one map; when they meet, all holders have the
// same bytes, and what travelled is in proportion to what they lacked.
func TestConcurrentEditsOfPartitionedGroupsMerge(t *testing.T) {
	const groups, edits = 5, 6
	w := ringOf(t, 5, 40)
	l := w.Load()
	ref := refOf(l, "map")
	items, err := l.author.Create(w.Now(), ref, store.Spec{Kind: crdt.Map, Life: life}, nil, set("field", "at first"))
	require.NoError(t, err)
	w.Random().Core.Put(0, items, func(_ store.Written, err error) { require.NoError(t, err) })
	w.Run(5 * time.Second)
	// Each group has one holder, and others at random.
	for i, p := range w.holders(ref, groups) {
		w.side[p.Self] = i + 1
	}
	for _, p := range w.alive {
		if w.side[p.Self] == 0 {
			w.side[p.Self] = 1 + w.rand.IntN(groups)
		}
	}
	var ends []*Peer
	var authors []*store.Author
	for g := range groups {
		authors = append(authors, &store.Author{
			Network: l.author.Network, Key: l.author.Key, Clock: &crdt.Clock{}, Rand: chacha{rand.NewChaCha8([32]byte{byte(g)})}, Sessions: map[ring.ID]store.Session{},
		})
		ends = append(ends, w.alive[slices.IndexFunc(w.alive, func(p *Peer) bool { return w.side[p.Self] == g+1 })])
	}
	w.Run(4 * time.Minute) // five rings
	for i := range edits {
		for g, p := range ends {
			edit(t, w, p, authors[g], ref, set(fmt.Sprintf("group %d, field %d", g, i), "a value that is neither long nor short, as values are"))
			edit(t, w, p, authors[g], ref, set("field", fmt.Sprint("of group ", g)))
		}
	}
	w.Run(2 * time.Minute)
	before := map[*Peer]map[hash.Hash]int{}
	for _, p := range w.alive {
		before[p] = map[hash.Hash]int{}
		for _, it := range p.Core.Shelf().Items(w.Now(), ref.Key()) {
			before[p][it.ID()] = len(it.Raw())
		}
	}
	clear(w.side)
	w.Moved = 0
	require.NoError(t, w.settle(8, 3*time.Minute))
	w.Run(90 * time.Second) // before those who hold too much let go of it
	holders := w.holders(ref, groups)
	want := holders[0].Core.Shelf().Items(w.Now(), ref.Key())
	rec, err := store.Open(ref, want, nil)
	require.NoError(t, err)
	require.Len(t, rec.State.Fields(nil), 1+groups*edits)
	lacked := 0
	for _, p := range w.alive {
		have := p.Core.Shelf().Items(w.Now(), ref.Key())
		for _, it := range have {
			if before[p][it.ID()] == 0 {
				lacked += len(it.Raw())
			}
		}
	}
	for _, p := range holders[1:] {
		have := p.Core.Shelf().Items(w.Now(), ref.Key())
		require.Len(t, have, len(want))
		for i, it := range want {
			require.Equal(t, it.Raw(), have[i].Raw())
		}
	}
	t.Logf("%d bytes were lacking, %d travelled to compare and to exchange", lacked, w.Moved)
	require.LessOrEqual(t, w.Moved, int64(3*lacked))
}

func set(field, value string) store.Change {
	return func(s *crdt.State, wr crdt.Writer, now time.Time) (*crdt.State, error) {
		return s.Write(wr, now, crdt.Path{field}, []byte(value))
	}
}

// One who comes takes over its share, and hardly more travels.
func TestWhoJoinsMovesItsShareOfBytes(t *testing.T) {
	const members, records, joins = 40, 3000, 15
	w := ringOf(t, 11, members)
	l := w.Load()
	for i := range records {
		l.Put(fmt.Sprint("record ", i), life)
		w.Run(5 * time.Millisecond)
	}
	w.Run(2 * time.Minute)
	var moved, share int64
	for range joins {
		w.Moved = 0
		p := w.Add(spec)
		w.Run(3 * time.Minute)
		moved += w.Moved
		share += p.Core.Shelf().Bytes()
	}
	ideal := float64(0)
	for i := range joins {
		ideal += float64(records*5) / float64(members+i+1) * float64(share) / float64(held(w, joins))
	}
	t.Logf("%d joins: %.0f bytes would be their share of all, they took over %d, and %d travelled", joins, ideal, share, moved)
	require.LessOrEqual(t, float64(moved), 1.5*ideal)
}

// With the timers of a node, too, one who comes takes what it must hold and not all there is.
func TestWhoJoinsTakesOnlyItsShare(t *testing.T) {
	w := NewWorld(4, net)
	for range 30 {
		w.Add(store.Config{})
		w.Run(400 * time.Millisecond)
	}
	require.NoError(t, w.settle(8, 10*time.Minute))
	w.Run(time.Minute)
	l := w.Load()
	for i := range 600 {
		l.Put(fmt.Sprint("record ", i), life)
		w.Run(10 * time.Millisecond)
	}
	w.Run(time.Minute)
	p := w.Add(store.Config{})
	w.Run(2 * time.Minute)
	require.True(t, p.Core.Settled())
	want := 0
	for _, name := range l.Names() {
		if slices.Contains(w.holders(refOf(l, name), store.DefaultReplicas), p) {
			want++
		}
	}
	require.Equal(t, want, p.Core.Shelf().Len())
}

// held is how many records the newest members hold together.
func held(w *World, newest int) (n int) {
	for _, p := range w.alive {
		var number int
		_, _ = fmt.Sscanf(p.Self.Name, "peer %d", &number)
		if number > w.named-newest {
			n += p.Core.Shelf().Len()
		}
	}
	return n
}
