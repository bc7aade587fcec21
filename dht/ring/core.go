package ring

import (
	"errors"
	"fmt"
	"slices"
)

// DefaultSuccessors is how many successors are known at least: the ring holds together as
// long as not all of anybody's fail before it stabilises.
const DefaultSuccessors = 8

// What callers decide on.
var (
	// ErrSmall means that a ring cannot begin with so few members.
	ErrSmall = errors.New("too few members to begin a ring")
	// ErrMember means that the core is a member already.
	ErrMember = errors.New("already a member of the ring")
)

// State is what a member tells of itself.
type State struct {
	Predecessor Peer // zero if it knows none
	Successors  []Peer
	// Before are who comes before the predecessor, the nearest first, as heard. Nothing
	// that keeps the ring together depends on them.
	Before []Peer
}

// Effect is something to be done: one of [Ask], [Tell], [Joined].
type Effect interface{ effect() }

// Ask asks a member for its state. The answer is handed to [Core.Answered], or, if none
// comes in time, its failure to [Core.Failed]. One question at a time is under way.
type Ask struct{ To Peer }

// Tell tells a member of this one, who is its predecessor as far as it knows. Nothing comes
// back; it may get lost.
type Tell struct{ To Peer }

// Joined says that the core has become a member.
type Joined struct{}

// Seek asks for a lookup of the own identifier that begins with a member of what may be
// another ring; what it finds goes to [Core.Join].
type Seek struct{ Via Peer }

func (Seek) effect()   {}
func (Ask) effect()    {}
func (Tell) effect()   {}
func (Joined) effect() {}

// Core is one peer's part in the ring. It is not safe for concurrent use.
type Core struct {
	self   Peer
	length int // of the successor list
	member bool
	state  State
	doing  step
	asked  Peer // zero if no question is under way
	rules  rules
}

// step is what a question is for.
type step uint8

const (
	idle       step = iota
	joining         // asked the successor-to-be
	stabilised      // asked the successor
	candidate       // asked who the successor says is before it
	checking        // asked the predecessor whether it is there
	offered         // asked somebody who was heard of elsewhere
)

// rules can be taken out by tests, one by one, to see that each is needed.
type rules struct{ trustCandidate, keepPredecessor, shortLists bool }

// New makes a core that knows length successors; 0 is DefaultSuccessors.
func New(self Peer, length int) *Core {
	if length == 0 {
		length = DefaultSuccessors
	}
	return &Core{self: self, length: length}
}

// Member reports whether the core is part of the ring.
func (c *Core) Member() bool { return c.member }

// State is what the core tells others who ask.
func (c *Core) State() State {
	return State{c.state.Predecessor, slices.Clone(c.state.Successors), slices.Clone(c.state.Before)}
}

// Start makes the core a ring of its own, for others to join, or to find others by
// [Core.Offer]. Until there are more members than a list is long, the rules that keep a ring
// together have nothing to work with: nodes should not fail meanwhile.
func (c *Core) Start() error {
	if c.member {
		return ErrMember
	}
	c.member = true
	return nil
}

// Begin makes the core one of the first members of a ring, which all begin with the same
// list, in any order, this one included.
//
// It returns [ErrSmall] if there are fewer than the length of the successor list and one.
func (c *Core) Begin(first []Peer) error {
	if c.member {
		return ErrMember
	}
	if len(first) <= c.length {
		return fmt.Errorf("%w: %d, want %d", ErrSmall, len(first), c.length+1)
	}
	order := slices.Clone(first)
	slices.SortFunc(order, func(a, b Peer) int { return slices.Compare(a.ID[:], b.ID[:]) })
	at := slices.Index(order, c.self)
	if at < 0 {
		return fmt.Errorf("begin a ring of others: %w", ErrSmall)
	}
	for i := range c.length {
		c.state.Successors = append(c.state.Successors, order[(at+1+i)%len(order)])
	}
	c.state.Predecessor = order[(at+len(order)-1)%len(order)]
	c.member = true
	return nil
}

// Join begins to join behind the member that was found to come next, by a lookup of the own
// identifier. If that fails, [Core.Member] stays false and a lookup is due again. A member
// joins again only behind somebody who comes before its successor.
func (c *Core) Join(successor Peer) []Effect {
	if c.doing != idle || successor == c.self || c.member && !c.closer(successor) {
		return nil
	}
	return c.ask(successor, joining)
}

// closer reports whether somebody would be the successor.
func (c *Core) closer(p Peer) bool {
	return p != c.self && (len(c.state.Successors) == 0 || between(c.self.ID, p.ID, c.state.Successors[0].ID))
}

// Offer tells of somebody who was heard of elsewhere and may be a member, perhaps of a ring
// that began or came apart on its own. With a full list of successors the core looks whether
// it should come next; with less, it joins where that one is.
func (c *Core) Offer(p Peer) []Effect {
	if !c.member || c.doing != idle || !c.closer(p) {
		return nil
	}
	if len(c.state.Successors) < c.length {
		return []Effect{Seek{p}}
	}
	return c.ask(p, offered)
}

// Left takes a member's word that it leaves.
func (c *Core) Left(p Peer) []Effect {
	c.state.Before = slices.DeleteFunc(c.state.Before, func(b Peer) bool { return b == p })
	if c.state.Predecessor == p {
		c.state.Predecessor = Peer{}
	}
	switch {
	case c.doing != idle && c.asked == p:
		return c.Failed(p)
	case slices.Contains(c.state.Successors, p):
		c.state.Successors = slices.DeleteFunc(c.state.Successors, func(s Peer) bool { return s == p })
		return c.Stabilise() // which makes the list full again
	}
	return nil
}

// Stabilise asks the successor, if nothing else is under way. It should be called every few
// seconds, and soon after Failed.
func (c *Core) Stabilise() []Effect {
	if !c.member || c.doing != idle || len(c.state.Successors) == 0 {
		return nil
	}
	return c.ask(c.state.Successors[0], stabilised)
}

// CheckPredecessor asks the predecessor whether it is there, if nothing else is under way.
func (c *Core) CheckPredecessor() []Effect {
	if !c.member || c.doing != idle || c.state.Predecessor == (Peer{}) {
		return nil
	}
	return c.ask(c.state.Predecessor, checking)
}

func (c *Core) ask(to Peer, why step) []Effect {
	c.doing, c.asked = why, to
	return []Effect{Ask{to}}
}

// Answered takes the answer to the question that is under way. Others are ignored.
func (c *Core) Answered(from Peer, s State) []Effect {
	if from != c.asked || c.doing == idle {
		return nil
	}
	why := c.doing
	c.doing, c.asked = idle, Peer{}
	switch why {
	case joining:
		return c.joined(from, s)
	case stabilised:
		c.adopt(from, s)
		if p := s.Predecessor; p != (Peer{}) && between(c.self.ID, p.ID, from.ID) {
			if c.rules.trustCandidate {
				c.state.Successors = c.list(p, c.state.Successors)
				return []Effect{Tell{p}}
			}
			return c.ask(p, candidate) // adopted only if it is there
		}
		return []Effect{Tell{from}}
	case candidate:
		c.adopt(from, s)
		return []Effect{Tell{from}}
	case offered:
		// Whoever knows only a few is about to join somewhere itself.
		if len(s.Successors) < c.length || !c.closer(from) {
			return nil
		}
		c.adopt(from, s)
		return []Effect{Tell{from}}
	case checking:
		if from == c.state.Predecessor {
			c.state.Before = c.before(from, append([]Peer{s.Predecessor}, s.Before...))
		}
	case idle:
	}
	return nil
}

func (c *Core) joined(successor Peer, s State) []Effect {
	if p := s.Predecessor; p != (Peer{}) && between(c.self.ID, p.ID, successor.ID) {
		return c.ask(p, joining) // it has come in between: to join here would skip it
	}
	if c.member && !c.closer(successor) {
		return nil
	}
	c.member = true
	c.adopt(successor, s)
	if c.rules.shortLists {
		c.state.Successors = c.state.Successors[:1]
	}
	return []Effect{Joined{}, Tell{successor}}
}

// adopt takes a live member as the successor, and what follows it.
func (c *Core) adopt(successor Peer, s State) { c.state.Successors = c.list(successor, s.Successors) }

// list is a successor list that begins with a member: what follows, in the order of the
// ring and up to this core, until it is full.
func (c *Core) list(first Peer, follow []Peer) []Peer {
	out := []Peer{first}
	for _, p := range follow {
		if len(out) == c.length || p == c.self || !between(out[len(out)-1].ID, p.ID, c.self.ID) {
			break
		}
		out = append(out, p)
	}
	return out
}

// before is what comes before a member, in the order of the ring and down to this core.
func (c *Core) before(last Peer, more []Peer) (out []Peer) {
	for _, p := range more {
		if len(out) == c.length || p == (Peer{}) || p == c.self || !between(c.self.ID, p.ID, last.ID) {
			break
		}
		out, last = append(out, p), p
	}
	return out
}

// Failed says that no answer came to the question that is under way.
func (c *Core) Failed(to Peer) []Effect {
	if to != c.asked || c.doing == idle {
		return nil
	}
	why := c.doing
	c.doing, c.asked = idle, Peer{}
	switch why {
	case stabilised:
		if len(c.state.Successors) > 0 && c.state.Successors[0] == to {
			c.state.Successors = c.state.Successors[1:] // with none left, only an offer helps
		}
		return c.Stabilise()
	case candidate:
		if len(c.state.Successors) > 0 {
			return []Effect{Tell{c.state.Successors[0]}}
		}
	case checking:
		if !c.rules.keepPredecessor {
			c.state.Predecessor = Peer{}
		}
	case joining, offered, idle:
	}
	return nil
}

// Told takes the word of a member that this one is its successor: it rectifies the
// predecessor. If another one is closer, it is asked whether it is there; if it is not, the
// member is taken when it tells again.
func (c *Core) Told(by Peer) []Effect {
	if !c.member || by == c.self {
		return nil
	}
	p := c.state.Predecessor
	if p == (Peer{}) || between(p.ID, by.ID, c.self.ID) {
		c.state.Before = c.before(by, append([]Peer{p}, c.state.Before...))
		c.state.Predecessor = by
		if len(c.state.Successors) == 0 {
			return c.Offer(by) // somebody has found this one, alone as it is
		}
		return nil
	}
	if p != by {
		return c.CheckPredecessor()
	}
	return nil
}
