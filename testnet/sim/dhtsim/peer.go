package dhtsim

import (
	"fmt"
	"slices"
	"time"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
)

// Peer is one peer of a world.
type Peer struct {
	Self  ring.Peer
	Core  *store.Core
	world *World
	dead  bool
}

// hear is how often a peer hears of some other one, as from its Kademlia table.
const hear = 5 * time.Second

// Add starts a peer that hears of others now and then.
func (w *World) Add(cfg store.Config) *Peer {
	w.named++
	p := &Peer{Self: ring.PeerOf(fmt.Sprintf("peer %d", w.named)), world: w}
	p.Core = store.New(p.Self, cfg, store.NewShelf(store.Limits{Work: -1}, store.Memory(), nil), p)
	if len(w.alive) > 0 {
		p.Core.Member().Heard(w.Now(), w.Random().Self)
	}
	w.peers[p.Self] = p
	w.insert(p)
	p.Core.Member().Join(w.Now())
	p.hear(w.jitter(hear))
	p.tick(time.Duration(w.rand.Int64N(int64(w.Tick))))
	return p
}

func (p *Peer) tick(wait time.Duration) {
	p.world.At(wait, func() {
		if !p.dead {
			p.Core.Tick(p.world.Now())
			p.tick(p.world.Tick)
		}
	})
}

func (p *Peer) hear(wait time.Duration) {
	p.world.At(wait, func() {
		if p.dead {
			return
		}
		if q := p.world.Random().Self; p.world.reachable(p.Self, q) {
			p.Core.Member().Heard(p.world.Now(), q)
		}
		p.hear(hear)
	})
}

// Kill ends a peer without a word.
func (p *Peer) Kill() {
	p.dead = true
	p.world.alive = slices.DeleteFunc(p.world.alive, func(q *Peer) bool { return q == p })
	delete(p.world.peers, p.Self)
}

// Call implements store.Net.
func (p *Peer) Call(to ring.Peer, req *store.Request, done func(*store.Response, error)) {
	w := p.world
	other := w.peers[to]
	w.send(p, other, func() func() {
		resp := other.Core.Serve(w.Now(), p.Self, req)
		if len(req.Fetch)+len(req.Push) > 0 || len(req.Spans) > 0 && !equal(resp) {
			w.Moved += int64(len(canon.MustMarshal(req)) + len(canon.MustMarshal(resp)))
		}
		return func() { p.Core.At(w.Now()); done(resp, nil) }
	}, func() { p.Core.At(w.Now()); done(nil, errSilent) })
}

// equal reports whether all spans of an answer are the same.
func equal(r *store.Response) bool {
	return !slices.ContainsFunc(r.Differ, func(d store.Difference) bool { return !d.Same })
}

// String names a peer.
func (p *Peer) String() string { return p.Self.Name }
