package dhtsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/testnet/sim/virtual"
)

// Net is how the network is.
type Net struct {
	Latency time.Duration // one way; each message takes half of it to one and a half
	Timeout time.Duration // until a question to somebody who is gone fails
	Tick    time.Duration // how often cores are told the time
}

// World is peers on a virtual network.
type World struct {
	Net
	rand  *rand.Rand
	start time.Time
	now   time.Duration
	queue virtual.Queue
	peers map[ring.Peer]*Peer
	alive []*Peer // by place on the ring
	named int
	side  map[ring.Peer]int // of a partition
	// Asked counts the requests.
	Asked int
	// Moved counts the bytes of requests and answers by which members compare what they hold
	// and exchange what differs. Comparisons of equal sets, of which there is one a minute for
	// each pair however much they hold, are not in it.
	Moved int64
}

// errSilent is what a question to somebody who is gone ends with.
var errSilent = errors.New("no answer")

// NewWorld makes an empty world.
func NewWorld(seed uint64, n Net) *World {
	return &World{
		Net: n, rand: rand.New(rand.NewPCG(seed, 0xd47)), start: time.UnixMilli(1_700_000_000_000),
		peers: map[ring.Peer]*Peer{}, side: map[ring.Peer]int{},
	}
}

// Now is the time in the world.
func (w *World) Now() time.Time { return w.start.Add(w.now) }

// At has something happen after a while.
func (w *World) At(wait time.Duration, do func()) { w.queue.Put(w.now+wait, do) }

// Run lets everything happen for a while.
func (w *World) Run(d time.Duration) {
	end := w.now + d
	for w.queue.Due(end) {
		var do func()
		w.now, do = w.queue.Pop()
		do()
	}
	w.now = end
}

// jitter is about a time.
func (w *World) jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(w.rand.Int64N(int64(d)+1))
}

// reachable reports whether a message between two arrives.
func (w *World) reachable(a, b ring.Peer) bool {
	p := w.peers[b]
	return p != nil && !p.dead && w.side[a] == w.side[b]
}

// send carries a question there and the answer back, whatever they are.
func (w *World) send(from, to *Peer, there func() func(), lost func()) {
	w.Asked++
	if to == nil || !w.reachable(from.Self, to.Self) {
		w.At(w.Timeout, func() {
			if !from.dead {
				lost()
			}
		})
		return
	}
	w.At(w.jitter(w.Latency), func() {
		if !w.reachable(from.Self, to.Self) {
			w.At(w.Timeout, func() {
				if !from.dead {
					lost()
				}
			})
			return
		}
		back := there()
		w.At(w.jitter(w.Latency), func() {
			if !from.dead {
				back()
			}
		})
	})
}

// insert puts a peer among those alive.
func (w *World) insert(p *Peer) {
	at, _ := slices.BinarySearchFunc(w.alive, p.Self.ID, func(q *Peer, id ring.ID) int { return slices.Compare(q.Self.ID[:], id[:]) })
	w.alive = slices.Insert(w.alive, at, p)
}

// Alive lists the peers that are there, in the order of the ring.
func (w *World) Alive() []*Peer { return w.alive }

// Owner is who owns a key by the law.
func (w *World) Owner(key ring.ID) *Peer {
	at, _ := slices.BinarySearchFunc(w.alive, key, func(q *Peer, id ring.ID) int { return slices.Compare(q.Self.ID[:], id[:]) })
	return w.alive[at%len(w.alive)]
}

// Random is some peer that is there.
func (w *World) Random() *Peer { return w.alive[w.rand.IntN(len(w.alive))] }

// Partition puts the peers into so many parts that do not hear each other; 1 heals.
func (w *World) Partition(parts int) {
	clear(w.side)
	for i, at := range w.rand.Perm(len(w.alive)) {
		w.side[w.alive[at].Self] = i % parts
	}
}

// Ideal returns what is not as it should be in a quiet ring.
func (w *World) Ideal(length int) error {
	n := len(w.alive)
	for i, p := range w.alive {
		s := p.Core.Member().Core().State()
		want := min(length, n-1)
		if !p.Core.Member().Core().Member() || len(s.Successors) != want {
			return fmt.Errorf("%s knows %d successors, want %d", p, len(s.Successors), want)
		}
		for k, q := range s.Successors {
			if q != w.alive[(i+1+k)%n].Self {
				return fmt.Errorf("%s: successor %d is wrong", p, k)
			}
		}
		if n > 1 && s.Predecessor != w.alive[(i+n-1)%n].Self {
			return fmt.Errorf("%s: predecessor is wrong", p)
		}
	}
	return nil
}
