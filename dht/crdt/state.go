package crdt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// What callers decide on.
var (
	// ErrKind means that a value is of another kind.
	ErrKind = errors.New("the value is of another kind")
	// ErrTooLarge means that a state would exceed its caps.
	ErrTooLarge = errors.New("the value is too large")
	// ErrRange means that a counter would overflow.
	ErrRange = errors.New("out of range")
)

// Caps on a state.
const (
	MaxNesting = 4       // maps within maps
	MaxName    = 256     // bytes of a field's name
	MaxData    = 1 << 20 // bytes of a register, an element, or a log entry
)

// Path leads to a value: names of fields from the root down. The empty path is the root.
type Path []string

// State is a value and what it has seen. The zero value is not usable; see [New] and
// [Decode]. It is not safe for concurrent use.
type State struct {
	kind Kind
	ctx  *context
	root *node
}

// New makes an empty state.
func New(k Kind) *State { return &State{kind: k, ctx: newContext(), root: nothing} }

// Kind is the kind of the root.
func (s *State) Kind() Kind { return s.kind }

// Clone copies a state.
func (s *State) Clone() *State { return &State{kind: s.kind, ctx: s.ctx.clone(), root: s.root} }

// Merge takes in another state, or a delta. It is commutative, associative and idempotent.
//
// It returns [ErrKind] if the roots differ in kind.
func (s *State) Merge(o *State) error {
	if s.kind != o.kind {
		return fmt.Errorf("merge a %s into a %s: %w", o.kind, s.kind, ErrKind)
	}
	s.root = merge(s.root, s.ctx, o.root, o.ctx)
	s.ctx.merge(o.ctx)
	return nil
}

// Covers reports whether merging o would change nothing.
func (s *State) Covers(o *State) bool {
	if s.kind != o.kind || !s.ctx.covers(o.ctx) {
		return false
	}
	after := s.Clone()
	return after.Merge(o) == nil && bytes.Equal(after.Encode(), s.Encode())
}

// Has reports whether a change was seen.
func (s *State) Has(d Dot) bool { return s.ctx.has(d) }

// Last is a replica's last change that was seen; its number is 0 if there is none.
func (s *State) Last(r Replica) Dot {
	d := s.ctx.next(r)
	d.Seq--
	return d
}

// Latest is the latest stamp of all that is there.
func (s *State) Latest() (latest Stamp) {
	s.root.dots(func(_ Dot, e entry) {
		if e.stamp.Compare(latest) > 0 {
			latest = e.stamp
		}
	})
	return latest
}

// Writer changes states as a replica. A replica must not change a state that lacks changes
// of its own: it would number two changes alike.
type Writer struct {
	Replica Replica
	Clock   *Clock
}

// fieldsOf turns a path to a value of a kind into fields.
func (s *State) fieldsOf(path Path, k Kind) ([]field, error) {
	if len(path) == 0 {
		if s.kind != k {
			return nil, fmt.Errorf("the root is a %s, not a %s: %w", s.kind, k, ErrKind)
		}
		return nil, nil
	}
	if s.kind != Map {
		return nil, fmt.Errorf("the root is a %s and has no fields: %w", s.kind, ErrKind)
	}
	if len(path) > MaxNesting {
		return nil, fmt.Errorf("path of %d names, at most %d: %w", len(path), MaxNesting, ErrTooLarge)
	}
	out := make([]field, len(path))
	for i, name := range path {
		if err := checkName(name); err != nil {
			return nil, err
		}
		out[i] = field{name, Map}
	}
	out[len(out)-1].kind = k
	return out, nil
}

// change puts an entry at a path, if it is not nil, in the place of others, and returns the
// delta.
func (s *State) change(w Writer, path []field, instead []Dot, put *entry) *State {
	delta := New(s.kind)
	for _, d := range instead {
		delta.ctx.add(d)
	}
	if put != nil {
		d := s.ctx.next(w.Replica)
		delta.ctx.add(d)
		delta.root = wrap(path, &node{entries: map[Dot]entry{d: *put}})
	}
	delta.ctx.compact()
	_ = s.Merge(delta) // of its own kind
	return delta
}

func checkData(data []byte) error {
	if len(data) > MaxData {
		return fmt.Errorf("%d bytes, at most %d: %w", len(data), MaxData, ErrTooLarge)
	}
	return nil
}

// entriesAt are the entries at a path.
func (s *State) entriesAt(path []field) *node {
	if n := s.root.at(path); n != nil {
		return n
	}
	return nothing
}

// Write sets a register and returns the delta.
func (s *State) Write(w Writer, now time.Time, path Path, value []byte) (*State, error) {
	at, err := s.fieldsOf(path, Register)
	if err == nil {
		err = checkData(value)
	}
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return s.change(w, at, s.entriesAt(at).sortedDots(), &entry{stamp: w.Clock.Tick(now), data: bytes.Clone(value)}), nil
}

// Increment adds to a counter, or subtracts, and returns the delta.
func (s *State) Increment(w Writer, now time.Time, path Path, by int64) (*State, error) {
	at, err := s.fieldsOf(path, Counter)
	if err != nil {
		return nil, fmt.Errorf("increment: %w", err)
	}
	var own entry
	var instead []Dot
	for d, e := range s.entriesAt(at).entries {
		if d.Replica == w.Replica {
			instead = append(instead, d)
			own.inc, own.dec = max(own.inc, e.inc), max(own.dec, e.dec)
		}
	}
	step, total := uint64(by), &own.inc
	if by < 0 {
		step, total = -step, &own.dec
	}
	if *total > math.MaxInt64-min(step, math.MaxInt64) || step > math.MaxInt64 {
		return nil, fmt.Errorf("increment by %d: %w", by, ErrRange)
	}
	*total += step
	own.stamp = w.Clock.Tick(now)
	return s.change(w, at, instead, &own), nil
}

// Add puts an element into a set and returns the delta.
func (s *State) Add(w Writer, now time.Time, path Path, element []byte) (*State, error) {
	at, err := s.fieldsOf(path, Set)
	if err == nil {
		err = checkData(element)
	}
	if err != nil {
		return nil, fmt.Errorf("add: %w", err)
	}
	return s.change(w, at, s.dotsOf(at, element), &entry{stamp: w.Clock.Tick(now), data: bytes.Clone(element)}), nil
}

// Remove takes an element out of a set, as far as this replica has seen it, and returns the
// delta.
func (s *State) Remove(w Writer, path Path, element []byte) (*State, error) {
	at, err := s.fieldsOf(path, Set)
	if err != nil {
		return nil, fmt.Errorf("remove: %w", err)
	}
	return s.change(w, at, s.dotsOf(at, element), nil), nil
}

func (s *State) dotsOf(at []field, element []byte) (out []Dot) {
	for d, e := range s.entriesAt(at).entries {
		if bytes.Equal(e.data, element) {
			out = append(out, d)
		}
	}
	return out
}

// Append adds an entry to a log and returns the delta.
func (s *State) Append(w Writer, now time.Time, path Path, data []byte) (*State, error) {
	at, err := s.fieldsOf(path, Log)
	if err == nil {
		err = checkData(data)
	}
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	return s.change(w, at, nil, &entry{stamp: w.Clock.Tick(now), data: bytes.Clone(data)}), nil
}

// Delete removes the field at a path with all that is in it, as far as this replica has seen
// it; the empty path empties the root. It returns the delta.
func (s *State) Delete(w Writer, path Path, k Kind) (*State, error) {
	at, err := s.fieldsOf(path, k)
	if err != nil {
		return nil, fmt.Errorf("delete: %w", err)
	}
	var all []Dot
	s.entriesAt(at).dots(func(d Dot, _ entry) { all = append(all, d) })
	return s.change(w, at, all, nil), nil
}

// Value returns a register's value: of concurrent writes the latest. It is false if
// nothing was written.
func (s *State) Value(path Path) ([]byte, bool) {
	ordered := s.ordered(path, Register)
	if len(ordered) == 0 {
		return nil, false
	}
	return bytes.Clone(ordered[len(ordered)-1].data), true
}

// Count returns a counter's value.
func (s *State) Count(path Path) int64 {
	var inc, dec uint64 // sums of totals below 2^63 may wrap: the difference is right
	for _, e := range s.ordered(path, Counter) {
		inc, dec = inc+e.inc, dec+e.dec
	}
	return int64(inc - dec)
}

// Elements lists a set's elements in order of their bytes.
func (s *State) Elements(path Path) (out [][]byte) {
	for _, e := range s.ordered(path, Set) {
		out = append(out, e.data)
	}
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal)
}

// Logged is an entry of a log.
type Logged struct {
	Stamp   Stamp
	Replica Replica
	Data    []byte
}

// Entries lists a log in its order.
func (s *State) Entries(path Path) (out []Logged) {
	for _, e := range s.ordered(path, Log) {
		out = append(out, Logged{e.stamp, e.dot.Replica, e.data})
	}
	return out
}

type placed struct {
	entry
	dot Dot
}

// ordered lists the entries at a path by stamp, replica and number.
func (s *State) ordered(path Path, k Kind) []placed {
	at, err := s.fieldsOf(path, k)
	if err != nil {
		return nil
	}
	var out []placed
	for d, e := range s.entriesAt(at).entries {
		out = append(out, placed{e, d})
	}
	slices.SortFunc(out, func(a, b placed) int { return cmp.Or(a.stamp.Compare(b.stamp), a.dot.Compare(b.dot)) })
	return out
}

// Field is a field of a map.
type Field struct {
	Name string
	Kind Kind
}

// Fields lists the fields of a map, by name and kind.
func (s *State) Fields(path Path) (out []Field) {
	at, err := s.fieldsOf(path, Map)
	if err != nil {
		return nil
	}
	for _, f := range s.entriesAt(at).sortedFields() {
		out = append(out, Field{f.name, f.kind})
	}
	return out
}
