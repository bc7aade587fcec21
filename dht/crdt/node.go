package crdt

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// Kind is what a value is.
type Kind uint8

// The kinds. Values are part of the encoding and are never reused.
const (
	Register Kind = 1 // the last write wins: by stamp, then replica
	Counter  Kind = 2 // sum of increments and decrements
	Set      Kind = 3 // an element that is added and removed at once stays
	Log      Kind = 4 // entries are appended, and ordered by stamp
	Map      Kind = 5 // named fields of any kind; one that is changed and removed at once keeps the change
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Register:
		return "register"
	case Counter:
		return "counter"
	case Set:
		return "set"
	case Log:
		return "log"
	case Map:
		return "map"
	}
	return "unknown"
}

func (k Kind) valid() bool { return k >= Register && k <= Map }

// field is a name in a map. Fields of one name and different kinds are different fields: two
// replicas may have made them at once.
type field struct {
	name string
	kind Kind
}

func (f field) compare(o field) int {
	return cmp.Or(cmp.Compare(f.name, o.name), cmp.Compare(f.kind, o.kind))
}

// entry is what a change put there.
type entry struct {
	stamp    Stamp
	data     []byte // of a register, element or log entry
	inc, dec uint64 // of a counter: the replica's totals
}

// prefer picks one of two entries under one dot, which an honest replica never makes.
func (e entry) prefer(o entry) entry {
	if cmp.Or(e.stamp.Compare(o.stamp), bytes.Compare(e.data, o.data), cmp.Compare(e.inc, o.inc), cmp.Compare(e.dec, o.dec)) >= 0 {
		return e
	}
	return o
}

// node is a value: entries of all kinds but maps, or a map's fields. Nodes are not changed
// once they are part of a state.
type node struct {
	entries map[Dot]entry
	fields  map[field]*node
}

var nothing = &node{}

func (n *node) empty() bool { return len(n.entries)+len(n.fields) == 0 }

// merge joins two values. What only one has stays unless the other has seen it.
func merge(a *node, ca *context, b *node, cb *context) *node {
	out := &node{}
	if len(a.entries)+len(b.entries) > 0 {
		out.entries = make(map[Dot]entry, len(a.entries)+len(b.entries))
		for d, e := range a.entries {
			if other, both := b.entries[d]; both {
				out.entries[d] = e.prefer(other)
			} else if !cb.has(d) {
				out.entries[d] = e
			}
		}
		for d, e := range b.entries {
			if _, both := a.entries[d]; !both && !ca.has(d) {
				out.entries[d] = e
			}
		}
	}
	if len(a.fields)+len(b.fields) > 0 {
		out.fields = map[field]*node{}
		for f := range union(a.fields, b.fields) {
			if n := merge(cmp.Or(a.fields[f], nothing), ca, cmp.Or(b.fields[f], nothing), cb); !n.empty() {
				out.fields[f] = n
			}
		}
	}
	return out
}

func union(a, b map[field]*node) map[field]struct{} {
	all := make(map[field]struct{}, len(a)+len(b))
	for f := range a {
		all[f] = struct{}{}
	}
	for f := range b {
		all[f] = struct{}{}
	}
	return all
}

// dots calls f with all changes of the value.
func (n *node) dots(f func(Dot, entry)) {
	for d, e := range n.entries {
		f(d, e)
	}
	for _, child := range n.fields {
		child.dots(f)
	}
}

// at follows a path down; nil if there is nothing.
func (n *node) at(path []field) *node {
	for _, f := range path {
		if n = n.fields[f]; n == nil {
			return nil
		}
	}
	return n
}

// wrap makes a value that has n at a path.
func wrap(path []field, n *node) *node {
	for _, f := range slices.Backward(path) {
		n = &node{fields: map[field]*node{f: n}}
	}
	return n
}

// sortedDots lists the changes of a value's own entries.
func (n *node) sortedDots() []Dot { return slices.SortedFunc(maps.Keys(n.entries), Dot.Compare) }

func (n *node) sortedFields() []field {
	return slices.SortedFunc(maps.Keys(n.fields), field.compare)
}
