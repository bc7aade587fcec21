package matrix

import (
	"crypto/rand"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/dht/store/storetest"
)

func open(tb testing.TB, h dht.Holders, key keys.PrivateKey, o dht.Options) *dht.Store {
	tb.Helper()
	return dht.NewStore(h, &store.Author{Network: store.NewNetwork("test"), Key: key, Clock: &crdt.Clock{}, Rand: rand.Reader}, o)
}

func newKey(tb testing.TB) keys.PrivateKey {
	tb.Helper()
	k, err := keys.Generate(keys.Ed25519, rand.Reader)
	require.NoError(tb, err)
	return k
}

func TestCellsOfAllKinds(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	s := open(t, h, key, dht.Options{})
	m := Open(s, s.Owner(), "grid")
	require.NoError(t, m.Set(t.Context(), Place{1, 2, 3}, []byte("a")))
	require.NoError(t, m.Increment(t.Context(), Place{1, 2, 3}, 5))
	require.NoError(t, m.Add(t.Context(), Place{7, 8, 9}, []byte("e")))
	c, err := m.Get(t.Context(), Place{1, 2, 3})
	require.NoError(t, err)
	require.Equal(t, Cell{Place: Place{1, 2, 3}, Value: []byte("a"), Count: 5}, c)
	all, err := m.Range(t.Context(), Place{}, Place{9, 9, 9})
	require.NoError(t, err)
	require.Equal(t, []Cell{c, {Place: Place{7, 8, 9}, Elements: [][]byte{[]byte("e")}}}, all)
	require.NoError(t, m.Clear(t.Context(), Place{1, 2, 3}))
	c, err = m.Get(t.Context(), Place{1, 2, 3})
	require.NoError(t, err)
	require.Equal(t, Cell{Place: Place{1, 2, 3}}, c)
}

// Writers who change one block at once, each through a store of its own, lose nothing.
func TestConcurrentEditsOfOneBlockMerge(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			m := Open(open(t, h, key, dht.Options{}), store.OwnerOf(key.Public()), "grid")
			for i := range 8 {
				require.NoError(t, m.Increment(t.Context(), Place{0, 0, i}, 1))
				require.NoError(t, m.Set(t.Context(), Place{w, 1, i}, fmt.Append(nil, w, i)))
			}
		})
	}
	wg.Wait()
	s := open(t, h, key, dht.Options{})
	cells, err := Open(s, s.Owner(), "grid").Range(t.Context(), Place{}, Place{7, 7, 7})
	require.NoError(t, err)
	require.Len(t, cells, 8+64)
	for _, c := range cells {
		if c.Y == 0 {
			require.EqualValues(t, 8, c.Count)
		} else {
			require.Equal(t, fmt.Append(nil, c.X, c.Z), c.Value)
		}
	}
}

// What a matrix says is what a map of cells says.
func TestMatrixIsAMapOfCells(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		s := open(t, h, key, dht.Options{})
		m := Open(s, s.Owner(), fmt.Sprint("grid ", n))
		model := map[Place]string{}
		coordinate := rapid.IntRange(0, 20)
		var changes []Change
		for i := range rapid.IntRange(1, 30).Draw(rt, "changes") {
			p := Place{coordinate.Draw(rt, "x"), coordinate.Draw(rt, "y"), coordinate.Draw(rt, "z")}
			changes = append(changes, Change{Place: p, Value: fmt.Append(nil, i)})
			model[p] = fmt.Sprint(i)
		}
		require.NoError(rt, m.Apply(t.Context(), changes))
		from, to := Place{3, 3, 3}, Place{15, 17, 20}
		cells, err := m.Range(t.Context(), from, to)
		require.NoError(rt, err)
		want := 0
		for p := range model {
			if p.X >= 3 && p.Y >= 3 && p.Z >= 3 && p.X <= 15 && p.Y <= 17 {
				want++
			}
		}
		require.Len(rt, cells, want)
		for _, c := range cells {
			require.Equal(rt, model[c.Place], string(c.Value))
		}
	})
}

func TestPrivateBlocksAreForTheirReadersAlone(t *testing.T) {
	h, alice, bob := storetest.New("test"), newKey(t), newKey(t)
	s := open(t, h, alice, dht.Options{Private: true})
	require.NoError(t, Open(s, s.Owner(), "grid").Set(t.Context(), Place{1, 1, 1}, []byte("secret")))
	_, err := Open(open(t, h, bob, dht.Options{}), s.Owner(), "grid").Get(t.Context(), Place{1, 1, 1})
	require.ErrorIs(t, err, store.ErrSealed)
	c, err := Open(s, s.Owner(), "grid").Get(t.Context(), Place{1, 1, 1})
	require.NoError(t, err)
	require.Equal(t, "secret", string(c.Value))
}

func TestPlacesOutOfRangeAreRefused(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	s := open(t, h, key, dht.Options{})
	m := Open(s, s.Owner(), "grid")
	require.ErrorIs(t, m.Set(t.Context(), Place{-1, 0, 0}, []byte("x")), ErrRange)
	require.ErrorIs(t, m.Set(t.Context(), Place{0, 0, MaxCoordinate + 1}, []byte("x")), ErrRange)
	_, err := m.Range(t.Context(), Place{}, Place{MaxCoordinate, 0, MaxCoordinate})
	require.ErrorIs(t, err, ErrRange)
	_, err = m.Range(t.Context(), Place{5, 5, 5}, Place{4, 9, 9})
	require.ErrorIs(t, err, ErrRange)
}
