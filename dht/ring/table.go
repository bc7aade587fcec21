package ring

import (
	"cmp"
	"slices"
	"time"
)

// Defaults of a [Table].
const (
	// DefaultFingers is how many peers are kept of each distance.
	DefaultFingers = 32
	// shunned is how long somebody who did not answer is not heard of again.
	shunned = 30 * time.Second
	// groupShare is the part of a bucket that peers of one group of addresses may take.
	groupShare = 4
)

// Table is whom a peer knows: its fingers. Chord's k-th finger is the first member at least
// 2^k away; here it is any few that are 2^k to 2^(k+1) away, which serve as well and need
// not be looked up so often. Nothing but speed depends on them. A Table is not safe for
// concurrent use.
type Table struct {
	self    Peer
	width   int
	group   func(Peer) string
	buckets [256][]finger // by magnitude of the distance from self; those seen longest ago first
	failed  map[Peer]time.Time
	known   map[Peer]bool
	sorted  []Peer // by distance from self; nil if it must be made again
}

type finger struct {
	Peer
	seen time.Time
}

// NewTable makes a table that keeps width peers of each distance; 0 is DefaultFingers. group
// names where a peer's address is from, such as its network, so that no one region is known
// by the peers of one owner alone; "" is nowhere in particular, nil is so for everybody.
func NewTable(self Peer, width int, group func(Peer) string) *Table {
	if group == nil {
		group = func(Peer) string { return "" }
	}
	return &Table{self: self, width: cmp.Or(width, DefaultFingers), group: group, failed: map[Peer]time.Time{}, known: map[Peer]bool{}}
}

// Seen notes that a peer has answered.
func (t *Table) Seen(now time.Time, p Peer) {
	if p == t.self || p == (Peer{}) {
		return
	}
	delete(t.failed, p)
	b := &t.buckets[magnitude(Distance(t.self.ID, p.ID))]
	if i := slices.IndexFunc(*b, func(f finger) bool { return f.Peer == p }); i >= 0 {
		*b = append(slices.Delete(*b, i, i+1), finger{p, now})
		return
	}
	if len(*b) == t.width {
		if now.Sub((*b)[0].seen) < shunned {
			return // those that are known are good: newcomers push nobody out
		}
		t.drop((*b)[0].Peer)
	}
	if g := t.group(p); g != "" {
		same := 0
		for _, f := range *b {
			if t.group(f.Peer) == g {
				same++
			}
		}
		if same >= max(t.width/groupShare, 1) {
			return
		}
	}
	*b = append(*b, finger{p, now})
	t.known[p], t.sorted = true, nil
}

// Failed notes that a peer did not answer.
func (t *Table) Failed(now time.Time, p Peer) {
	t.drop(p)
	if len(t.failed) > 4*t.width {
		for p, at := range t.failed {
			if now.Sub(at) > shunned {
				delete(t.failed, p)
			}
		}
	}
	t.failed[p] = now
}

// Shunned reports whether a peer failed to answer only lately.
func (t *Table) Shunned(now time.Time, p Peer) bool {
	at, ok := t.failed[p]
	return ok && now.Sub(at) < shunned
}

func (t *Table) drop(p Peer) {
	if !t.known[p] {
		return
	}
	b := &t.buckets[magnitude(Distance(t.self.ID, p.ID))]
	*b = slices.DeleteFunc(*b, func(f finger) bool { return f.Peer == p })
	delete(t.known, p)
	t.sorted = nil
}

// Len is how many are known.
func (t *Table) Len() int { return len(t.known) }

// Known reports whether a peer is known.
func (t *Table) Known(p Peer) bool { return t.known[p] }

// order lists all by distance from self.
func (t *Table) order() []Peer {
	if t.sorted == nil {
		t.sorted = make([]Peer, 0, len(t.known))
		for _, b := range t.buckets {
			from := len(t.sorted)
			for _, f := range b {
				t.sorted = append(t.sorted, f.Peer)
			}
			slices.SortFunc(t.sorted[from:], func(a, b Peer) int {
				x, y := Distance(t.self.ID, a.ID), Distance(t.self.ID, b.ID)
				return slices.Compare(x[:], y[:])
			})
		}
	}
	return t.sorted
}

// after is how many of those known come before an identifier, going up from self.
func (t *Table) after(id ID) int {
	d := Distance(t.self.ID, id)
	at, _ := slices.BinarySearchFunc(t.order(), d, func(p Peer, d ID) int {
		x := Distance(t.self.ID, p.ID)
		return slices.Compare(x[:], d[:])
	})
	return at
}

// First lists up to n of those known that come at or after an identifier, in order.
func (t *Table) First(id ID, n int) (out []Peer) {
	all := t.order()
	at := t.after(id)
	for i := range min(n, len(all)) {
		out = append(out, all[(at+i)%len(all)])
	}
	return out
}

// Preceding lists up to n of those known that come before an identifier, the nearest first.
func (t *Table) Preceding(id ID, n int) (out []Peer) {
	all := t.order()
	at := t.after(id)
	for i := range min(n, len(all)) {
		out = append(out, all[(at-1-i+2*len(all))%len(all)])
	}
	return out
}

// Stale lists the distances, as powers of two, at which too few are known or nobody was heard
// of since a time, from the farthest to that of the nearest successor.
func (t *Table) Stale(since time.Time, nearest ID) (out []int) {
	for m := 255; m >= max(magnitude(Distance(t.self.ID, nearest)), 0); m-- {
		if b := t.buckets[m]; len(b) < t.width || b[len(b)-1].seen.Before(since) {
			out = append(out, m)
		}
	}
	return out
}
