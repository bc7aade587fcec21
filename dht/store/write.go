package store

import (
	"errors"
	"fmt"

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
	asked   map[ring.Peer]bool
	acks    int
	pending int
	looked  bool
	refused error
	done    func(Written, error) // nil once it was called
}

// Put gives items of one record to its holders, and reports when enough of them keep these;
// want 0 is a majority. It ends with the error that a holder refused them for, or with
// [ErrQuorum].
func (c *Core) Put(want int, items []*Item, done func(Written, error)) {
	c.Count.Puts++
	w := &writing{c: c, items: items, want: want, asked: map[ring.Peer]bool{}, done: done}
	if want == 0 {
		w.want = c.quorum()
	}
	w.want = min(w.want, c.holders())
	w.send(c.guess(items[0].key, c.holders()))
	if w.pending == 0 {
		w.look()
	}
}

func (w *writing) send(to []ring.Peer) {
	var fresh []ring.Peer
	for _, p := range to {
		if !w.asked[p] {
			w.asked[p] = true
			fresh = append(fresh, p)
		}
	}
	w.pending += len(fresh)
	w.c.Count.Requests += uint64(len(fresh))
	own := false
	for _, p := range fresh {
		if p == w.c.self {
			own = true // last: others work meanwhile
			continue
		}
		w.c.call(p, &Request{Put: w.items}, w.answered)
	}
	if own {
		w.c.call(w.c.self, &Request{Put: w.items}, w.answered)
	}
}

func (w *writing) answered(r *Response, err error) {
	w.pending--
	if err == nil && r.Role != Stranger {
		switch err := r.Refusal.Err(); {
		case err == nil:
			w.acks++
		case errors.Is(err, ErrStale):
			w.end(err)
			return
		default:
			w.refused = err
		}
	}
	switch {
	case w.acks >= w.want:
		w.end(nil)
		if w.pending == 0 && w.acks < w.c.holders() && !w.looked {
			w.look() // others should have it, too
		}
	case w.pending > 0:
	case w.refused != nil:
		w.end(w.refused)
	case !w.looked:
		w.look()
	default:
		w.end(fmt.Errorf("%w: %d of %d keep it, want %d", ErrQuorum, w.acks, len(w.asked), w.want))
	}
}

// look finds out who holds the record, and gives it to those who have not got it.
func (w *writing) look() {
	w.looked = true
	w.c.member.Lookup(w.items[0].key, 1, nil, func(f ring.Found, err error) {
		w.c.Count.Requests += uint64(len(f.Trace))
		if err != nil {
			w.end(fmt.Errorf("find the holders: %w", err))
			return
		}
		holders := f.Holders(w.c.cfg.Replicas)
		w.want = min(w.want, len(holders))
		w.send(holders)
		switch {
		case w.acks >= w.want:
			w.end(nil)
		case w.pending == 0:
			w.end(fmt.Errorf("%w: %d of %d keep it, want %d", ErrQuorum, w.acks, len(w.asked), w.want))
		}
	})
}

func (w *writing) end(err error) {
	if w.done == nil {
		return
	}
	done := w.done
	w.done = nil
	done(Written{Acks: w.acks, Holders: len(w.asked)}, err)
}
