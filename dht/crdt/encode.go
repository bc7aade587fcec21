package crdt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/starlingmesh/starling/canon"
)

// ErrState is wrapped by every refusal of an encoded state.
var ErrState = errors.New("malformed state")

type wireState struct {
	_    struct{} `cbor:",toarray"`
	Kind Kind
	UpTo []wireDot // ascending, one a replica
	More []wireDot // ascending, what was seen beyond
	Root canon.Raw
}

type wireDot struct {
	_       struct{} `cbor:",toarray"`
	Replica Replica
	Seq     uint64
}

type wireEntry struct {
	_       struct{} `cbor:",toarray"`
	Replica Replica
	Seq     uint64
	Stamp   Stamp
	Data    []byte
	Inc     uint64
	Dec     uint64
}

type wireField struct {
	_    struct{} `cbor:",toarray"`
	Name string
	Kind Kind
	Node canon.Raw
}

// Encode returns the one encoding of the state.
func (s *State) Encode() []byte {
	w := wireState{Kind: s.kind, UpTo: []wireDot{}, More: []wireDot{}, Root: s.root.encode(s.kind)}
	for r, seq := range s.ctx.upTo {
		w.UpTo = append(w.UpTo, wireDot{Replica: r, Seq: seq})
	}
	slices.SortFunc(w.UpTo, func(a, b wireDot) int { return a.dot().Compare(b.dot()) })
	for _, d := range slices.SortedFunc(maps.Keys(s.ctx.loose), Dot.Compare) {
		w.More = append(w.More, wireDot{Replica: d.Replica, Seq: d.Seq})
	}
	return canon.MustMarshal(w)
}

func (w wireDot) dot() Dot { return Dot{w.Replica, w.Seq} }

func (n *node) encode(k Kind) canon.Raw {
	if k == Map {
		fields := []wireField{}
		for _, f := range n.sortedFields() {
			fields = append(fields, wireField{Name: f.name, Kind: f.kind, Node: n.fields[f].encode(f.kind)})
		}
		return canon.MustMarshal(fields)
	}
	entries := []wireEntry{}
	for _, d := range n.sortedDots() {
		e := n.entries[d]
		data := e.data
		if data == nil {
			data = []byte{}
		}
		entries = append(entries, wireEntry{Replica: d.Replica, Seq: d.Seq, Stamp: e.stamp, Data: data, Inc: e.inc, Dec: e.dec})
	}
	return canon.MustMarshal(entries)
}

// Decode reads what [State.Encode] wrote, up to a size in bytes. It refuses everything that
// no sequence of changes and merges makes, so that one state has one encoding; errors
// wrap [ErrState] or [ErrTooLarge].
func Decode(raw []byte, most int) (*State, error) {
	if len(raw) > most {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(raw), most)
	}
	var w wireState
	if err := canon.Unmarshal(raw, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if !w.Kind.valid() || w.UpTo == nil || w.More == nil {
		return nil, fmt.Errorf("%w: of kind %d", ErrState, w.Kind)
	}
	s := New(w.Kind)
	if err := s.ctx.decode(w); err != nil {
		return nil, err
	}
	d := decoder{ctx: s.ctx, seen: map[Dot]struct{}{}}
	var err error
	s.root, err = d.node(w.Root, w.Kind, 0)
	return s, err
}

func (c *context) decode(w wireState) error {
	var last Dot
	for i, d := range w.UpTo {
		if d.Seq == 0 || i > 0 && last.Compare(d.dot()) >= 0 || i > 0 && last.Replica == d.Replica {
			return fmt.Errorf("%w: replicas out of order", ErrState)
		}
		c.upTo[d.Replica], last = d.Seq, d.dot()
	}
	for i, d := range w.More {
		if d.Seq <= c.upTo[d.Replica]+1 || i > 0 && last.Compare(d.dot()) >= 0 {
			return fmt.Errorf("%w: changes out of order", ErrState)
		}
		c.loose[d.dot()], last = struct{}{}, d.dot()
	}
	return nil
}

// decoder reads the nodes of a state.
type decoder struct {
	ctx  *context
	seen map[Dot]struct{}
}

func (d *decoder) node(raw canon.Raw, k Kind, depth int) (*node, error) {
	if k == Map {
		return d.fields(raw, depth)
	}
	var entries []wireEntry
	if err := canon.Unmarshal(raw, &entries); err != nil || entries == nil {
		return nil, fmt.Errorf("%w: entries: %w", ErrState, err)
	}
	n := &node{}
	var last Dot
	for i, w := range entries {
		dot := Dot{w.Replica, w.Seq}
		if i > 0 && last.Compare(dot) >= 0 || !d.ctx.has(dot) || w.Seq == 0 {
			return nil, fmt.Errorf("%w: entries out of order, or not seen", ErrState)
		}
		if _, twice := d.seen[dot]; twice {
			return nil, fmt.Errorf("%w: one change in two places", ErrState)
		}
		if w.Data == nil || len(w.Data) > MaxData || k == Counter && len(w.Data) > 0 || k != Counter && w.Inc|w.Dec != 0 {
			return nil, fmt.Errorf("%w: an entry that no %s has", ErrState, k)
		}
		if n.entries == nil {
			n.entries = map[Dot]entry{}
		}
		d.seen[dot] = struct{}{}
		n.entries[dot], last = entry{stamp: w.Stamp, data: w.Data, inc: w.Inc, dec: w.Dec}, dot
	}
	return n, nil
}

func (d *decoder) fields(raw canon.Raw, depth int) (*node, error) {
	var fields []wireField
	if err := canon.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("%w: fields: %w", ErrState, err)
	}
	if len(fields) > 0 && depth >= MaxNesting {
		return nil, fmt.Errorf("%w: maps nested deeper than %d", ErrTooLarge, MaxNesting)
	}
	n := &node{}
	var last field
	for i, w := range fields {
		f := field{w.Name, w.Kind}
		if err := checkName(w.Name); err != nil || !w.Kind.valid() || i > 0 && last.compare(f) >= 0 {
			return nil, fmt.Errorf("%w: fields out of order, or of no kind: %w", ErrState, err)
		}
		child, err := d.node(w.Node, w.Kind, depth+1)
		if err != nil {
			return nil, err
		}
		if child.empty() {
			return nil, fmt.Errorf("%w: a field with nothing in it", ErrState)
		}
		if n.fields == nil {
			n.fields = map[field]*node{}
		}
		n.fields[f], last = child, f
	}
	return n, nil
}

func checkName(name string) error {
	if len(name) == 0 || len(name) > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: a field's name is text of 1 to %d bytes", ErrTooLarge, MaxName)
	}
	return nil
}
