package dhtsim

import (
	"fmt"
	"slices"
	"time"

	"github.com/starlingmesh/starling/dht/ring"
)

// Peer is one peer of a world.
type Peer struct {
	Self   ring.Peer
	Member *ring.Member
	world  *World
	dead   bool
}

// Spec is how peers are made.
type Spec struct {
	Successors int
	Fingers    int
	Pace       ring.Pace
}

// hear is how often a peer hears of some other one, as from its Kademlia table.
const hear = 5 * time.Second

// Add starts a peer that hears of others now and then.
func (w *World) Add(s Spec) *Peer {
	w.named++
	p := &Peer{Self: ring.PeerOf(fmt.Sprintf("peer %d", w.named)), world: w}
	p.Member = ring.NewMember(p.Self, s.Successors, s.Fingers, s.Pace, nil, p)
	if len(w.alive) > 0 {
		p.Member.Heard(w.Now(), w.Random().Self)
	}
	w.peers[p.Self] = p
	w.insert(p)
	p.Member.Join(w.Now())
	p.hear(w.jitter(hear))
	p.tick(time.Duration(w.rand.Int64N(int64(s.Pace.Stabilise / 2))))
	return p
}

func (p *Peer) tick(wait time.Duration) {
	p.world.At(wait, func() {
		if !p.dead {
			p.Member.Tick(p.world.Now())
			p.tick(250 * time.Millisecond)
		}
	})
}

func (p *Peer) hear(wait time.Duration) {
	p.world.At(wait, func() {
		if p.dead {
			return
		}
		if q := p.world.Random().Self; p.world.reachable(p.Self, q) {
			p.Member.Heard(p.world.Now(), q)
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

// Ask implements ring.Net.
func (p *Peer) Ask(to ring.Peer, q ring.Question, done func(ring.Answer, error)) {
	w := p.world
	other := w.peers[to]
	w.send(p, other, func() func() {
		a, err := other.Member.Serve(w.Now(), p.Self, q)
		return func() { p.Member.Now(w.Now()); done(a, err) }
	}, func() { p.Member.Now(w.Now()); done(ring.Answer{}, errSilent) })
}

// String names a peer.
func (p *Peer) String() string { return p.Self.Name }
