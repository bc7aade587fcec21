package ring

import (
	"errors"
	"slices"
	"time"
)

// What a lookup may end with.
var (
	// ErrNobody means that nobody is known to ask.
	ErrNobody = errors.New("no member of the ring is known; is the node connected to others?")
	// ErrNotFound means that none of those asked led to the owner.
	ErrNotFound = errors.New("the ring did not lead to the owner")
)

// maxAsked bounds the questions of one path of a lookup.
const maxAsked = 64

// Asked is one question of a lookup.
type Asked struct {
	Peer Peer
	Path int
	Took time.Duration
	Err  error // nil if it answered
}

// Found is what a lookup came to.
type Found struct {
	Owner Peer  // the first member at or after the target
	State State // as the owner told
	Hops  int   // questions one after the other on the path that found it
	Trace []Asked
}

// Holders lists the owner and those that follow it, up to n.
func (f Found) Holders(n int) []Peer {
	return append([]Peer{f.Owner}, f.State.Successors[:min(n-1, len(f.State.Successors))]...)
}

// lookup finds the owner of a target by several paths that share nobody but the owner: who
// lies on one of them is shown up by the others, for the nearest member at or after the
// target that answers is the owner, and nobody can choose its place.
type lookup struct {
	m      *Member
	target ID
	paths  []*path
	taken  map[Peer]int // by which path it was asked
	done   func(Found, error)
	trace  []Asked
	left   int
}

// path is one way to the owner. Each keeps its own notes.
type path struct {
	l        *lookup
	number   int
	heard    []Peer // by distance from the target, going up: owners first, those before it last
	answers  map[Peer]State
	failed   map[Peer]bool
	asked    int
	bracket  bool // a list of successors that was heard covers the target
	owner    Peer
	finished bool
}

// Lookup finds the owner of a target by so many disjoint paths, 1 or more. With via it
// begins there and nowhere else. done is called once, perhaps at once.
func (m *Member) Lookup(target ID, paths int, via []Peer, done func(Found, error)) {
	l := &lookup{m: m, target: target, taken: map[Peer]int{}, done: done, left: paths}
	for i := range paths {
		p := &path{l: l, number: i, answers: map[Peer]State{}, failed: map[Peer]bool{}}
		l.paths = append(l.paths, p)
		if via != nil {
			p.hear(via...)
			continue
		}
		p.hear(m.table.First(target, 1)...)
		p.hear(m.table.Preceding(target, 4*paths)...)
		if m.core.Member() {
			own := m.core.State()
			p.hear(own.Successors...)
			if target != m.self.ID {
				p.hear(m.self)
				p.answered(m.self, own)
			}
		}
	}
	if slices.IndexFunc(l.paths, func(p *path) bool { return len(p.heard) > 0 }) < 0 {
		done(Found{}, ErrNobody)
		return
	}
	for _, p := range l.paths {
		p.step()
	}
}

// hear notes peers that may lie on the way.
func (p *path) hear(peers ...Peer) {
	for _, q := range peers {
		if q == (Peer{}) || p.failed[q] || q == p.l.m.self && p.l.target == q.ID {
			continue // who looks for its own place is not there
		}
		d := Distance(p.l.target, q.ID)
		at, found := slices.BinarySearchFunc(p.heard, d, func(o Peer, d ID) int {
			x := Distance(p.l.target, o.ID)
			return slices.Compare(x[:], d[:])
		})
		if !found {
			p.heard = slices.Insert(p.heard, at, q)
		}
	}
}

// answered notes what a member told.
func (p *path) answered(from Peer, s State) {
	p.answers[from] = s
	last := from
	for _, next := range s.Successors {
		if Owns(last.ID, next.ID, p.l.target) {
			p.bracket = true
		}
		last = next
	}
	p.hear(s.Predecessor)
	p.hear(s.Before...)
	p.hear(s.Successors...)
}

// found reports whether the nearest at or after the target that was heard of is the owner: it
// answered, and nobody alive comes in between as far as it and the one before it know.
func (p *path) found() bool {
	if len(p.heard) == 0 {
		return false
	}
	c := p.heard[0]
	s, ok := p.answers[c]
	if !ok {
		return false
	}
	if s.Predecessor != (Peer{}) && !p.failed[s.Predecessor] {
		return s.Predecessor.ID == p.l.target || Owns(s.Predecessor.ID, c.ID, p.l.target)
	}
	if len(p.heard) == 1 {
		return true // alone
	}
	b, ok := p.answers[p.heard[len(p.heard)-1]]
	if !ok {
		return false
	}
	for _, next := range b.Successors {
		if !p.failed[next] && next.ID != p.l.target {
			return next == c
		}
	}
	return true // it has lost all that followed it
}

// next is whom to ask.
func (p *path) next() (Peer, bool) {
	open := func(q Peer) bool {
		if _, answered := p.answers[q]; answered {
			return false
		}
		by, taken := p.l.taken[q]
		return !taken || by == p.number || q == p.heard[0] // the owner is everybody's
	}
	var before Peer
	for _, q := range slices.Backward(p.heard) {
		if _, answered := p.answers[q]; answered {
			break // nobody farther helps
		}
		if open(q) {
			before = q
			break
		}
	}
	owner := p.heard[0]
	if !open(owner) {
		owner = Peer{}
	}
	switch {
	case owner == Peer{} && before == Peer{}:
		// The one before may have lied, or everybody between has failed: anybody else.
		for _, q := range slices.Backward(p.heard) {
			if open(q) {
				return q, true
			}
		}
		return Peer{}, false
	case before == Peer{}:
		return owner, true
	case owner == Peer{}:
		return before, true
	case p.bracket || less(Distance(p.l.target, owner.ID), Distance(before.ID, p.l.target)):
		return owner, true
	}
	return before, true
}

func (p *path) step() {
	if p.finished {
		return
	}
	if p.found() {
		p.end(p.heard[0])
		return
	}
	if len(p.heard) == 0 || p.asked == maxAsked {
		p.end(Peer{})
		return
	}
	q, ok := p.next()
	if !ok {
		// Everybody was asked: of a ring that is coming to be, this is the nearest.
		if _, answered := p.answers[p.heard[0]]; !answered {
			p.end(Peer{})
			return
		}
		p.end(p.heard[0])
		return
	}
	p.asked++
	p.l.taken[q] = p.number
	began := p.l.m.now
	p.l.m.ask(q, Question{Kind: Find, Target: p.l.target}, func(a Answer, err error) {
		p.l.trace = append(p.l.trace, Asked{q, p.number, p.l.m.now.Sub(began), err})
		if err != nil {
			p.failed[q] = true
			p.heard = slices.DeleteFunc(p.heard, func(o Peer) bool { return o == q })
		} else {
			p.answered(q, a.State())
			for _, c := range a.Closer {
				// What leads past the target, or was shunned, is no help.
				if !p.l.m.table.Shunned(p.l.m.now, c) {
					p.hear(c)
				}
			}
		}
		p.step()
	})
}

func (p *path) end(owner Peer) {
	p.finished, p.owner = true, owner
	if p.l.left--; p.l.left > 0 {
		return
	}
	var best *path
	for _, q := range p.l.paths {
		if q.owner != (Peer{}) && (best == nil || less(Distance(p.l.target, q.owner.ID), Distance(p.l.target, best.owner.ID))) {
			best = q
		}
	}
	if best == nil {
		p.l.done(Found{Trace: p.l.trace}, ErrNotFound)
		return
	}
	p.l.done(Found{Owner: best.owner, State: best.answers[best.owner], Hops: best.asked, Trace: p.l.trace}, nil)
}
