package store

import (
	"errors"
	"slices"
	"time"

	"github.com/starlingmesh/starling/dht/ring"
)

// keeper sees that what a core should hold it holds, and that others hold what they should.
//
// A member that has come fetches what it must hold from those that held it. From then on every
// primary compares the records of its arc with each of their other holders, now and then and
// soon after these have changed. Records that others are to hold now are shown to their
// primary before they are dropped.
type keeper struct {
	c        *Core
	settled  bool
	alone    bool                  // settled as a ring of one
	busy     int                   // comparisons under way
	synced   map[ring.Peer]synced  // with each holder of the own arc
	seen     []ring.Peer           // the neighbours at the last look
	changed  time.Time             // when they last changed
	began    time.Time             // when the core began to fetch what it must hold
	beyond   map[ring.ID]time.Time // since when a record is held beyond its holders
	next     struct{ look, expire, surplus time.Time }
	settling bool
	have     ring.ID // what is held whole is the arc from here to the own place
	once     ring.ID // and this once was, and was not dropped since
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

const (
	comparisonsAtOnce = 3
	// settlePatience is how long a member looks for somebody who holds all of its arcs before
	// it makes do with what it has.
	settlePatience = time.Minute
)

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
	if k.alone && len(s.Successors) > 0 {
		// Others have been found, who may know what has happened meanwhile.
		k.settled, k.alone, k.tries = false, false, 0
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

// settle fetches what the core must hold from those that held it so far.
func (k *keeper) settle(s ring.State) {
	c := k.c
	before := c.preceding()
	if len(s.Successors) == 0 && len(before) == 0 {
		k.settled, k.alone, k.have, k.once = true, true, c.self.ID, c.self.ID
		return
	}
	// Those before are not known at once.
	if k.settling || len(s.Successors) == 0 || s.Predecessor == (ring.Peer{}) || !k.known(s) || k.tries == 0 && len(before) < c.cfg.Replicas && c.now.Sub(k.changed) < 2*c.cfg.Pace.Stabilise {
		return
	}
	k.settling = true
	if k.tries == 0 {
		k.began = c.now
	}
	k.tries++
	from := k.from()
	k.fetch(k.arcs(s, before), func(ok bool) {
		k.settling = false
		if ok || c.now.Sub(k.began) > settlePatience {
			k.settled, k.have, k.once = true, from, from
		}
	})
}

// known reports whether it is known what the core must hold: where those before are fewer than
// hold a record, that is everything only if the ring is so small.
func (k *keeper) known(s ring.State) bool {
	return len(k.c.preceding()) >= k.c.cfg.Replicas || len(s.Successors) < k.c.cfg.Successors
}

// sourced is an arc and who may hold all of it, the likeliest first.
type sourced struct {
	arc  Arc
	from []ring.Peer
}

// arcs lists what the core must hold, the own arc first: each arc is held by its primary and
// those that follow.
func (k *keeper) arcs(s ring.State, before []ring.Peer) (out []sourced) {
	c := k.c
	if len(before) < c.cfg.Replicas { // everything
		return []sourced{{Arc{From: c.self.ID, To: c.self.ID}, slices.Concat(s.Successors, before)}}
	}
	last := c.self.ID
	for i, p := range before[:c.cfg.Replicas] {
		var from []ring.Peer
		for j := i - 1; j >= 0; j-- {
			from = append(from, before[j])
		}
		out = append(out, sourced{Arc{From: p.ID, To: last}, append(from, s.Successors...)})
		last = p.ID
	}
	return out
}

// fetch compares arcs with their holders until one of each holds all of it. Where nobody does,
// as in a ring that is new, it is enough that all were heard.
func (k *keeper) fetch(arcs []sourced, done func(ok bool)) {
	if len(arcs) == 0 {
		done(true)
		return
	}
	var failed bool
	var try func(from []ring.Peer)
	try = func(from []ring.Peer) {
		if len(from) == 0 {
			if failed {
				done(false)
				return
			}
			k.fetch(arcs[1:], done)
			return
		}
		k.c.compare(from[0], arcs[0].arc, func(whole bool, err error) {
			failed = failed || err != nil
			if whole && err == nil {
				k.fetch(arcs[1:], done)
				return
			}
			try(from[1:])
		})
	}
	try(arcs[0].from)
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

// had reports whether the core held all of an arc at some time and has not dropped it since.
func (k *keeper) had(a Arc) bool {
	if !k.settled || k.once == k.c.self.ID {
		return k.settled
	}
	from, to, end := ring.Distance(k.once, a.From), ring.Distance(k.once, a.To), ring.Distance(k.once, k.c.self.ID)
	return !lessID(to, from) && !lessID(end, to) && a.From != a.To
}

// widen fetches what the core must hold besides, as others have gone.
func (k *keeper) widen() {
	c, from := k.c, k.from()
	held := Arc{From: k.have, To: c.self.ID}
	switch {
	case k.settling || from == k.have || !k.known(c.member.Core().State()):
		return
	case from != c.self.ID && held.Has(from):
		k.have = from // less than before
		return
	}
	var more []sourced
	for _, a := range k.arcs(c.member.Core().State(), c.preceding()) {
		if !held.Has(a.arc.To) || !held.Has(a.arc.From) && a.arc.From != k.have {
			more = append(more, a)
		}
	}
	k.settling = true
	k.fetch(more, func(ok bool) {
		k.settling = false
		if !ok || k.from() != from {
			return
		}
		k.have = from
		if !(Arc{From: k.once, To: c.self.ID}).Has(from) || from == c.self.ID {
			k.once = from
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
		c.compare(p, own, func(_ bool, err error) {
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
	if len(here) == 0 {
		k.once = k.have
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
		c.exchange(f.Owner, arc, true, func(_ bool, err error) {
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
	c.exchange(to[0], a, true, func(_ bool, err error) {
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
