package store

import (
	"errors"
	"slices"
	"time"

	"github.com/starlingmesh/starling/dht/ring"
)

// keeper sees that what a core should hold it holds, and that others hold what they should.
//
// A member that has come fetches what it must hold from its neighbours. From then on every
// primary compares the records of its arc with each of their other holders, now and then and
// soon after these have changed. Records that others are to hold now are shown to their
// primary before they are dropped.
type keeper struct {
	c        *Core
	settled  bool
	busy     int                   // comparisons under way
	synced   map[ring.Peer]synced  // with each holder of the own arc
	seen     []ring.Peer           // the neighbours at the last look
	changed  time.Time             // when they last changed
	beyond   map[ring.ID]time.Time // since when a record is held beyond its holders
	next     struct{ look, expire, surplus time.Time }
	settling bool
	have     ring.ID // what is held whole is the arc from here to the own place
	tries    int
	budget   float64 // bytes that may be moved
	at       time.Time
	waiting  []func()
}

// synced is what was compared with a holder last.
type synced struct {
	from ring.ID // of the arc, up to the core's own place
	at   time.Time
}

const comparisonsAtOnce = 3

func newKeeper(c *Core) keeper {
	return keeper{c: c, synced: map[ring.Peer]synced{}, beyond: map[ring.ID]time.Time{}}
}

func (k *keeper) tick() {
	c := k.c
	k.refill()
	if !c.member.Core().Member() {
		k.settled = false
		return
	}
	if c.now.Before(k.next.look) {
		return
	}
	k.next.look = c.now.Add(250 * time.Millisecond)
	s := c.member.Core().State()
	seen := append(slices.Clone(c.preceding()), s.Successors...)
	if !slices.Equal(seen, k.seen) {
		k.seen, k.changed = seen, c.now
	}
	if !k.settled {
		k.settle(s)
	} else {
		k.widen()
		k.share(s)
	}
	if !c.now.Before(k.next.expire) {
		c.Count.Expired += uint64(c.shelf.Expire(c.now))
		k.next.expire = c.now.Add(time.Minute)
	}
	if k.settled && !c.now.Before(k.next.surplus) {
		k.next.surplus = c.now.Add(c.cfg.Surplus / 8)
		k.clear()
	}
}

// settle fetches what the core must hold: from its successor what it held for the arcs before,
// and from its predecessor what is the farthest.
func (k *keeper) settle(s ring.State) {
	c := k.c
	before := c.preceding()
	if len(s.Successors) == 0 && len(before) == 0 {
		k.settled, k.have = true, c.self.ID // alone
		return
	}
	// Those before are not known at once.
	if k.settling || len(s.Successors) == 0 || s.Predecessor == (ring.Peer{}) || k.tries == 0 && len(before) < c.cfg.Replicas && c.now.Sub(k.changed) < 2*c.cfg.Pace.Stabilise {
		return
	}
	k.settling = true
	k.tries++
	from := k.from()
	arcs := []struct {
		with ring.Peer
		arc  Arc
	}{{s.Successors[min(k.tries-1, len(s.Successors)-1)], Arc{From: s.Predecessor.ID, To: c.self.ID}}, {s.Predecessor, Arc{From: from, To: s.Predecessor.ID}}}
	if from == c.self.ID || from == s.Predecessor.ID {
		arcs = arcs[:1]
		arcs[0].arc = Arc{From: c.self.ID, To: c.self.ID}
	}
	var errs []error
	left := len(arcs)
	for _, a := range arcs {
		c.compare(a.with, a.arc, func(err error) {
			errs = append(errs, err)
			if left--; left == 0 {
				k.settling = false
				k.settled, k.have = errors.Join(errs...) == nil || k.tries >= 2*c.cfg.Replicas, from
			}
		})
	}
}

// from is where the arc begins that the core must hold: its own place if that is everything.
func (k *keeper) from() ring.ID {
	if before := k.c.preceding(); len(before) >= k.c.cfg.Replicas {
		return before[k.c.cfg.Replicas-1].ID
	}
	return k.c.self.ID
}

// whole reports whether the core holds all that there is of a key.
func (k *keeper) whole(key ring.ID) bool {
	return k.settled && Arc{From: k.have, To: k.c.self.ID}.Has(key)
}

// widen fetches what the core must hold besides, as others have gone, from who comes last of
// those that hold it.
func (k *keeper) widen() {
	c, from := k.c, k.from()
	held := Arc{From: k.have, To: c.self.ID}
	switch {
	case k.settling || from == k.have:
		return
	case from != c.self.ID && held.Has(from):
		k.have = from // less than before
		return
	}
	with := c.self
	for _, p := range c.preceding() {
		if !(Arc{From: p.ID, To: c.self.ID}).Has(k.have) {
			with = p // at or after what is held: it holds what comes before
		}
	}
	if with == c.self {
		s := c.member.Core().State()
		if len(s.Successors) == 0 {
			k.have = from
			return
		}
		with = s.Successors[0]
	}
	k.settling = true
	c.compare(with, Arc{From: from, To: k.have}, func(err error) {
		k.settling = false
		if err == nil && k.from() == from {
			k.have = from
		}
	})
}

// share compares the own arc with each of its other holders, if that is due.
func (k *keeper) share(s ring.State) {
	c := k.c
	if s.Predecessor == (ring.Peer{}) {
		return // the arc is not known
	}
	own := Arc{From: s.Predecessor.ID, To: c.self.ID}
	holders := s.Successors[:min(len(s.Successors), c.cfg.Replicas-1)]
	for p := range k.synced {
		if !slices.Contains(holders, p) {
			delete(k.synced, p)
		}
	}
	for i, p := range holders {
		if k.busy >= comparisonsAtOnce {
			return
		}
		last, ok := k.synced[p]
		wider := ok && last.from != own.From && ring.Owns(own.From, c.self.ID, last.from)
		switch {
		case ok && !wider && c.now.Sub(last.at) < c.cfg.Sync+time.Duration(i)*c.cfg.Sync/16:
			continue
		case (!ok || wider) && c.now.Sub(k.changed) < c.cfg.Settle:
			continue // more may change
		}
		k.synced[p] = synced{own.From, c.now}
		k.busy++
		c.compare(p, own, func(err error) {
			k.busy--
			if err != nil {
				delete(k.synced, p)
			}
		})
	}
}

// clear hands records over that the core is no holder of any more. It needs to know enough of
// those before it to tell.
func (k *keeper) clear() {
	c := k.c
	if len(c.preceding()) < c.cfg.Replicas {
		clear(k.beyond)
		return
	}
	mine := Arc{From: c.preceding()[c.cfg.Replicas-1].ID, To: c.self.ID}
	var due []ring.ID
	here := map[ring.ID]bool{}
	for key := range c.shelf.records {
		if mine.Has(key) {
			continue
		}
		here[key] = true
		since, ok := k.beyond[key]
		if !ok {
			k.beyond[key] = c.now
		} else if c.now.Sub(since) > c.cfg.Surplus {
			due = append(due, key)
		}
	}
	for key := range k.beyond {
		if !here[key] {
			delete(k.beyond, key)
		}
	}
	if len(due) > 0 && k.busy < comparisonsAtOnce {
		k.busy++
		slices.SortFunc(due, func(a, b ring.ID) int { return slices.Compare(a[:], b[:]) })
		k.handOver(due[0], due)
	}
}

// handOver shows what is held of one primary's arc to it, and drops it here.
func (k *keeper) handOver(key ring.ID, due []ring.ID) {
	c := k.c
	c.member.Lookup(key, 1, nil, func(f ring.Found, err error) {
		if err != nil || f.Owner == c.self || f.State.Predecessor == (ring.Peer{}) {
			k.busy--
			return
		}
		arc := Arc{From: f.State.Predecessor.ID, To: f.Owner.ID}
		c.exchange(f.Owner, arc, true, func(err error) {
			k.busy--
			if err != nil {
				return
			}
			for _, key := range due {
				if arc.Has(key) && c.rank(key) >= c.cfg.Replicas {
					c.shelf.Drop(key)
					delete(k.beyond, key)
					c.Count.HandedOver++
				}
			}
			k.next.surplus = c.now // the next arc
		})
	})
}

// Leave hands what the core holds to those who will hold it then, and tells the neighbours
// when that is done, or could not be.
func (c *Core) Leave(now time.Time, done func(error)) {
	c.At(now)
	s, before := c.member.Core().State(), c.preceding()
	if !c.member.Core().Member() || len(s.Successors) == 0 {
		c.member.Leave(now, func() { done(nil) })
		return
	}
	// The i-th arc before is held by replicas-1-i members after this one; the next is new.
	type task struct {
		with int // of the successors; a later one if it fails
		arc  Arc
	}
	var tasks []task
	last := c.self.ID
	for i := range min(c.cfg.Replicas, len(before)) {
		if with := c.cfg.Replicas - 1 - i; with < len(s.Successors) {
			tasks = append(tasks, task{with, Arc{From: before[i].ID, To: last}})
		}
		last = before[i].ID
	}
	if len(tasks) == 0 {
		tasks = append(tasks, task{0, Arc{From: c.self.ID, To: c.self.ID}})
	}
	var errs []error
	left := len(tasks)
	for _, t := range tasks {
		c.give(s.Successors[t.with:], t.arc, func(err error) {
			errs = append(errs, err)
			if left--; left == 0 {
				c.member.Leave(c.now, func() { done(errors.Join(errs...)) })
			}
		})
	}
}

// give hands an arc to the first of some members that takes it.
func (c *Core) give(to []ring.Peer, a Arc, done func(error)) {
	c.exchange(to[0], a, true, func(err error) {
		if err != nil && len(to) > 1 {
			c.give(to[1:], a, done)
			return
		}
		done(err)
	})
}

// refill lets bytes be moved again as time passes.
func (k *keeper) refill() {
	if k.at.IsZero() {
		k.at, k.budget = k.c.now, float64(k.c.cfg.Rate)
	}
	k.budget = min(k.budget+k.c.now.Sub(k.at).Seconds()*float64(k.c.cfg.Rate), float64(k.c.cfg.Rate))
	k.at = k.c.now
	for len(k.waiting) > 0 && k.mayMove() {
		first := k.waiting[0]
		k.waiting = k.waiting[1:]
		first()
	}
}

func (k *keeper) mayMove() bool  { return k.budget > 0 }
func (k *keeper) moved(size int) { k.budget -= float64(size) }
func (k *keeper) wait(f func())  { k.waiting = append(k.waiting, f) }
