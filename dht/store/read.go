package store

import (
	"errors"
	"slices"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/ring"
)

// ErrNotFound means that the holders know nothing of a record.
var ErrNotFound = errors.New("no such record")

// Read is a record as its holders have it.
type Read struct {
	Items    []*Item // the header first, then the parts by hash
	Digest   hash.Hash
	Agreed   int // holders that have it so
	Answered int // holders that answered
}

// reading gets a record from its holders.
type reading struct {
	c       *Core
	key     ring.ID
	want    int
	began   time.Time
	order   []ring.Peer
	answers map[ring.Peer]*Response
	full    map[ring.Peer]bool // asked for all of it
	pending int
	looked  bool
	paths   int
	wide    bool // all holders were asked
	done    func(Read, error)
}

// Get reads a record from a quorum of its holders; want 0 is a majority. If they do not agree,
// all are asked, and those that lack something are given it. It ends with [ErrNotFound], or
// with [ErrQuorum] and what was found, which may be an earlier value, if too few answered.
func (c *Core) Get(key ring.ID, want int, done func(Read, error)) {
	c.Count.Gets++
	r := &reading{c: c, key: key, want: want, began: c.now, answers: map[ring.Peer]*Response{}, full: map[ring.Peer]bool{}, done: done}
	if want == 0 {
		r.want = c.quorum()
	}
	r.want = min(r.want, c.holders())
	r.order = c.guess(key, c.holders())
	if len(r.order) == 0 {
		r.look(1)
		return
	}
	c.slow = append(c.slow, r)
	first := r.order[0]
	r.askAll(r.order[:min(r.want, len(r.order))], func(p ring.Peer) bool { return p == first })
}

// askAll asks peers for all of the record or its digest, before it looks at any answer: this
// core's own comes at once.
func (r *reading) askAll(peers []ring.Peer, full func(ring.Peer) bool) {
	r.pending++
	for _, p := range peers {
		r.ask(p, full(p))
	}
	r.pending--
	r.check()
}

func everything(ring.Peer) bool { return true }

func (r *reading) ask(p ring.Peer, full bool) {
	if r.full[p] || r.done == nil {
		return
	}
	if full {
		r.full[p] = true
	}
	r.pending++
	r.c.Count.Requests++
	r.c.call(p, &Request{Get: &Get{Key: r.key, Full: full}}, func(a *Response, err error) {
		r.pending--
		if err == nil {
			if old := r.answers[p]; old == nil || full {
				r.answers[p] = a
			}
		}
		r.check()
	})
}

// agreed reports how many settled holders answered, and whether all that answered have the
// same.
func (r *reading) agreed() (settled int, same bool) {
	same = true
	var first *Response
	for _, p := range r.order {
		a := r.answers[p]
		if a == nil || a.Role == Stranger {
			continue
		}
		if a.Settled {
			settled++
		}
		if first == nil {
			first = a
		}
		same = same && a.Digest == first.Digest
	}
	return settled, same
}

// complete reports whether all of the record is there from somebody, if there is any.
func (r *reading) complete() bool {
	for _, a := range r.answers {
		if a.Role != Stranger && (a.Digest.IsZero() || len(a.Items) > 0) {
			return true
		}
	}
	return false
}

func (r *reading) check() {
	if r.done == nil {
		return
	}
	settled, same := r.agreed()
	switch {
	case same && settled >= r.want && r.complete() && !r.nothing():
		r.end()
	case r.pending > 0:
	case !same && !r.wide:
		r.widen()
	case settled < r.want && !r.looked:
		r.look(1)
	case len(r.answers) > 0 && !r.complete():
		r.fill()
	case r.paths < 2 && r.nothing():
		// Before it is said that there is nothing all holders are asked, and looked for by two
		// ways: who was asked may have lied, or have come just now.
		r.look(2)
	default:
		r.end()
	}
}

func (r *reading) nothing() bool {
	for _, a := range r.answers {
		if len(a.Items) > 0 {
			return false
		}
	}
	return true
}

// widen asks everybody for everything.
func (r *reading) widen() {
	r.wide = true
	r.askAll(r.order, everything)
}

// fill asks those that only told a digest for the rest, if there are any.
func (r *reading) fill() {
	var told []ring.Peer
	for _, p := range r.order {
		if a := r.answers[p]; a != nil && a.Role != Stranger && !r.full[p] {
			told = append(told, p)
		}
	}
	if len(told) == 0 {
		r.end()
		return
	}
	r.askAll(told, everything)
}

// look finds out who holds the record.
func (r *reading) look(paths int) {
	r.looked, r.paths = true, paths
	r.pending++
	r.c.member.Lookup(r.key, paths, nil, func(f ring.Found, err error) {
		r.pending--
		r.c.Count.Requests += uint64(len(f.Trace))
		if err != nil {
			if r.done != nil && len(r.answers) == 0 {
				r.retry(Read{})
			} else {
				r.check()
			}
			return
		}
		holders := f.Holders(r.c.cfg.Replicas)
		r.want = r.c.least(r.want, len(holders))
		for _, p := range holders {
			if !slices.Contains(r.order, p) {
				r.order = append(r.order, p)
			}
		}
		r.widen()
	})
}

// late reports whether it has been tried for long enough.
func (r *reading) late() bool { return r.c.now.Sub(r.began) > r.c.cfg.Patience }

// retry tries again when the ring may have mended, or gives up with what there is.
func (r *reading) retry(have Read) {
	if r.late() {
		done := r.done
		r.done = nil
		done(have, ErrQuorum)
		return
	}
	r.c.later(func() {
		clear(r.answers)
		clear(r.full)
		r.order, r.wide = nil, false
		r.look(1)
	})
}

// end merges what came, repairs those that lack something, and reports.
func (r *reading) end() {
	merged := NewShelf(Limits{Work: -1}, &memory{}, nil)
	answered, silent := 0, 0
	for _, p := range r.order {
		a := r.answers[p]
		if a == nil {
			silent++
		}
		if a != nil && a.Role != Stranger {
			answered++
			_, _ = merged.Add(r.c.now, a.Items) // what is void or superseded is left out
		}
	}
	out := Read{Items: merged.Items(r.c.now, r.key), Digest: merged.Digest(r.c.now, r.key), Answered: answered}
	settled, _ := r.agreed()
	if settled < r.want || len(out.Items) == 0 && settled < min(r.c.holders(), answered+silent) && !r.late() {
		// That there is nothing takes more than a quorum to say: who is still fetching, or has
		// just gone, may be the one that has it.
		r.retry(out)
		return
	}
	for _, p := range r.order {
		a := r.answers[p]
		switch {
		case a == nil || a.Role == Stranger:
		case a.Digest == out.Digest:
			out.Agreed++
		case len(out.Items) > 0:
			r.repair(p, a, out.Items)
		}
	}
	done := r.done
	r.done = nil
	switch {
	case len(out.Items) == 0 || out.Items[0].Header == nil || out.Items[0].Header.Deleted:
		done(out, ErrNotFound)
	default:
		done(out, nil)
	}
}

// repair gives a holder what it lacks.
func (r *reading) repair(p ring.Peer, a *Response, items []*Item) {
	var lacks []*Item
	for _, it := range items {
		if !slices.ContainsFunc(a.Items, func(has *Item) bool { return has.id == it.id }) {
			lacks = append(lacks, it)
		}
	}
	if len(lacks) > 0 {
		r.c.Count.Repaired++
		r.c.call(p, &Request{Put: lacks}, func(*Response, error) {})
	}
}

// hedge asks everybody where a read or a write takes long.
func (c *Core) hedge() {
	c.slow = slices.DeleteFunc(c.slow, func(r *reading) bool {
		if r.done == nil || r.wide {
			return true
		}
		if c.now.Sub(r.began) < c.cfg.Hedge {
			return false
		}
		r.widen()
		return true
	})
	c.tardy = slices.DeleteFunc(c.tardy, func(w *writing) bool {
		slow := c.now.Sub(w.began) >= c.cfg.Hedge/8
		if len(w.rest) > 0 && slow {
			w.others()
		}
		return len(w.rest) == 0
	})
}

// memory is a disk that forgets.
type memory struct{ items map[hash.Hash]*Item }

// Memory makes a disk that is gone with the process.
func Memory() Disk { return &memory{} }

// Get implements Disk.
func (m *memory) Get(id hash.Hash) (*Item, error) {
	if it, ok := m.items[id]; ok {
		return it, nil
	}
	return nil, ErrNotFound
}

// Apply implements Disk.
func (m *memory) Apply(put []*Item, remove []hash.Hash) error {
	if m.items == nil {
		m.items = map[hash.Hash]*Item{}
	}
	for _, id := range remove {
		delete(m.items, id)
	}
	for _, it := range put {
		m.items[it.id] = it
	}
	return nil
}
