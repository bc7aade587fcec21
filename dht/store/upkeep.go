package store

import (
	"maps"
	"slices"
	"time"

	"github.com/starlingmesh/starling/dht/ring"
)

// Drop forgets a record that others keep.
func (s *Shelf) Drop(key ring.ID) {
	if r := s.records[key]; r != nil {
		for _, p := range slices.Clone(r.parts) {
			s.drop(key, p)
		}
		if r.header != nil {
			s.drop(key, r.header)
		}
	}
}

// Expire drops the records whose time is over, and returns how many.
func (s *Shelf) Expire(now time.Time) (n int) {
	for _, key := range slices.SortedFunc(maps.Keys(s.records), func(a, b ring.ID) int { return slices.Compare(a[:], b[:]) }) {
		if r := s.records[key]; r.header == nil || r.head.Expires <= uint64(now.Unix()) {
			s.Drop(key)
			n++
		}
	}
	return n
}

// Scrub reads up to n items beginning behind a place, and drops those that are damaged. It
// returns where to go on.
func (s *Shelf) Scrub(from Mark, n int) Mark {
	all := s.index.root.total().Count
	if all == 0 {
		return from
	}
	at := s.index.upTo(from.key).Count
	var last place
	var bad []place
	for i := range min(uint64(n), all) {
		last = s.index.at((at + i) % all)
		if _, err := s.disk.Get(last.id); err != nil {
			bad = append(bad, last)
		}
	}
	for _, p := range bad {
		for _, m := range s.records[p.key].all() {
			if m.id == p.id {
				s.damaged(p.key, m)
			}
		}
	}
	return Mark{last.key}
}

// Mark is where scrubbing goes on.
type Mark struct{ key ring.ID }

func (r *record) all() []*meta {
	if r.header == nil {
		return slices.Clone(r.parts)
	}
	return append([]*meta{r.header}, r.parts...)
}
