package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
)

// Why a shelf refuses an item.
var (
	// ErrStale means that the record has a later value or header.
	ErrStale = errors.New("a later value is there already; read it, then decide again")
	// ErrUnknown means that a part's record has no header here.
	ErrUnknown = errors.New("nothing is known of the record")
	// ErrNotWriter means that the signer may not change the record.
	ErrNotWriter = errors.New("the record's owner does not let this key change it")
	// ErrVoid means that a part is from before its record was made anew, deleted, or expired.
	ErrVoid = errors.New("the record was deleted, made anew or has expired")
	// ErrQuota means that the owner keeps too much here.
	ErrQuota = errors.New("the owner's share of this holder is used up")
	// ErrFull means that the holder, or the record, takes no more.
	ErrFull = errors.New("full")
	// ErrWork means that the record was not paid for by enough work.
	ErrWork = errors.New("too little admission work")
)

// Disk keeps the bodies of items. Errors of Get mean that the item is gone or damaged.
type Disk interface {
	Get(id hash.Hash) (*Item, error)
	Apply(put []*Item, remove []hash.Hash) error
}

// Limits bound what a holder keeps.
type Limits struct {
	Bytes      int64 // in all; 0 is 1 GiB
	OwnerBytes int64 // of one owner; 0 is 64 MiB
	// Work is the bits of admission work that each of an owner's first 64 records takes; each
	// time that there are twice as many it is four times the work. 0 is 4, negative none.
	Work int
	// Drift is how far ahead stamps may be; 0 is crdt.DefaultDrift.
	Drift time.Duration
}

// Shelf is what one member holds. It is not safe for concurrent use.
type Shelf struct {
	limits  Limits
	disk    Disk
	index   index
	records map[ring.ID]*record
	owners  map[Owner]*usage
	short   map[Short]hash.Hash
	bytes   int64
	clock   crdt.Clock
	// Changed, if set, is told the keys of records that have changed.
	Changed func(ring.ID)
	// Equivocations counts parts of one replica that have one number and differ.
	Equivocations int
	// Lost counts items that were gone or damaged on disk.
	Lost int
}

type usage struct {
	bytes   int64
	records int
}

// meta is what is known of an item without its body.
type meta struct {
	id     hash.Hash
	size   int64
	signer string
	stamp  crdt.Stamp
	part   *Part // without its body
}

// later orders the items of one record: by stamp or version, then by hash.
func (m *meta) later(o *meta) bool {
	return cmp.Or(m.stamp.Compare(o.stamp), slices.Compare(m.id[:], o.id[:])) > 0
}

// record is the items of one key.
type record struct {
	owner  Owner
	header *meta
	head   *Header
	parts  []*meta
}

// NewShelf makes a shelf of what is on disk already.
func NewShelf(l Limits, d Disk, have []*Item) *Shelf {
	l.Bytes, l.OwnerBytes = cmp.Or(l.Bytes, 1<<30), cmp.Or(l.OwnerBytes, 64<<20)
	l.Work = cmp.Or(l.Work, 4)
	s := &Shelf{limits: l, disk: d, records: map[ring.ID]*record{}, owners: map[Owner]*usage{}, short: map[Short]hash.Hash{}, clock: crdt.Clock{Drift: l.Drift}}
	for _, it := range have {
		s.note(it)
	}
	return s
}

func metaOf(it *Item) *meta {
	m := &meta{id: it.id, size: int64(len(it.raw)), signer: string(it.Signer), stamp: it.stamp()}
	if it.Part != nil {
		p := *it.Part
		p.Body = nil
		m.part = &p
	}
	return m
}

// note takes an item in without asking whether it may be.
func (s *Shelf) note(it *Item) {
	r := s.records[it.key]
	if r == nil {
		r = &record{}
		s.records[it.key] = r
	}
	m := metaOf(it)
	if it.Header != nil {
		if r.header != nil {
			s.forget(it.key, r.header)
		} else {
			r.owner = ownerOf(it.Signer)
			u := s.usage(r.owner)
			u.records++
			for _, p := range r.parts {
				u.bytes += p.size
			}
		}
		r.header, r.head = m, it.Header
	} else {
		r.parts = append(r.parts, m)
		slices.SortFunc(r.parts, func(a, b *meta) int { return slices.Compare(a.id[:], b.id[:]) })
	}
	s.index.add(place{it.key, m.id})
	s.short[short(m.id)] = m.id
	s.bytes += m.size
	if r.header != nil {
		s.usage(r.owner).bytes += m.size
	}
}

func (s *Shelf) usage(o Owner) *usage {
	u := s.owners[o]
	if u == nil {
		u = &usage{}
		s.owners[o] = u
	}
	return u
}

// forget takes an item out of the index and the sums.
func (s *Shelf) forget(key ring.ID, m *meta) {
	s.index.remove(place{key, m.id})
	delete(s.short, short(m.id))
	s.bytes -= m.size
	if r := s.records[key]; r != nil && r.header != nil {
		s.usage(r.owner).bytes -= m.size
	}
}

// replace puts an item in the place of others, on disk first.
func (s *Shelf) replace(it *Item, gone []*meta) error {
	ids := make([]hash.Hash, len(gone))
	for i, m := range gone {
		ids[i] = m.id
	}
	if err := s.disk.Apply([]*Item{it}, ids); err != nil {
		return fmt.Errorf("keep an item: %w", err)
	}
	if r := s.records[it.key]; r != nil {
		for _, m := range gone {
			if m != r.header { // note does that one
				s.forget(it.key, m)
			}
		}
		r.parts = slices.DeleteFunc(r.parts, func(m *meta) bool { return slices.Contains(gone, m) })
	}
	s.note(it)
	if s.Changed != nil {
		s.Changed(it.key)
	}
	return nil
}

// Items reads a record. What is damaged on disk is dropped, for others to bring it again.
func (s *Shelf) Items(now time.Time, key ring.ID) (out []*Item) {
	r := s.records[key]
	if r == nil || r.header == nil || r.head.Expires <= uint64(now.Unix()) {
		return nil
	}
	for _, m := range append([]*meta{r.header}, r.parts...) {
		it, err := s.disk.Get(m.id)
		if err != nil {
			s.damaged(key, m)
			continue
		}
		out = append(out, it)
	}
	return out
}

// damaged drops an item that cannot be read any more.
func (s *Shelf) damaged(key ring.ID, m *meta) {
	s.Lost++
	s.drop(key, m)
}

// drop removes one item.
func (s *Shelf) drop(key ring.ID, m *meta) {
	r := s.records[key]
	s.forget(key, m)
	_ = s.disk.Apply(nil, []hash.Hash{m.id})
	if r.header == m {
		u := s.usage(r.owner)
		u.records--
		for _, p := range r.parts {
			u.bytes -= p.size
		}
		if *u == (usage{}) {
			delete(s.owners, r.owner)
		}
		r.header, r.head = nil, nil
	} else {
		r.parts = slices.DeleteFunc(r.parts, func(p *meta) bool { return p == m })
	}
	if r.header == nil && len(r.parts) == 0 {
		delete(s.records, key)
	}
}

// Digest is a fingerprint of a record's items; zero if there is none.
func (s *Shelf) Digest(now time.Time, key ring.ID) hash.Hash {
	r := s.records[key]
	if r == nil || r.header == nil || r.head.Expires <= uint64(now.Unix()) {
		return hash.Hash{}
	}
	ids := make([]hash.Hash, 0, 1+len(r.parts))
	ids = append(ids, r.header.id)
	for _, p := range r.parts {
		ids = append(ids, p.id)
	}
	return digest(ids)
}

// digest is the fingerprint of a header and parts in order.
func digest(ids []hash.Hash) hash.Hash {
	var all []byte
	for _, id := range ids {
		all = append(all, id[:]...)
	}
	return hash.Sum("starling/dht/record", all)
}

// Len is how many records are held.
func (s *Shelf) Len() int { return len(s.records) }

// Bytes is the size of all items held.
func (s *Shelf) Bytes() int64 { return s.bytes }

// Owners is how many owners have something here.
func (s *Shelf) Owners() int { return len(s.owners) }

// Sum is the fingerprint of an arc.
func (s *Shelf) Sum(a Arc) Sum { return s.index.sum(a) }
