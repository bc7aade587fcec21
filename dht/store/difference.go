package store

import (
	"slices"

	"github.com/starlingmesh/starling/dht/ring"
)

const (
	fewItems   = 24 // of an arc, whose hashes are told rather than cut it again
	cuts       = 16 // pieces of an arc
	fetchBytes = 512 << 10
)

// differ tells how an arc differs from what another holds.
func (s *Shelf) differ(o Span) Difference {
	own := s.index.sum(o.Arc)
	if own == o.Sum {
		return Difference{Same: true}
	}
	pieces := s.index.pieces(o.Arc, cuts)
	if own.Count <= fewItems || o.Sum.Count == 0 && own.Count <= 64*fewItems || len(pieces) == 1 {
		return Difference{IDs: s.ids(o.Arc)}
	}
	d := Difference{}
	for _, a := range pieces {
		d.Pieces = append(d.Pieces, Span{Arc: a, Sum: s.index.sum(a)})
	}
	return d
}

func (s *Shelf) ids(a Arc) []Short {
	out := []Short{}
	s.index.each(a, func(p place) bool { out = append(out, short(p.id)); return true })
	return out
}

// fetch reads items, as many as fit an answer.
func (s *Shelf) fetch(ids []Short) (out []*Item) {
	size := 0
	for _, id := range ids {
		it, err := s.disk.Get(s.short[id])
		if err != nil {
			continue
		}
		if size += len(it.raw); size > fetchBytes && len(out) > 0 {
			break
		}
		out = append(out, it)
	}
	return out
}

// comparing is the comparison of an arc with what another member holds, and the exchange of
// what differs.
type comparing struct {
	c     *Core
	with  ring.Peer
	need  []Short
	give  []Short
	early []*Item // parts that came before their header

	giveOnly bool
	whole    bool // the other holds all of the arc, as it says
	rounds   int
	done     func(whole bool, err error)
}

// maxRounds bounds a comparison with somebody who never agrees.
const maxRounds = 16

// compare makes this core and another member hold the same on an arc, and tells whether the
// other holds all of it, as it says.
func (c *Core) compare(with ring.Peer, a Arc, done func(whole bool, err error)) {
	c.exchange(with, a, false, done)
}

// exchange is compare, or gives without taking.
func (c *Core) exchange(with ring.Peer, a Arc, giveOnly bool, done func(whole bool, err error)) {
	c.Count.Syncs++
	x := &comparing{c: c, with: with, giveOnly: giveOnly, done: func(whole bool, err error) {
		if err != nil {
			c.Count.Failed++
		}
		done(whole, err)
	}}
	x.ask([]Span{{Arc: a, Sum: c.shelf.Sum(a)}})
}

const (
	spansAtOnce   = 64
	fetchedAtOnce = 512
)

func (x *comparing) ask(spans []Span) {
	if len(spans) == 0 || x.rounds == maxRounds {
		x.fetch()
		return
	}
	x.rounds++
	now, later := spans[:min(len(spans), spansAtOnce)], spans[min(len(spans), spansAtOnce):]
	x.c.call(x.with, &Request{Spans: now}, func(r *Response, err error) {
		if err != nil || len(r.Differ) != len(now) {
			x.done(false, orRefused(err))
			return
		}
		if x.rounds == 1 {
			x.whole = r.Settled
		}
		for i, d := range r.Differ {
			switch {
			case d.Same:
			case len(d.Pieces) > 0:
				for _, p := range d.Pieces[:min(len(d.Pieces), cuts)] {
					if own := x.c.shelf.Sum(p.Arc); own != p.Sum {
						later = append(later, Span{Arc: p.Arc, Sum: own})
					}
				}
			default:
				x.differ(now[i].Arc, d.IDs)
			}
		}
		if len(spans) > spansAtOnce {
			x.rounds-- // the same round still
		}
		x.ask(later)
	})
}

func orRefused(err error) error {
	if err == nil {
		return ErrItem
	}
	return err
}

// differ notes what one of the two lacks on an arc.
func (x *comparing) differ(a Arc, theirs []Short) {
	have := make(map[Short]bool, len(theirs))
	for _, id := range theirs {
		have[id] = true
	}
	for _, id := range x.c.shelf.ids(a) {
		if have[id] {
			delete(have, id)
		} else {
			x.give = append(x.give, id)
		}
	}
	for _, id := range theirs {
		if have[id] {
			x.need = append(x.need, id)
			delete(have, id)
		}
	}
}

// fetch takes what is needed, in batches, and then gives.
func (x *comparing) fetch() {
	if len(x.need) == 0 || x.giveOnly {
		x.push()
		return
	}
	asked := x.need[:min(len(x.need), fetchedAtOnce)]
	x.c.call(x.with, &Request{Fetch: asked}, func(r *Response, err error) {
		if err != nil {
			x.done(x.whole, err)
			return
		}
		r.Items = slices.DeleteFunc(r.Items, func(it *Item) bool { return !slices.Contains(asked, short(it.id)) })
		got := map[Short]bool{}
		for _, it := range r.Items {
			got[short(it.id)] = true
			x.c.Count.Fetched++
		}
		x.early = x.c.arrived(append(x.early, r.Items...), true)
		// Those that the other has lost meanwhile are not asked for again.
		var left []Short
		if len(r.Items) > 0 {
			for _, id := range asked {
				if !got[id] {
					left = append(left, id)
				}
			}
		}
		x.need = append(left, x.need[len(asked):]...)
		x.fetch()
	})
}

// arrived takes items of any records in, headers first, and returns the parts whose header is
// not there yet.
func (c *Core) arrived(items []*Item, admitted bool) (early []*Item) {
	for _, it := range sorted(items) {
		if c.take([]*Item{it}, admitted).Err() == ErrUnknown { //nolint:errorlint // refusals are the errors themselves
			early = append(early, it)
		}
	}
	return early
}

// push gives what the other lacks, as far as it is still there, at no more than the rate.
func (x *comparing) push() {
	if len(x.give) == 0 {
		x.done(x.whole, nil)
		return
	}
	if !x.c.keeper.mayMove() {
		x.c.keeper.wait(x.push)
		return
	}
	const bytes = 256 << 10
	var items []*Item
	size, taken := 0, 0
	for _, id := range x.give {
		it, err := x.c.shelf.disk.Get(x.c.shelf.short[id])
		if size > bytes && (err != nil || it.key != items[len(items)-1].key) {
			break // between records: parts follow their header
		}
		taken++
		if err == nil {
			items = append(items, it)
			size += len(it.raw)
		}
	}
	x.give = x.give[taken:]
	if len(items) == 0 {
		x.push()
		return
	}
	x.c.keeper.moved(size)
	x.c.Count.Moved += uint64(len(items))
	x.c.Count.MovedBytes += uint64(size)
	x.c.call(x.with, &Request{Push: sorted(items)}, func(_ *Response, err error) {
		if err != nil {
			x.done(x.whole, err)
			return
		}
		x.push()
	})
}

// sorted puts headers first.
func sorted(items []*Item) []*Item {
	out := make([]*Item, 0, len(items))
	for _, parts := range []bool{false, true} {
		for _, it := range items {
			if (it.Part != nil) == parts {
				out = append(out, it)
			}
		}
	}
	return out
}
