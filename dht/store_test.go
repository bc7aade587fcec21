package dht

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/dht/store/storetest"
)

func newKey(tb testing.TB) keys.PrivateKey {
	tb.Helper()
	k, err := keys.Generate(keys.Ed25519, rand.Reader)
	require.NoError(tb, err)
	return k
}

func openStore(h Holders, k keys.PrivateKey, o Options) *Store {
	return NewStore(h, &store.Author{Network: store.NewNetwork("test"), Key: k, Clock: &crdt.Clock{}, Rand: rand.Reader}, o)
}

func TestValuesOfAllSizesComeBack(t *testing.T) {
	h, key, other := storetest.New("test"), newKey(t), newKey(t)
	for _, private := range []bool{false, true} {
		for _, size := range []int{0, 1, ChunkSize, ChunkSize + 1, 5*ChunkSize + 17} {
			t.Run(fmt.Sprint(private, size), func(t *testing.T) {
				value := make([]byte, size)
				_, _ = rand.Read(value)
				var mu sync.Mutex
				var done []int64
				s := openStore(h, key, Options{Private: private, Progress: func(n, of int64) {
					mu.Lock()
					defer mu.Unlock()
					require.LessOrEqual(t, n, of)
					done = append(done, n)
				}})
				name := fmt.Sprint(private, size)
				require.NoError(t, s.Put(t.Context(), name, value))
				got, err := s.Get(t.Context(), s.Own(name))
				require.NoError(t, err)
				require.True(t, bytes.Equal(value, got))
				require.Equal(t, size > ChunkSize, len(done) > 0, "large transfers show progress")
				_, err = openStore(h, other, Options{}).Get(t.Context(), s.Own(name))
				if private {
					require.ErrorIs(t, err, store.ErrSealed)
				} else {
					require.NoError(t, err)
				}
			})
		}
	}
	s := openStore(h, key, Options{})
	require.ErrorIs(t, s.Put(t.Context(), "name", make([]byte, MaxValue+1)), store.ErrTooLarge)
}

func TestAChunkThatIsNotWhatTheValueNamesIsNoticed(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	s := openStore(h, key, Options{})
	require.NoError(t, s.Put(t.Context(), "name", bytes.Repeat([]byte("x"), 2*ChunkSize)))
	name := chunkName(chunkHash([]byte{}, bytes.Repeat([]byte("x"), ChunkSize)))
	require.NoError(t, s.Put(t.Context(), name, bytes.Repeat([]byte("y"), ChunkSize)))
	_, err := s.Get(t.Context(), s.Own("name"))
	require.ErrorIs(t, err, store.ErrItem)
}

func TestRecordsOfOthersAreNotCreated(t *testing.T) {
	h := storetest.New("test")
	a, b := openStore(h, newKey(t), Options{}), openStore(h, newKey(t), Options{})
	require.ErrorIs(t, b.Update(t.Context(), a.Own("friends"), crdt.Set, Add(nil, []byte("x"))), store.ErrNotFound)
	require.NoError(t, a.Update(t.Context(), a.Own("friends"), crdt.Set, Add(nil, []byte("x"))))
	require.ErrorIs(t, b.Update(t.Context(), a.Own("friends"), crdt.Set, Add(nil, []byte("y"))), store.ErrNotWriter)
	require.ErrorIs(t, a.Update(t.Context(), a.Own("friends"), crdt.Counter, Increment(nil, 1)), crdt.ErrKind)
	require.NoError(t, a.Put(t.Context(), "friends", []byte("now a value")), "put replaces whatever there was")
	v, err := b.Get(t.Context(), a.Own("friends"))
	require.NoError(t, err)
	require.Equal(t, "now a value", string(v))
}

func TestSharingLetsOthersReadAndWrite(t *testing.T) {
	h, alice, bob := storetest.New("test"), newKey(t), newKey(t)
	reader, err := store.ReaderKey(bob)
	require.NoError(t, err)
	a, b := openStore(h, alice, Options{Private: true}), openStore(h, bob, Options{})
	require.NoError(t, a.Update(t.Context(), a.Own("list"), crdt.Set, Add(nil, []byte("one"))))
	_, err = b.Record(t.Context(), a.Own("list"))
	require.ErrorIs(t, err, store.ErrSealed)
	shared := a.With(Options{Private: true, Readers: []*ecdh.PublicKey{reader.PublicKey()}, Writers: []keys.PublicKey{bob.Public()}})
	require.NoError(t, shared.Share(t.Context(), "list"))
	require.NoError(t, b.Update(t.Context(), a.Own("list"), crdt.Set, Add(nil, []byte("two"))))
	rec, err := a.Record(t.Context(), a.Own("list"))
	require.NoError(t, err)
	require.Len(t, rec.State.Elements(nil), 2)
	require.NoError(t, a.Share(t.Context(), "list"), "not any more")
	_, err = b.Record(t.Context(), a.Own("list"))
	require.ErrorIs(t, err, store.ErrSealed)
}

func TestWatchShowsEveryState(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	s := openStore(h, key, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	seen := s.Watch(ctx, s.Own("name"))
	require.Nil(t, <-seen, "nothing is there")
	for _, v := range []string{"one", "two"} {
		require.NoError(t, s.Put(t.Context(), "name", []byte(v)))
		got, err := s.Value(t.Context(), <-seen)
		require.NoError(t, err)
		require.Equal(t, v, string(got))
	}
	require.NoError(t, s.Delete(t.Context(), "name"))
	require.Nil(t, <-seen)
	cancel()
	for range seen {
		require.FailNow(t, "it has ended")
	}
}

func TestRenewedRecordsLiveOn(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	s := openStore(h, key, Options{Life: time.Hour})
	require.NoError(t, s.Put(t.Context(), "name", make([]byte, 3*ChunkSize)))
	require.NoError(t, s.With(Options{Life: 48 * time.Hour}).Renew(t.Context(), "name"))
	rec, err := s.Record(t.Context(), s.Own("name"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(48*time.Hour), rec.Expires(), time.Minute)
	chunk, err := s.Record(t.Context(), s.Own(chunkName(chunkHash([]byte{}, make([]byte, ChunkSize)))))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(48*time.Hour), chunk.Expires(), time.Minute)
}

func TestNamesAreListed(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	s := openStore(h, key, Options{Listed: true})
	for i := range 40 {
		require.NoError(t, s.Put(t.Context(), fmt.Sprintf("name %02d", i), []byte("x")))
	}
	require.NoError(t, s.With(Options{Listed: true, Private: true}).Put(t.Context(), "secret", []byte("x")))
	require.NoError(t, s.Delete(t.Context(), "name 07"))
	names, err := s.Names(t.Context(), s.Owner())
	require.NoError(t, err)
	require.Len(t, names, 40)
	require.NotContains(t, names, "name 07")
	require.Contains(t, names, "secret")
	names, err = openStore(h, newKey(t), Options{}).Names(t.Context(), s.Owner())
	require.NoError(t, err)
	require.Len(t, names, 39, "private names are for the owner")
}

func TestDatastore(t *testing.T) {
	d := Datastore{openStore(storetest.New("test"), newKey(t), Options{Listed: true})}
	ctx := t.Context()
	_, err := d.Get(ctx, datastore.NewKey("/a"))
	require.ErrorIs(t, err, datastore.ErrNotFound)
	for _, k := range []string{"/a", "/b/c", "/b/d"} {
		require.NoError(t, d.Put(ctx, datastore.NewKey(k), []byte("value of "+k)))
	}
	v, err := d.Get(ctx, datastore.NewKey("/b/c"))
	require.NoError(t, err)
	require.Equal(t, "value of /b/c", string(v))
	size, err := d.GetSize(ctx, datastore.NewKey("/a"))
	require.NoError(t, err)
	require.Equal(t, len("value of /a"), size)
	res, err := d.Query(ctx, query.Query{Prefix: "/b", Orders: []query.Order{query.OrderByKeyDescending{}}})
	require.NoError(t, err)
	all, err := res.Rest()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "/b/d", all[0].Key)
	require.NoError(t, d.Delete(ctx, datastore.NewKey("/a")))
	require.NoError(t, d.Delete(ctx, datastore.NewKey("/a")), "it is gone already")
	has, err := d.Has(ctx, datastore.NewKey("/a"))
	require.NoError(t, err)
	require.False(t, has)
}

// Two who write as one account, from two machines, never give two changes one number.
func TestTwoSessionsOfOneAccountLoseNothing(t *testing.T) {
	h, key := storetest.New("test"), newKey(t)
	var wg sync.WaitGroup
	for range 4 {
		s := openStore(h, key, Options{})
		wg.Go(func() {
			for range 25 {
				require.NoError(t, s.Update(t.Context(), s.Own("visits"), crdt.Counter, Increment(nil, 1)))
			}
		})
	}
	wg.Wait()
	s := openStore(h, key, Options{})
	rec, err := s.Record(t.Context(), s.Own("visits"))
	require.NoError(t, err)
	require.EqualValues(t, 100, rec.State.Count(nil))
	require.Zero(t, h.Status().Twice)
}

// flaky holders keep a write and say that they do not.
type flaky struct {
	Holders
	fail bool
}

func (f *flaky) Put(ctx context.Context, ref store.Ref, items []*store.Item, want int) (store.Written, error) {
	w, err := f.Holders.Put(ctx, ref, items, want)
	if f.fail && err == nil {
		return w, store.ErrQuorum
	}
	return w, err
}

func TestAWriteOfWhichNobodyKnowsIsNotCountedTwice(t *testing.T) {
	f := &flaky{Holders: storetest.New("test")}
	s := openStore(f, newKey(t), Options{})
	want := int64(0)
	for i := range 20 {
		f.fail = i%3 == 0
		err := s.Update(t.Context(), s.Own("visits"), crdt.Counter, Increment(nil, 1))
		require.Equal(t, f.fail, errors.Is(err, store.ErrQuorum))
		want++ // these holders did keep it
	}
	f.fail = false
	rec, err := s.Record(t.Context(), s.Own("visits"))
	require.NoError(t, err)
	require.Equal(t, want, rec.State.Count(nil))
}

// busy holders have too much to do a few times.
type busy struct {
	Holders
	times, asked int
}

func (b *busy) Put(ctx context.Context, ref store.Ref, items []*store.Item, want int) (store.Written, error) {
	if b.asked++; b.asked <= b.times {
		return store.Written{}, store.ErrBusy
	}
	return b.Holders.Put(ctx, ref, items, want)
}

func TestWritesAreTriedAgainWhereHoldersAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &busy{Holders: storetest.New("test"), times: 5}
		s := openStore(b, newKey(t), Options{})
		require.NoError(t, s.Put(t.Context(), "name", []byte("value")))
		require.Greater(t, b.asked, 5)

		b.asked, b.times = 0, 1000
		require.ErrorIs(t, s.Put(t.Context(), "name", []byte("other")), store.ErrBusy, "not for ever")
		b.asked = 0
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, s.Put(ctx, "name", []byte("other")), store.ErrBusy)
		require.Less(t, b.asked, 5)
	})
}
