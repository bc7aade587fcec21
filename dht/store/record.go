package store

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/crdt"
)

// Record is a record as somebody sees it who may read it.
type Record struct {
	Ref    Ref
	Header *Header
	State  *crdt.State
	Digest hash.Hash // of the items, as holders tell it
	parts  []*Part
	secret []byte // of a sealed record
}

// Open reads a record's items, the header first. reader is needed for a sealed one; it returns
// [ErrSealed] if there is no envelope for it, and [ErrItem] if parts are not what they should
// be.
func Open(ref Ref, items []*Item, reader *ecdh.PrivateKey) (*Record, error) {
	if len(items) == 0 || items[0].Header == nil || items[0].key != ref.Key() {
		return nil, ErrNotFound
	}
	r := &Record{Ref: ref, Header: items[0].Header, State: crdt.New(items[0].Header.Kind)}
	ids := make([]hash.Hash, len(items))
	for i, it := range items {
		ids[i] = it.id
	}
	r.Digest = digest(ids)
	if r.Header.Seal != 0 {
		var err error
		if r.secret, err = r.Header.unseal(ref, reader); err != nil {
			return nil, err
		}
	}
	for _, it := range items[1:] {
		state, err := r.read(it.Part)
		if err == nil {
			err = r.State.Merge(state)
		}
		if err != nil {
			return nil, fmt.Errorf("part %s of %q: %w", it.id.Short(), ref.Name, err)
		}
		r.parts = append(r.parts, it.Part)
	}
	return r, nil
}

func (h *Header) unseal(ref Ref, reader *ecdh.PrivateKey) ([]byte, error) {
	if reader == nil {
		return nil, ErrSealed
	}
	for _, e := range h.Readers {
		if slices.Equal(e.Reader[:], reader.PublicKey().Bytes()) {
			return e.open(reader, ref)
		}
	}
	return nil, ErrSealed
}

func (r *Record) read(p *Part) (*crdt.State, error) {
	body := p.Body
	if p.Seal != 0 {
		if p.Seal != r.Header.Seal {
			return nil, fmt.Errorf("%w: sealed with another key", ErrSealed)
		}
		var err error
		if body, err = p.openBody(r.secret); err != nil {
			return nil, err
		}
	}
	return crdt.Decode(body, MaxBody)
}

// Expires is when the record ends unless it is renewed.
func (r *Record) Expires() time.Time { return time.Unix(int64(r.Header.Expires), 0) }

// Parts is how many parts make up the value.
func (r *Record) Parts() int { return len(r.parts) }

// covered lists what a part stands in for that takes in all parts of the record, and reports
// whether that is all of them: of each replica all parts up to the first that is missing.
func (r *Record) covered() (out []UpTo, all bool) {
	upTo := map[crdt.Replica]uint64{}
	have := map[crdt.Dot]bool{}
	for _, p := range r.parts {
		have[crdt.Dot{Replica: p.Replica, Seq: p.Seq}] = true
		for _, c := range p.Covers {
			upTo[c.Replica] = max(upTo[c.Replica], c.Seq)
		}
	}
	for _, p := range r.parts {
		upTo[p.Replica] += 0
	}
	all = true
	for replica, n := range upTo {
		for have[crdt.Dot{Replica: replica, Seq: n + 1}] {
			n++
		}
		if n > 0 {
			out = append(out, UpTo{Replica: replica, Seq: n})
		}
		upTo[replica] = n
	}
	for _, p := range r.parts {
		all = all && p.Seq <= upTo[p.Replica]
	}
	slices.SortFunc(out, func(a, b UpTo) int { return slices.Compare(a.Replica[:], b.Replica[:]) })
	return out, all
}

// ErrTooLarge means that a value does not fit a record; larger ones are cut into chunks.
var ErrTooLarge = errors.New("too large for a record")
