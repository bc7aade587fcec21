package store

import (
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/ring"
)

const (
	watchLife  = time.Minute // that a holder remembers who watches
	watchAgain = 20 * time.Second
	maxWatches = 256     // of a peer
	maxWatched = 1 << 14 // of all
)

// watchers are those who want to know when records change: others, of what is held here, and
// the own user, of what others hold.
type watchers struct {
	c      *Core
	byKey  map[ring.ID]map[ring.Peer]time.Time // until when
	byPeer map[ring.Peer]int
	total  int
	own    map[ring.ID]*watched
	next   time.Time
}

// watched is a record that the own user watches.
type watched struct {
	have  hash.Hash
	again time.Time
	tell  map[int]func()
}

func newWatchers(c *Core) watchers {
	return watchers{c: c, byKey: map[ring.ID]map[ring.Peer]time.Time{}, byPeer: map[ring.Peer]int{}, own: map[ring.ID]*watched{}}
}

// add remembers that a peer watches a record, and tells it at once if it has another one.
func (w *watchers) add(p ring.Peer, q Watch) error {
	until := w.byKey[q.Key]
	if _, again := until[p]; !again {
		if w.byPeer[p] >= maxWatches || w.total >= maxWatched {
			return ErrBusy
		}
		if until == nil {
			until = map[ring.Peer]time.Time{}
			w.byKey[q.Key] = until
		}
		w.byPeer[p]++
		w.total++
	}
	until[p] = w.c.now.Add(watchLife)
	if d := w.c.shelf.Digest(w.c.now, q.Key); !d.IsZero() && d != q.Have {
		w.tell(p, q.Key)
	}
	return nil
}

func (w *watchers) tell(p ring.Peer, key ring.ID) {
	if p == w.c.self {
		w.heard(key)
		return
	}
	w.c.net.Call(p, &Request{Changed: &key}, func(*Response, error) {})
}

// changed tells all who watch a record.
func (w *watchers) changed(key ring.ID) {
	for p, until := range w.byKey[key] {
		if w.c.now.Before(until) {
			w.tell(p, key)
		}
	}
}

// heard tells the own user that a record may have changed.
func (w *watchers) heard(key ring.ID) {
	if o := w.own[key]; o != nil {
		for _, tell := range o.tell {
			tell()
		}
	}
}

// Watch has tell called whenever a record may have changed from what the caller has, until
// stop. Holders that fail are replaced; tell may be called for nothing.
func (c *Core) Watch(key ring.ID, have hash.Hash, tell func()) (number int) {
	o := c.watch.own[key]
	if o == nil {
		o = &watched{tell: map[int]func(){}}
		c.watch.own[key] = o
	}
	for o.tell[number] != nil {
		number++
	}
	o.tell[number], o.have = tell, have
	c.watch.ask(key, o)
	return number
}

// Unwatch ends a watch.
func (c *Core) Unwatch(key ring.ID, number int) {
	if o := c.watch.own[key]; o != nil {
		if delete(o.tell, number); len(o.tell) == 0 {
			delete(c.watch.own, key)
		}
	}
}

// ask asks two holders to tell: one may fail.
func (w *watchers) ask(key ring.ID, o *watched) {
	o.again = w.c.now.Add(watchAgain)
	q := &Watch{Key: key, Have: o.have}
	for _, p := range w.c.guess(key, 2) {
		w.c.call(p, &Request{Watch: q}, func(r *Response, err error) {
			if err != nil || r.Role == Stranger {
				o.again = w.c.now // look for others at the next tick
			}
		})
	}
}

func (w *watchers) tick() {
	if w.c.now.Before(w.next) {
		return
	}
	w.next = w.c.now.Add(time.Second)
	for key, o := range w.own {
		if !w.c.now.Before(o.again) {
			o.again = w.c.now.Add(watchAgain)
			w.c.member.Lookup(key, 1, nil, func(ring.Found, error) { // now they are known
				if w.own[key] == o {
					w.ask(key, o)
				}
			})
		}
	}
	for key, peers := range w.byKey {
		for p, until := range peers {
			if !w.c.now.Before(until) {
				delete(peers, p)
				w.total--
				if w.byPeer[p]--; w.byPeer[p] == 0 {
					delete(w.byPeer, p)
				}
			}
		}
		if len(peers) == 0 {
			delete(w.byKey, key)
		}
	}
}
