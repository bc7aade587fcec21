package store

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/ring"
)

// place is where an item is in the index: by key, then by hash.
type place struct {
	key ring.ID
	id  hash.Hash
}

func (p place) compare(o place) int {
	if c := bytes.Compare(p.key[:], o.key[:]); c != 0 {
		return c
	}
	return bytes.Compare(p.id[:], o.id[:])
}

// Sum is a fingerprint of a set of items: how many, and the sum of their hashes modulo 2^256
// (as Negentropy has it).
type Sum struct {
	_     struct{} `cbor:",toarray"`
	Count uint64
	Total hash.Hash
}

func (s *Sum) add(o Sum) {
	s.Count += o.Count
	var carry uint64
	for i := 24; i >= 0; i -= 8 {
		var word uint64
		word, carry = bits.Add64(binary.BigEndian.Uint64(s.Total[i:]), binary.BigEndian.Uint64(o.Total[i:]), carry)
		binary.BigEndian.PutUint64(s.Total[i:], word)
	}
}

// subtract undoes add.
func (s *Sum) subtract(o Sum) {
	s.Count -= o.Count
	s.Total = ring.Distance(o.Total, s.Total)
}

// index is the items of a shelf in order, as a treap that knows the sum of every subtree: an
// item's hash is also its priority, so equal sets make equal trees.
type index struct{ root *branch }

type branch struct {
	at          place
	left, right *branch
	sum         Sum
}

func (b *branch) total() Sum {
	if b == nil {
		return Sum{}
	}
	return b.sum
}

func (b *branch) fix() *branch {
	b.sum = Sum{Count: 1, Total: b.at.id}
	b.sum.add(b.left.total())
	b.sum.add(b.right.total())
	return b
}

// split parts a tree into what is before a place and the rest.
func split(b *branch, at place) (left, right *branch) {
	switch {
	case b == nil:
		return nil, nil
	case b.at.compare(at) < 0:
		b.right, right = split(b.right, at)
		return b.fix(), right
	default:
		left, b.left = split(b.left, at)
		return left, b.fix()
	}
}

func join(a, b *branch) *branch {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case bytes.Compare(a.at.id[:], b.at.id[:]) > 0:
		a.right = join(a.right, b)
		return a.fix()
	default:
		b.left = join(a, b.left)
		return b.fix()
	}
}

// add puts a place in, if it is not there.
func (x *index) add(at place) {
	left, rest := split(x.root, at)
	same, right := split(rest, at.after())
	if same == nil {
		same = (&branch{at: at}).fix()
	}
	x.root = join(join(left, same), right)
}

// remove takes a place out.
func (x *index) remove(at place) {
	left, rest := split(x.root, at)
	_, right := split(rest, at.after())
	x.root = join(left, right)
}

// after is the next possible place.
func (p place) after() place {
	for i := len(p.id) - 1; i >= 0; i-- {
		if p.id[i]++; p.id[i] != 0 {
			return p
		}
	}
	for i := len(p.key) - 1; i >= 0; i-- {
		if p.key[i]++; p.key[i] != 0 {
			return p
		}
	}
	return p
}

// upTo sums the items with keys up to one.
func (x *index) upTo(key ring.ID) (sum Sum) {
	for b := x.root; b != nil; {
		if bytes.Compare(b.at.key[:], key[:]) <= 0 {
			sum.add(b.left.total())
			sum.add(Sum{Count: 1, Total: b.at.id})
			b = b.right
		} else {
			b = b.left
		}
	}
	return sum
}

// at is the n-th place.
func (x *index) at(n uint64) place {
	b := x.root
	for {
		left := b.left.total().Count
		switch {
		case n < left:
			b = b.left
		case n == left:
			return b.at
		default:
			n, b = n-left-1, b.right
		}
	}
}

// Arc is the keys after one identifier up to and with another, going up around the ring. With
// both the same it is everything.
type Arc struct {
	_        struct{} `cbor:",toarray"`
	From, To ring.ID
}

// Has reports whether a key is on the arc.
func (a Arc) Has(key ring.ID) bool { return a.From == a.To || ring.Owns(a.From, a.To, key) }

// wraps reports whether the arc goes past the highest identifier.
func (a Arc) wraps() bool { return bytes.Compare(a.From[:], a.To[:]) >= 0 }

// sum is the fingerprint of an arc.
func (x *index) sum(a Arc) Sum {
	all := x.root.total()
	if a.From == a.To {
		return all
	}
	s := x.upTo(a.To)
	if a.wraps() {
		s.add(all)
	}
	s.subtract(x.upTo(a.From))
	return s
}

// each calls f with the items of an arc, in order from where it begins, until f returns false.
func (x *index) each(a Arc, f func(place) bool) {
	all := x.root.total().Count
	from := x.upTo(a.From).Count
	for i := range x.sum(a).Count {
		if !f(x.at((from + i) % all)) {
			return
		}
	}
}

// pieces cuts an arc into up to n of about as many items, at least one each.
func (x *index) pieces(a Arc, n uint64) (out []Arc) {
	all, count := x.root.total().Count, x.sum(a).Count
	from, start := x.upTo(a.From).Count, a.From
	for i := uint64(1); i < min(n, count); i++ {
		end := x.at((from + i*count/n) % all).key
		if end != start && end != a.To {
			out, start = append(out, Arc{From: start, To: end}), end
		}
	}
	return append(out, Arc{From: start, To: a.To})
}
