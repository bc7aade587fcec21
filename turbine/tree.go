package turbine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
)

// Index is a member's place in its group.
type Index int

// Nobody is no member.
const Nobody Index = -1

// Member is one of a group.
type Member struct {
	Sender fec.Sender
	Key    []byte // Ed25519, 32 bytes: signs its payloads
	Stake  uint64 // how often it relays; 0 counts as 1
}

// ErrGroup means that a group cannot be.
var ErrGroup = errors.New("bad group")

// Group is who takes part, agreed on by all: the trees follow from it. It is immutable.
type Group struct {
	members  []Member
	bySender map[fec.Sender]Index
}

// MaxMembers is the largest group.
const MaxMembers = 1 << 16

// NewGroup makes a group. All members must list it in the same order.
func NewGroup(members []Member) (*Group, error) {
	if len(members) < 2 || len(members) > MaxMembers {
		return nil, fmt.Errorf("%w: %d members: want 2 to %d", ErrGroup, len(members), MaxMembers)
	}
	g := &Group{members: append([]Member{}, members...), bySender: make(map[fec.Sender]Index, len(members))}
	var total uint64
	for i := range g.members {
		m := &g.members[i]
		m.Stake = max(m.Stake, 1)
		sum, carry := bits.Add64(total, m.Stake, 0)
		if carry != 0 {
			return nil, fmt.Errorf("%w: stakes overflow", ErrGroup)
		}
		total = sum
		if _, twice := g.bySender[m.Sender]; twice {
			return nil, fmt.Errorf("%w: member %d is there twice", ErrGroup, i)
		}
		g.bySender[m.Sender] = Index(i)
	}
	return g, nil
}

// Len is the number of members.
func (g *Group) Len() int { return len(g.members) }

// At is a member.
func (g *Group) At(i Index) Member { return g.members[i] }

// Find returns the place of a sender.
func (g *Group) Find(s fec.Sender) (Index, bool) {
	i, ok := g.bySender[s]
	return i, ok
}

// Tree says who relays the shreds of one set to whom.
type Tree struct {
	order  []Index         // all but the sender, shuffled
	place  map[Index]int32 // in order
	fanout int
}

// Tree shuffles the group for a set. The members with larger stakes tend to come first.
func (g *Group) Tree(chain hash.Hash, place fec.Place, fanout int) *Tree {
	sender, known := g.bySender[place.Sender]
	if !known {
		sender = Nobody
	}
	t := &Tree{fanout: fanout, place: make(map[Index]int32, len(g.members))}
	s := newShuffle(g, chain, place)
	if known {
		s.remove(sender)
	}
	for s.total > 0 {
		i := s.draw()
		t.place[i] = int32(len(t.order))
		t.order = append(t.order, i)
	}
	return t
}

// Root is whom the sender sends a shred to.
func (t *Tree) Root(shred int) Index { return t.order[shred%len(t.order)] }

// Children appends to out whom a member passes a shred on to.
//
// In the order of the shred's tree, position 0 is the root and the layers follow: the
// second begins at 1 with fanout members, the third has fanout² of them. The member at
// offset q of a layer of w has the offsets q, q+w, q+2w, ... of the next.
//
// The order is that of the shuffle, begun at the root and walked in steps of a length that
// differs from shred to shred: were it one, a member would have the same parent for nearly
// all shreds of a set, and lose them all with it.
func (t *Tree) Children(shred int, of Index, out []Index) []Index {
	at, ok := t.place[of]
	if !ok {
		return out
	}
	n := len(t.order)
	root := shred % n
	position, step := t.walk(shred, int(at))
	begin, width := 0, 1
	for position >= begin+width {
		begin, width = begin+width, width*t.fanout
	}
	child := begin + width + (position - begin)
	for range t.fanout {
		if child >= n {
			break
		}
		out = append(out, t.order[(root+child*step)%n])
		child += width
	}
	return out
}

// Parent is who passes a shred on to a member. It is false for the root, who has it from the
// sender, and for the sender.
func (t *Tree) Parent(shred int, of Index) (Index, bool) {
	at, ok := t.place[of]
	if !ok {
		return 0, false
	}
	position, step := t.walk(shred, int(at))
	if position == 0 {
		return 0, false
	}
	before, begin, width := 0, 0, 1
	for position >= begin+width {
		before, begin, width = begin, begin+width, width*t.fanout
	}
	n := len(t.order)
	parent := before + (position-begin)%(begin-before)
	return t.order[(shred%n+parent*step)%n], true
}

// walk returns a member's position in the order of a shred's tree, and the length of the
// steps of that order.
func (t *Tree) walk(shred, at int) (position, step int) {
	n := len(t.order)
	if n < 3 {
		return (at - shred%n + n) % n, 1
	}
	step = 1 + int(uint32(shred)*2654435761)%(n-1)
	for {
		// at = root + position*step, so that position = (at-root)/step modulo n.
		if inverse, ok := invert(step, n); ok {
			return (at - shred%n + n) % n * inverse % n, step
		}
		step = step%(n-1) + 1
	}
}

// invert finds x with a*x = 1 modulo n, by Euclid's algorithm.
func invert(a, n int) (x int, ok bool) {
	r, next, t, after := n, a, 0, 1
	for next != 0 {
		q := r / next
		r, next = next, r-q*next
		t, after = after, t-q*after
	}
	return (t%n + n) % n, r == 1
}

// Depth is how many hops a shred makes at most.
func (t *Tree) Depth() int { return Depth(len(t.order)+1, t.fanout) }

// Depth is how many hops a shred makes at most in a group of a size.
func Depth(members, fanout int) int {
	hops, covered, width := 1, 1, 1
	for covered < members-1 {
		width *= fanout
		covered += width
		hops++
	}
	return hops
}

// shuffle draws members without replacement, each with a probability in proportion to its
// stake: a Fenwick tree over the stakes, and numbers from a hash.
type shuffle struct {
	sums  []uint64 // 1-based
	stake []uint64
	total uint64
	seed  hash.Hash
	block hash.Hash
	used  int
	count uint64
}

func newShuffle(g *Group, chain hash.Hash, p fec.Place) *shuffle {
	n := len(g.members)
	s := &shuffle{sums: make([]uint64, n+1), stake: make([]uint64, n), used: hash.Size}
	for i, m := range g.members {
		s.stake[i] = m.Stake
		s.total += m.Stake
		s.sums[i+1] += m.Stake
		if up := i + 1 + (i+1)&-(i+1); up <= n {
			s.sums[up] += s.sums[i+1]
		}
	}
	var place [21]byte
	place[0] = byte(p.Channel)
	binary.BigEndian.PutUint64(place[1:], uint64(p.Sender))
	binary.BigEndian.PutUint64(place[9:], p.Slot)
	binary.BigEndian.PutUint32(place[17:], p.Set)
	s.seed = hash.Sum("starling/turbine/tree", chain[:], place[:])
	return s
}

// below returns a number below n. The bias is at most n/2^64.
func (s *shuffle) below(n uint64) uint64 {
	if s.used == hash.Size {
		var count [8]byte
		binary.BigEndian.PutUint64(count[:], s.count)
		s.block, s.used = hash.Sum("starling/turbine/draw", s.seed[:], count[:]), 0
		s.count++
	}
	x := binary.BigEndian.Uint64(s.block[s.used:])
	s.used += 8
	high, _ := bits.Mul64(x, n)
	return high
}

// draw takes one member out.
func (s *shuffle) draw() Index {
	want, at := s.below(s.total), 0
	for step := 1 << (bits.Len(uint(len(s.stake))) - 1); step > 0; step /= 2 {
		if at+step <= len(s.stake) && s.sums[at+step] <= want {
			at += step
			want -= s.sums[at]
		}
	}
	s.remove(Index(at))
	return Index(at)
}

func (s *shuffle) remove(i Index) {
	stake := s.stake[i]
	s.stake[i] = 0
	s.total -= stake
	for at := int(i) + 1; at < len(s.sums); at += at & -at {
		s.sums[at] -= stake
	}
}
