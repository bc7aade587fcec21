package driver

import (
	"context"
	"crypto/ecdh"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

func TestWhatOneNodeWritesEveryNodeReads(t *testing.T) {
	seats := network(t, 12)
	a := author(t)
	for i := range 50 {
		put(t, seats[i%12], a, fmt.Sprint("name ", i), fmt.Append(nil, "value ", i))
	}
	for i := range 50 {
		value, err := get(t, seats[(i+5)%12], a.Owner(), fmt.Sprint("name ", i))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("value ", i), string(value))
	}
	_, err := get(t, seats[0], a.Owner(), "nothing")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestStaleWritesAreRefused(t *testing.T) {
	seats := network(t, 8)
	a := author(t)
	ref := store.Ref{Owner: a.Owner(), Name: "name"}
	early, err := a.Create(time.Now(), ref, store.Spec{Kind: crdt.Register, Work: 8}, nil, store.Write([]byte("early")))
	require.NoError(t, err)
	put(t, seats[1], a, "name", []byte("late"))
	_, err = seats[2].Put(t.Context(), ref, early, 0)
	require.ErrorIs(t, err, store.ErrStale)
	value, err := get(t, seats[3], a.Owner(), "name")
	require.NoError(t, err)
	require.Equal(t, "late", string(value))
}

func TestAPeerThatWritesTooMuchIsToldToWait(t *testing.T) {
	var seats []*seat
	for _, h := range p2ptest.Mesh(t, 3) {
		cfg := config(memory())
		cfg.PeerBytes = 1 << 10 // and 4 KiB at once
		seats = append(seats, start(t, h, cfg))
	}
	whole(t, seats)
	a, b := author(t), author(t)
	write := func(through int, by *store.Author, name string) error {
		ref := store.Ref{Owner: by.Owner(), Name: name}
		items, err := by.Create(time.Now(), ref, store.Spec{Kind: crdt.Register, Work: 8}, nil, store.Write(make([]byte, 1000)))
		require.NoError(t, err)
		_, err = seats[through].Put(t.Context(), ref, items, 3)
		return err
	}
	var err error
	taken := 0
	for ; err == nil; taken++ {
		err = write(0, a, fmt.Sprint("name ", taken))
	}
	require.ErrorIs(t, err, store.ErrBusy)
	require.Greater(t, taken, 1)
	require.Less(t, taken, 10)
	require.NoError(t, write(1, b, "another's"), "by way of another peer")
	require.Eventually(t, func() bool { return write(0, a, "later") == nil }, 20*time.Second, 300*time.Millisecond)
	for i := range taken - 1 {
		_, err := get(t, seats[2], a.Owner(), fmt.Sprint("name ", i))
		require.NoError(t, err, "what was taken is there")
	}
}

func TestForgedItemsReachNobody(t *testing.T) {
	seats := network(t, 4)
	a, b := author(t), author(t)
	ref := store.Ref{Owner: a.Owner(), Name: "name"}
	items, err := a.Create(time.Now(), ref, store.Spec{Kind: crdt.Register, Work: 8}, nil, store.Write([]byte("mine")))
	require.NoError(t, err)
	forged := *items[0]
	forged.Sig = append([]byte(nil), forged.Sig...)
	forged.Sig[5] ^= 1
	bad, err := store.DecodeItem(store.Reencode(&forged))
	require.NoError(t, err)
	_, err = seats[0].Put(t.Context(), ref, []*store.Item{bad}, 0)
	require.ErrorIs(t, err, store.ErrForged, "not even sent")
	// One that does not look for itself.
	seats[1].talk.Call(seats[0].host.ID(), &store.Request{Put: []*store.Item{bad}}, func(r *store.Response, err error) {
		require.NoError(t, err)
		require.ErrorIs(t, r.Refusal.Err(), store.ErrForged)
	})
	require.Eventually(t, func() bool { return seats[0].Status().Forged > 0 && seats[0].host.Score(seats[1].host.ID()) > 0 }, 5*time.Second, time.Millisecond)
	// Somebody else's part.
	put(t, seats[0], a, "name", []byte("mine"))
	r, err := seats[2].Get(t.Context(), ref, 0)
	require.NoError(t, err)
	rec, err := store.Open(ref, r.Items, nil)
	require.NoError(t, err)
	theirs, err := b.Update(time.Now(), rec, store.Write([]byte("theirs")))
	require.NoError(t, err)
	_, err = seats[2].Put(t.Context(), ref, theirs, 0)
	require.ErrorIs(t, err, store.ErrNotWriter)
}

func TestWatchersLearnOfChanges(t *testing.T) {
	seats := network(t, 8)
	a := author(t)
	put(t, seats[0], a, "name", []byte("one"))
	ref := store.Ref{Owner: a.Owner(), Name: "name"}
	r, err := seats[5].Get(t.Context(), ref, 0)
	require.NoError(t, err)
	told := make(chan error, 1)
	go func() { told <- seats[5].Watch(t.Context(), ref, r.Digest) }()
	select {
	case err := <-told:
		require.FailNow(t, "nothing has changed", err)
	case <-time.After(200 * time.Millisecond):
	}
	put(t, seats[3], a, "name", []byte("two"))
	require.NoError(t, <-told)
	value, err := get(t, seats[5], a.Owner(), "name")
	require.NoError(t, err)
	require.Equal(t, "two", string(value))
	require.NoError(t, seats[6].Watch(t.Context(), ref, hash.Hash{}), "it is another one already")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, seats[5].Watch(ctx, store.Ref{Owner: a.Owner(), Name: "other"}, hash.Hash{}), context.DeadlineExceeded)
}

// Bits that flip on a disk are noticed, and the item is brought again.
func TestDamageOnDiskIsRepaired(t *testing.T) {
	seats := network(t, 6)
	a := author(t)
	for i := range 20 {
		put(t, seats[0], a, fmt.Sprint("name ", i), []byte("value"))
	}
	s := seats[2]
	require.Eventually(t, func() bool {
		copies := 0
		for _, s := range seats {
			copies += s.Status().Records
		}
		return copies == 20*5
	}, 20*time.Second, 10*time.Millisecond)
	before := s.Status().Records
	all, err := s.disk.Query(t.Context(), query.Query{})
	require.NoError(t, err)
	entries, err := all.Rest()
	require.NoError(t, err)
	for _, e := range entries {
		e.Value = append([]byte(nil), e.Value...)
		e.Value[len(e.Value)/2] ^= 4
		require.NoError(t, s.disk.Put(t.Context(), datastore.RawKey(e.Key), e.Value))
	}
	require.Eventually(t, func() bool { st := s.Status(); return st.Damaged >= len(entries) && st.Records == before }, 30*time.Second, 10*time.Millisecond)
	s.stop()
	again := start(t, s.host, config(s.disk))
	require.Equal(t, before, again.Status().Records, "nothing on disk is damaged any more")
}

func TestWhoLeavesHandsOverFirst(t *testing.T) {
	seats := network(t, 12)
	a := author(t)
	for i := range 40 {
		put(t, seats[0], a, fmt.Sprint("name ", i), []byte("value"))
	}
	// One after the other, faster than the ring would notice; by themselves, or as they stop.
	for i, s := range seats[4:] {
		if i%2 == 0 {
			require.NoError(t, s.Leave(t.Context()))
		} else {
			s.cfg.Leave = 10 * time.Second
		}
		s.stop()
		require.NoError(t, s.host.Close())
	}
	for i := range 40 {
		_, err := get(t, seats[i%4], a.Owner(), fmt.Sprint("name ", i))
		require.NoError(t, err, i)
	}
}

func TestANodeThatHoldsNothingReadsAndWrites(t *testing.T) {
	seats := network(t, 6)
	h := p2ptest.New(t)
	for _, s := range seats {
		p2ptest.Connect(t, h, s.host)
	}
	cfg := config(memory())
	cfg.Member = false
	guest := start(t, h, cfg)
	require.Eventually(t, func() bool { return guest.Status().Known == 6 }, 10*time.Second, 10*time.Millisecond)
	a := author(t)
	put(t, guest, a, "name", []byte("value"))
	value, err := get(t, guest, a.Owner(), "name")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
	require.Zero(t, guest.Status().Records)
}

// What is private is not to be found in the files of any holder: neither the value nor the
// name, nor the key that opens it.
func TestPrivateRecordsAreUnreadableOnDisk(t *testing.T) {
	var seats []*seat
	var dirs []string
	for _, h := range p2ptest.Mesh(t, 4) {
		dirs = append(dirs, t.TempDir())
		d, err := OpenDisk(dirs[len(dirs)-1])
		require.NoError(t, err)
		seats = append(seats, start(t, h, config(d)))
	}
	whole(t, seats)
	a, reader := author(t), author(t)
	key, err := reader.Reader()
	require.NoError(t, err)
	put(t, seats[0], a, "open name", []byte("an open value"))
	ref := store.Ref{Owner: a.Owner(), Name: "a secret name"}
	items, err := a.Create(time.Now(), ref, store.Spec{Kind: crdt.Register, Work: 8, Private: true, Readers: []*ecdh.PublicKey{key.PublicKey()}}, nil, store.Write([]byte("a secret value")))
	require.NoError(t, err)
	_, err = seats[1].Put(t.Context(), ref, items, 4)
	require.NoError(t, err)
	r, err := seats[2].Get(t.Context(), ref, 0)
	require.NoError(t, err)
	rec, err := store.Open(ref, r.Items, key)
	require.NoError(t, err)
	value, _ := rec.State.Value(nil)
	require.Equal(t, "a secret value", string(value))
	for _, s := range seats {
		s.stop()
		require.NoError(t, s.disk.Close())
	}
	open := 0
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			require.NotContains(t, string(raw), "a secret value", path)
			require.NotContains(t, string(raw), "a secret name", path)
			require.NotContains(t, string(raw), string(key.Bytes()), path)
			open += strings.Count(string(raw), "an open value")
			return err
		}))
	}
	require.GreaterOrEqual(t, open, 4, "values that are open are there as they are")
}
