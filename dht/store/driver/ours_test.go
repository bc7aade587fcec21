package driver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

// ours is a network of stores.
type ours struct {
	tb    testing.TB
	seats []*seat
	dead  map[int]bool
	a     *store.Author

	replicas int
}

func newOurs(tb testing.TB, replicas int) contender {
	o := &ours{tb: tb, replicas: replicas, dead: map[int]bool{}, a: author(tb)}
	for _, h := range p2ptest.Mesh(tb, *kadHosts, tcp) {
		o.seats = append(o.seats, start(tb, h, o.config()))
	}
	whole(tb, o.seats)
	return o
}

func (o *ours) config() Config {
	cfg := config(memory())
	cfg.Core.Replicas = o.replicas
	// As in a node, but four times as fast: so that the turnover is over in seconds.
	cfg.Core.Pace = ring.Pace{Stabilise: 500 * time.Millisecond, Fingers: 4 * time.Second, Patience: 500 * time.Millisecond}
	cfg.Core.Settle, cfg.Core.Sync = 500*time.Millisecond, 15*time.Second
	return cfg
}

func (o *ours) put(ctx context.Context, node int, name string, value []byte) error {
	ref := store.Ref{Owner: o.a.Owner(), Name: name}
	for work := 4; ; work += 2 {
		items, err := o.a.Create(time.Now(), ref, store.Spec{Kind: crdt.Register, Work: work}, nil, store.Write(value))
		if err != nil {
			return err
		}
		if _, err = o.seats[node].Put(ctx, ref, items, 0); !errors.Is(err, store.ErrWork) {
			return err
		}
	}
}

func (o *ours) get(ctx context.Context, node int, name string) ([]byte, error) {
	ref := store.Ref{Owner: o.a.Owner(), Name: name}
	r, err := o.seats[node].Get(ctx, ref, 0)
	if err != nil {
		return nil, err
	}
	rec, err := store.Open(ref, r.Items, nil)
	if err != nil {
		return nil, err
	}
	v, _ := rec.State.Value(nil)
	return v, nil
}

func (o *ours) stale(ctx context.Context, node int, name string) error {
	old := &store.Author{Network: o.a.Network, Key: o.a.Key, Clock: &crdt.Clock{}, Rand: o.a.Rand}
	ref := store.Ref{Owner: o.a.Owner(), Name: name}
	items, err := old.Create(time.Now().Add(-time.Hour), ref, store.Spec{Kind: crdt.Register, Work: 8, Life: 48 * time.Hour}, nil, store.Write([]byte("old")))
	if err != nil {
		o.tb.Fatal(err)
	}
	_, err = o.seats[node].Put(ctx, ref, items, 0)
	return err
}

func (o *ours) kill(node int) {
	o.dead[node] = true
	o.seats[node].stop()
	require.NoError(o.tb, o.seats[node].host.Close())
}

func (o *ours) add() {
	h := p2ptest.New(o.tb, tcp)
	for _, i := range o.alive() {
		p2ptest.Connect(o.tb, h, o.seats[i].host)
	}
	o.seats = append(o.seats, start(o.tb, h, o.config()))
}

func (o *ours) alive() (out []int) {
	for i := range o.seats {
		if !o.dead[i] {
			out = append(out, i)
		}
	}
	return out
}

// explain logs where a value is that was not found.
func (o *ours) explain(i int, err error) {
	ref := store.Ref{Owner: o.a.Owner(), Name: name(i)}
	var text []string
	all := o.alive()
	slices.SortFunc(all, func(a, b int) int {
		x, y := ring.Distance(ref.Key(), o.seats[a].Status().Self.ID), ring.Distance(ref.Key(), o.seats[b].Status().Self.ID)
		return slices.Compare(x[:], y[:])
	})
	for at, s := range all {
		if _, err := o.seats[s].Local(ref); err == nil {
			text = append(text, fmt.Sprintf("holder %d", at))
		}
	}
	o.tb.Logf("%s: %v; it is with %v", name(i), err, text)
}
