package store

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/starlingmesh/starling/dht/ring"
)

// ErrQuorum means that too few holders answered.
var ErrQuorum = errors.New("too few holders answered; the value may be kept by some of them")

// Written is what became of a write.
type Written struct {
	Acks    int // holders that keep it, as far as known when it was reported
	Holders int // that were asked
}

// writing puts items of one record to its holders.
type writing struct {
	c       *Core
	items   []*Item
	want    int
	began   time.Time
	asked   map[ring.Peer]bool
	acked   map[ring.Peer]bool
	rest    []ring.Peer // that are asked next
	pending int
	looked  bool
	failed  bool // somebody did not take them
	refused error
	done    func(Written, error) // nil once it was called
}

// Put gives items of one record to its holders, and reports when enough of them keep these;
// want 0 is a majority. Where the ring is just losing members it is tried again for a while. It
// ends with the error that a holder refused the items for, or with [ErrQuorum].
func (c *Core) Put(want int, items []*Item, done func(Written, error)) {
	c.Count.Puts++
	w := &writing{c: c, items: items, want: want, began: c.now, asked: map[ring.Peer]bool{}, acked: map[ring.Peer]bool{}, done: done}
	if want == 0 {
		w.want = c.quorum()
	}
	w.want = min(w.want, c.holders())
	w.rest = c.guess(items[0].key, c.holders())
	first := w.rest[:min(w.want, len(w.rest))]
	w.rest = w.rest[len(first):]
	c.tardy = append(c.tardy, w)
	w.send(first)
}

// others gives the items to the rest of the holders. They come after the quorum, not to slow it
// down, or once somebody of it is slow or fails.
func (w *writing) others() {
	rest := w.rest
	w.rest = nil
	w.send(rest)
}

// send gives the items to peers that were not asked yet, before it looks at any answer: this
// core's own comes at once.
func (w *writing) send(to []ring.Peer) {
	w.pending++
	for _, own := range []bool{false, true} { // others work meanwhile
		for _, p := range to {
			if w.asked[p] || (p == w.c.self) != own {
				continue
			}
			w.asked[p] = true
			w.pending++
			w.c.Count.Requests++
			w.c.call(p, &Request{Put: w.items}, func(r *Response, err error) { w.answered(p, r, err) })
		}
	}
	w.pending--
	w.check()
}

func (w *writing) answered(p ring.Peer, r *Response, err error) {
	w.pending--
	w.failed = w.failed || err != nil || r.Role == Stranger
	if err == nil && r.Role != Stranger {
		switch err := r.Refusal.Err(); {
		case err == nil:
			w.acked[p] = true
		case errors.Is(err, ErrStale):
			w.end(err)
			return
		default:
			w.refused = err
		}
	}
	w.check()
}

func (w *writing) check() {
	if len(w.acked) >= w.want {
		w.end(nil)
	}
	switch {
	case len(w.rest) > 0 && (w.done == nil || w.pending == 0 || w.failed):
		w.others()
	case w.pending > 0:
	case w.done == nil:
		if len(w.acked) < w.c.holders() && !w.looked {
			w.look() // others should have it, too
		}
	case w.refused != nil:
		w.end(w.refused)
	case !w.looked:
		w.look()
	default:
		w.again(fmt.Errorf("%w: %d of %d keep it, want %d", ErrQuorum, len(w.acked), len(w.asked), w.want))
	}
}

// look finds out who holds the record, and gives it to those who have not got it.
func (w *writing) look() {
	w.looked = true
	w.pending++
	w.c.member.Lookup(w.items[0].key, 1, nil, func(f ring.Found, err error) {
		w.pending--
		w.c.Count.Requests += uint64(len(f.Trace))
		if err != nil {
			if w.done != nil {
				w.again(fmt.Errorf("find the holders: %w", err))
			}
			return
		}
		holders := f.Holders(w.c.cfg.Replicas)
		w.want = w.c.least(w.want, len(holders))
		w.send(holders)
	})
}

// again tries those that do not keep it once more, when the ring may have mended, or gives up.
func (w *writing) again(err error) {
	if w.c.now.Sub(w.began) > w.c.cfg.Patience {
		w.end(err)
		return
	}
	w.c.later(func() {
		w.asked = maps.Clone(w.acked)
		w.look()
	})
}

func (w *writing) end(err error) {
	if w.done == nil {
		return
	}
	done := w.done
	w.done = nil
	done(Written{Acks: len(w.acked), Holders: len(w.asked)}, err)
}
