package crdt

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// Replica names who changes states: a device or node, not a person, since two that share a
// name would contradict each other.
type Replica [16]byte

// Dot is one change: the replica's Seq-th, from 1.
type Dot struct {
	Replica Replica
	Seq     uint64
}

// Compare orders dots.
func (d Dot) Compare(o Dot) int {
	return cmp.Or(bytes.Compare(d.Replica[:], o.Replica[:]), cmp.Compare(d.Seq, o.Seq))
}

// context is the changes that a state has seen: for each replica all up to a number, and
// loose ones above.
type context struct {
	upTo  map[Replica]uint64
	loose map[Dot]struct{}
}

func newContext() *context {
	return &context{upTo: map[Replica]uint64{}, loose: map[Dot]struct{}{}}
}

func (c *context) has(d Dot) bool {
	if d.Seq <= c.upTo[d.Replica] {
		return true
	}
	_, ok := c.loose[d]
	return ok
}

// next is a replica's next change.
func (c *context) next(r Replica) Dot {
	highest := c.upTo[r]
	for d := range c.loose {
		if d.Replica == r {
			highest = max(highest, d.Seq)
		}
	}
	return Dot{r, highest + 1}
}

func (c *context) add(d Dot) {
	if !c.has(d) {
		c.loose[d] = struct{}{}
	}
}

// compact takes loose changes in that follow on.
func (c *context) compact() {
	for _, d := range slices.SortedFunc(maps.Keys(c.loose), Dot.Compare) {
		switch upTo := c.upTo[d.Replica]; {
		case d.Seq <= upTo:
			delete(c.loose, d)
		case d.Seq == upTo+1:
			c.upTo[d.Replica] = d.Seq
			delete(c.loose, d)
		}
	}
}

func (c *context) merge(o *context) {
	for r, seq := range o.upTo {
		c.upTo[r] = max(c.upTo[r], seq)
	}
	for d := range o.loose {
		c.loose[d] = struct{}{}
	}
	c.compact()
}

func (c *context) clone() *context {
	return &context{upTo: maps.Clone(c.upTo), loose: maps.Clone(c.loose)}
}

// covers reports whether everything that o has seen was seen.
func (c *context) covers(o *context) bool {
	for r, seq := range o.upTo {
		if c.upTo[r] < seq && !c.coversAbove(r, seq) {
			return false
		}
	}
	for d := range o.loose {
		if !c.has(d) {
			return false
		}
	}
	return true
}

func (c *context) coversAbove(r Replica, seq uint64) bool {
	for n := c.upTo[r] + 1; n <= seq; n++ {
		if _, ok := c.loose[Dot{r, n}]; !ok {
			return false
		}
	}
	return true
}
