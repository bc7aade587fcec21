package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starlingmesh/starling/dht/crdt"
)

// Add takes items of one record in, headers first, all that may be. It returns how many were
// new, and why others were refused; with a part, a header that is not the latest is no error.
func (s *Shelf) Add(now time.Time, items []*Item) (fresh int, err error) {
	return s.addAll(now, items, false)
}

// addAll is Add, or, with admitted, takes what another holder has already: admission was paid
// for there.
func (s *Shelf) addAll(now time.Time, items []*Item, admitted bool) (fresh int, err error) {
	var errs []error
	for _, it := range sorted(items) {
		ok, err := s.add(now, it, admitted)
		if ok {
			fresh++
		}
		if it.Header != nil && err != nil && !errors.Is(err, ErrStale) {
			return fresh, err // the part is refused with it
		}
		if it.Header == nil || len(items) == 1 || !errors.Is(err, ErrStale) {
			errs = append(errs, err)
		}
	}
	return fresh, errors.Join(errs...)
}

func (s *Shelf) add(now time.Time, it *Item, admitted bool) (bool, error) {
	if err := s.clock.Check(now, it.stamp()); err != nil {
		return false, err
	}
	r := s.records[it.key]
	if it.Header != nil {
		return s.addHeader(now, r, it, admitted)
	}
	return s.addPart(now, r, it)
}

func (s *Shelf) addHeader(now time.Time, r *record, it *Item, admitted bool) (bool, error) {
	h := it.Header
	switch {
	case h.Expires <= uint64(now.Unix()):
		return false, ErrVoid
	case h.Expires > uint64(now.Add(MaxLife+crdt.DefaultDrift).Unix()):
		return false, fmt.Errorf("%w: it would live longer than %s", ErrItem, MaxLife)
	}
	if r == nil || r.header == nil {
		if need := s.WorkFor(ownerOf(it.Signer)); !admitted && WorkOf(it.key, h.Work) < need {
			return false, fmt.Errorf("%w: want %d bits", ErrWork, need)
		}
	} else {
		if r.header.id == it.id {
			return false, nil
		}
		if r.header.later(metaOf(it)) {
			return false, ErrStale
		}
		if h.Kind != r.head.Kind && h.Since.Compare(r.head.Version) <= 0 && !r.head.Deleted {
			return false, crdt.ErrKind // unless it voids all that was
		}
	}
	if err := s.room(ownerOf(it.Signer), it); err != nil {
		return false, err
	}
	var gone []*meta
	if r != nil {
		if r.header != nil {
			gone = append(gone, r.header)
		}
		for _, p := range r.parts {
			if !allowed(h, ownerOf(it.Signer), p) {
				gone = append(gone, p)
			}
		}
	}
	return true, s.replace(it, gone)
}

// allowed reports whether a part may be there under a header.
func allowed(h *Header, o Owner, p *meta) bool {
	return !h.Deleted && p.stamp.Compare(h.Since) >= 0 && p.part.Seal == h.Seal && mayWrite(h, o, p.signer)
}

func mayWrite(h *Header, o Owner, signer string) bool {
	return ownerOf([]byte(signer)) == o || slices.ContainsFunc(h.Writers, func(w []byte) bool { return string(w) == signer })
}

func (s *Shelf) addPart(now time.Time, r *record, it *Item) (bool, error) {
	if r == nil || r.header == nil {
		return false, ErrUnknown
	}
	m := metaOf(it)
	switch {
	case r.head.Expires <= uint64(now.Unix()), r.head.Deleted, m.stamp.Compare(r.head.Since) < 0:
		return false, ErrVoid
	case !mayWrite(r.head, r.owner, m.signer):
		return false, ErrNotWriter
	case it.Part.Seal != r.head.Seal:
		return false, fmt.Errorf("%w: sealed with another key than the record is", ErrItem)
	}
	if it.Part.Seal == 0 {
		state, err := crdt.Decode(it.Part.Body, MaxBody)
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrItem, err)
		}
		if state.Kind() != r.head.Kind {
			return false, fmt.Errorf("%w: a %s in a record of a %s", ErrItem, state.Kind(), r.head.Kind)
		}
		if err := s.clock.Check(now, state.Latest()); err != nil {
			return false, err
		}
	}
	gone, err := s.supersedes(r, m)
	if err != nil {
		return false, err
	}
	if gone == nil {
		return false, nil
	}
	if len(r.parts)-len(gone) >= MaxParts {
		return false, fmt.Errorf("%w: %d changes wait to be taken together", ErrFull, len(r.parts))
	}
	if err := s.room(r.owner, it); err != nil {
		return false, err
	}
	return true, s.replace(it, gone)
}

// supersedes lists the parts that a new one stands in for; nil, without an error, if it is
// there or was stood in for itself.
func (s *Shelf) supersedes(r *record, m *meta) ([]*meta, error) {
	gone := []*meta{}
	for _, p := range r.parts {
		switch {
		case p.id == m.id:
			return nil, nil
		case r.head.Kind == crdt.Register:
			if p.later(m) {
				return nil, ErrStale
			}
			gone = append(gone, p)
		case p.part.Replica == m.part.Replica && p.part.Seq == m.part.Seq:
			s.Equivocations++ // one of the two, the same everywhere
			if p.later(m) {
				return nil, ErrStale
			}
			gone = append(gone, p)
		case p.part.covers(m.part) && m.part.covers(p.part):
			if p.later(m) {
				return nil, nil
			}
			gone = append(gone, p)
		case p.part.covers(m.part):
			return nil, nil
		case m.part.covers(p.part):
			gone = append(gone, p)
		}
	}
	return gone, nil
}

func (s *Shelf) room(o Owner, it *Item) error {
	size := int64(len(it.raw))
	if s.bytes+size > s.limits.Bytes {
		return fmt.Errorf("%w: the holder keeps %d bytes", ErrFull, s.bytes)
	}
	if u := s.owners[o]; u != nil && u.bytes+size > s.limits.OwnerBytes {
		return ErrQuota
	}
	return nil
}
