package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/starlingmesh/starling/dht/ring"
)

// DefaultReplicas is how many members hold a record.
const DefaultReplicas = 5

// Net carries requests. done is called exactly once, later, and on the goroutine that steps
// the core. Items that arrive were verified before.
type Net interface {
	Call(to ring.Peer, req *Request, done func(*Response, error))
}

// Config is how a core works. What all members must agree on is Replicas alone.
type Config struct {
	Replicas   int // members that hold a record; 0 is DefaultReplicas
	Successors int // members known to follow; 0 is ring.DefaultSuccessors
	Fingers    int // of each distance; 0 is ring.DefaultFingers
	Pace       ring.Pace
	Group      func(ring.Peer) string // of a peer's address; see ring.NewTable
	// Sync is how often a primary compares its records with each of their holders; 0 is 60 s.
	Sync time.Duration
	// Settle is how long after a change of the ring copies are made anew; 0 is 3 s.
	Settle time.Duration
	// Surplus is how long a record is kept beyond its holders; 0 is 5 min.
	Surplus time.Duration
	// Hedge is after how long a slow read asks everybody; 0 is 400 ms.
	Hedge time.Duration
	// Patience is how long reads and writes are tried again that too few answer; 0 is 8 s.
	Patience time.Duration
	// Rate is how many bytes a second are copied to others; 0 is 16 MiB.
	Rate int
}

func (c Config) withDefaults() Config {
	c.Replicas = cmp.Or(c.Replicas, DefaultReplicas)
	c.Successors = max(cmp.Or(c.Successors, ring.DefaultSuccessors), c.Replicas)
	c.Pace = c.Pace.WithDefaults()
	c.Sync, c.Settle = cmp.Or(c.Sync, time.Minute), cmp.Or(c.Settle, 3*time.Second)
	c.Surplus, c.Hedge = cmp.Or(c.Surplus, 5*time.Minute), cmp.Or(c.Hedge, 400*time.Millisecond)
	c.Rate, c.Patience = cmp.Or(c.Rate, 16<<20), cmp.Or(c.Patience, 8*time.Second)
	return c
}

// Core is one peer of the store: its place in the ring, what it holds, and what it reads and
// writes for its user. Its methods are events; it is a deterministic state machine and not
// safe for concurrent use.
type Core struct {
	cfg    Config
	self   ring.Peer
	member *ring.Member
	shelf  *Shelf
	net    Net
	now    time.Time
	keeper keeper
	slow   []*reading // that are under way, for hedging
	tardy  []*writing // that are under way
	again  []retry
	watch  watchers
	// Count is what happened so far.
	Count Counters
}

// Counters count what a core did since it began.
type Counters struct {
	Gets, Puts          uint64 // of its user
	Requests            uint64 // sent for these
	Served              uint64 // requests of others
	Refused             uint64 // items of others that were not taken
	Repaired            uint64 // holders that a read brought up to date
	Syncs, Failed       uint64 // comparisons with other holders
	Moved, MovedBytes   uint64 // items that were sent to other holders
	Fetched             uint64 // items that were taken from other holders
	HandedOver, Expired uint64 // records
}

// New makes a core. It asks nothing before [Core.Tick].
func New(self ring.Peer, cfg Config, shelf *Shelf, net Net) *Core {
	c := &Core{cfg: cfg.withDefaults(), self: self, shelf: shelf, net: net}
	c.member = ring.NewMember(self, c.cfg.Successors, c.cfg.Fingers, c.cfg.Pace, c.cfg.Group, questions{c})
	c.keeper, c.watch = newKeeper(c), newWatchers(c)
	shelf.Changed = c.watch.changed
	return c
}

// questions carries the ring's questions.
type questions struct{ c *Core }

func (q questions) Ask(to ring.Peer, question ring.Question, done func(ring.Answer, error)) {
	q.c.call(to, &Request{Ring: &question}, func(r *Response, err error) {
		switch {
		case err != nil:
			done(ring.Answer{}, err)
		case r.Ring == nil:
			done(ring.Answer{}, cmp.Or(r.Refusal.Err(), ErrItem))
		default:
			done(*r.Ring, nil)
		}
	})
}

// call sends a request, to this core too.
func (c *Core) call(to ring.Peer, req *Request, done func(*Response, error)) {
	if to == c.self {
		done(c.serve(to, req), nil)
		return
	}
	c.net.Call(to, req, func(r *Response, err error) {
		if err != nil && req.Ring == nil {
			c.member.Lost(c.now, to)
		}
		done(r, err)
	})
}

// At sets the time; it comes before every other event.
func (c *Core) At(now time.Time) {
	c.now = now
	c.member.Now(now)
}

// Member is the core's part in the ring.
func (c *Core) Member() *ring.Member { return c.member }

// Shelf is what the core holds.
func (c *Core) Shelf() *Shelf { return c.shelf }

// Settled reports whether the core holds what it must.
func (c *Core) Settled() bool { return c.keeper.settled }

// Tick does what is due. It should be called several times a second.
func (c *Core) Tick(now time.Time) {
	c.At(now)
	c.member.Tick(now)
	c.keeper.tick()
	c.watch.tick()
	c.hedge()
	for len(c.again) > 0 && !c.now.Before(c.again[0].at) {
		do := c.again[0].do
		c.again = c.again[1:]
		do()
	}
}

// retry is something to be tried again.
type retry struct {
	at time.Time
	do func()
}

// retryAfter is how long the ring is given to mend.
const retryAfter = 700 * time.Millisecond

func (c *Core) later(do func()) { c.again = append(c.again, retry{c.now.Add(retryAfter), do}) }

// Serve answers a peer's request, whose items were verified.
func (c *Core) Serve(now time.Time, from ring.Peer, req *Request) *Response {
	c.At(now)
	c.Count.Served++
	return c.serve(from, req)
}

func (c *Core) serve(from ring.Peer, req *Request) *Response {
	r := &Response{}
	switch {
	case req.Ring != nil:
		a, err := c.member.Serve(c.now, from, *req.Ring)
		if err != nil {
			r.Refusal = refusal(err)
			return r
		}
		r.Ring = &a
	case req.Get != nil:
		r.Role, r.Settled = c.role(req.Get.Key), c.keeper.whole(req.Get.Key)
		r.Digest = c.shelf.Digest(c.now, req.Get.Key)
		if req.Get.Full {
			r.Items = c.shelf.Items(c.now, req.Get.Key)
		}
	case len(req.Put) > 0:
		r.Role, r.Settled = c.role(req.Put[0].key), c.keeper.whole(req.Put[0].key)
		if r.Role != Stranger {
			r.Refusal = c.take(req.Put, false)
			r.Digest = c.shelf.Digest(c.now, req.Put[0].key)
		}
	case len(req.Spans) > spansAtOnce || len(req.Fetch) > fetchedAtOnce:
		r.Refusal = refusal(ErrItem)
	case len(req.Spans) > 0:
		r.Settled = c.keeper.had(req.Spans[0].Arc)
		for _, s := range req.Spans {
			r.Differ = append(r.Differ, c.shelf.differ(s))
		}
	case len(req.Fetch) > 0:
		r.Items = c.shelf.fetch(req.Fetch)
	case len(req.Push) > 0:
		// One beyond the holders may be the next, when somebody leaves.
		c.arrived(slices.DeleteFunc(req.Push, func(it *Item) bool { return c.rank(it.key) > c.cfg.Replicas }), c.neighbour(from))
	case req.Watch != nil:
		r.Role = c.role(req.Watch.Key)
		r.Refusal = refusal(c.watch.add(from, *req.Watch))
	case req.Changed != nil:
		c.watch.heard(*req.Changed)
	}
	return r
}

// neighbour reports whether a peer may hold what this one holds. Nobody chooses its place, so
// strangers cannot make themselves one.
func (c *Core) neighbour(p ring.Peer) bool {
	return slices.Contains(c.preceding(), p) || slices.Contains(c.member.Core().State().Successors, p)
}

// take adds items of one record; admitted ones are those of another holder.
func (c *Core) take(items []*Item, admitted bool) Refusal {
	_, err := c.shelf.addAll(c.now, items, admitted)
	if err != nil {
		c.Count.Refused++
	}
	return refusal(err)
}

// unranked is the rank for a key that is too far away to tell.
const unranked = 1 << 20

// rank is how many members stand between a key's owner and this one: 0 is the owner.
func (c *Core) rank(key ring.ID) int {
	last, before := c.self, c.preceding()
	for i, p := range before {
		if ring.Owns(p.ID, last.ID, key) {
			return i
		}
		last = p
	}
	if c.holders() < c.cfg.Replicas || len(c.member.Core().State().Successors) < c.cfg.Successors {
		return len(before) // all members are known
	}
	return unranked
}

// preceding lists who comes before, the nearest first.
func (c *Core) preceding() []ring.Peer {
	s := c.member.Core().State()
	if s.Predecessor == (ring.Peer{}) {
		return s.Before
	}
	return append([]ring.Peer{s.Predecessor}, s.Before...)
}

func (c *Core) role(key ring.ID) Role {
	switch rank := c.rank(key); {
	case !c.member.Core().Member():
		return Stranger
	case rank == 0:
		return Primary
	case rank < c.cfg.Replicas:
		return Holder
	}
	return Stranger
}

// holders is how many members hold a record: fewer than wanted where the ring is small.
func (c *Core) holders() int {
	if s := c.member.Core().State(); c.member.Core().Member() && c.keeper.settled && len(s.Successors) < c.cfg.Successors && !c.isolated() {
		return min(c.cfg.Replicas, len(s.Successors)+1)
	}
	return c.cfg.Replicas
}

// least is how many holders must answer where some were found. A member knows whether its ring is
// so small that there are fewer than it wants; who is found may have come just now and know few
// itself. Who is no member believes what it finds.
func (c *Core) least(want, found int) int {
	if c.member.Core().Member() {
		found = c.holders()
	}
	return min(want, found)
}

// isolation is for how long who has lost everybody does not take itself for a ring of one.
const isolation = 10 * time.Minute

// isolated reports whether the core is alone, and has been told of others not long ago: it must
// not speak for them.
func (c *Core) isolated() bool {
	heard := c.member.LastHeard()
	return len(c.member.Core().State().Successors) == 0 && !heard.IsZero() && c.now.Sub(heard) < isolation
}

// quorum is a majority of the holders.
func (c *Core) quorum() int { return c.holders()/2 + 1 }

// guess lists up to n members that seem to hold a key, the owner first.
func (c *Core) guess(key ring.ID, n int) []ring.Peer {
	out := c.member.Table().First(key, n)
	if !c.member.Core().Member() {
		return out
	}
	own := ring.Distance(key, c.self.ID)
	at := 0
	for at < len(out) && lessID(ring.Distance(key, out[at].ID), own) {
		at++
	}
	out = append(out[:at:at], append([]ring.Peer{c.self}, out[at:]...)...)
	return out[:min(n, len(out))]
}

func lessID(a, b ring.ID) bool { return string(a[:]) < string(b[:]) }
