package driver

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

// seat is a node of a test's network.
type seat struct {
	*Driver
	host *p2p.Host
	disk datastore.Batching
	stop func()
}

// pace of tests: a ring forms in a second.
var pace = ring.Pace{Stabilise: 100 * time.Millisecond, Fingers: 500 * time.Millisecond, Patience: 300 * time.Millisecond}

func config(d datastore.Batching) Config {
	return Config{
		Network: "test", Disk: d, Member: true,
		Core: store.Config{Pace: pace, Settle: 200 * time.Millisecond, Sync: 2 * time.Second},
	}
}

// start runs a store on a host until the test, or stop, ends it.
func start(tb testing.TB, h *p2p.Host, cfg Config) *seat {
	tb.Helper()
	d, err := New(h, cfg, slog.New(slog.DiscardHandler))
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = d.Run(ctx) }()
	s := &seat{Driver: d, host: h, disk: cfg.Disk}
	ended := false
	s.stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		<-done
		d.Close()
	}
	tb.Cleanup(s.stop)
	return s
}

func memory() datastore.Batching { return dssync.MutexWrap(datastore.NewMapDatastore()) }

// network starts n nodes and waits until their ring is whole.
func network(tb testing.TB, n int) []*seat {
	tb.Helper()
	var seats []*seat
	for _, h := range p2ptest.Mesh(tb, n) {
		seats = append(seats, start(tb, h, config(memory())))
	}
	whole(tb, seats)
	return seats
}

// whole waits until every node knows its neighbours and holds what it must.
func whole(tb testing.TB, seats []*seat) {
	tb.Helper()
	var lacks string
	require.Eventually(tb, func() bool {
		for i, s := range seats {
			if st := s.Status(); !st.Settled || len(st.State.Successors) != min(len(seats)-1, max(8, s.cfg.Core.Replicas)) || st.Known < len(seats)-1 {
				lacks = fmt.Sprintf("node %d: member %t, settled %t, %d successors, predecessor %t, %d known", i, st.Member, st.Settled, len(st.State.Successors), st.State.Predecessor.Name != "", st.Known)
				return false
			}
		}
		return true
	}, 30*time.Second, 20*time.Millisecond, "%s", stringer{&lacks})
}

func author(tb testing.TB) *store.Author {
	tb.Helper()
	key, err := keys.Generate(keys.Ed25519, rand.Reader)
	require.NoError(tb, err)
	return &store.Author{Network: store.NewNetwork("test"), Key: key, Clock: &crdt.Clock{}, Rand: rand.Reader, Sessions: map[ring.ID]store.Session{}}
}

// put writes a register through a node.
func put(tb testing.TB, s *seat, a *store.Author, name string, value []byte) {
	tb.Helper()
	ref := store.Ref{Owner: a.Owner(), Name: name}
	items, err := a.Create(time.Now(), ref, store.Spec{Kind: crdt.Register, Work: 8}, nil, store.Write(value))
	require.NoError(tb, err)
	_, err = s.Put(tb.Context(), ref, items, 0)
	require.NoError(tb, err)
}

// get reads a register through a node.
func get(tb testing.TB, s *seat, owner store.Owner, name string) ([]byte, error) {
	tb.Helper()
	ref := store.Ref{Owner: owner, Name: name}
	r, err := s.Get(tb.Context(), ref, 0)
	if err != nil {
		return nil, err
	}
	rec, err := store.Open(ref, r.Items, nil)
	require.NoError(tb, err)
	value, _ := rec.State.Value(nil)
	return value, nil
}

// stringer shows a text as it is at the end.
type stringer struct{ text *string }

func (s stringer) String() string { return *s.text }
