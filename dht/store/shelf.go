package store

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/bits"
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

// Add takes items of one record in, headers first, all that may be. It returns how many were
// new, and why others were refused; with a part, a header that is not the latest is no error.
func (s *Shelf) Add(now time.Time, items []*Item) (fresh int, err error) {
	return s.addAll(now, items, false)
}

// Copy is Add for what another holder has already: admission was paid for there.
func (s *Shelf) Copy(now time.Time, items []*Item) (fresh int, err error) {
	return s.addAll(now, items, true)
}

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
		if cmp.Or(h.Version.Compare(r.head.Version), slices.Compare(it.id[:], r.header.id[:])) < 0 {
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
	return !h.Deleted && p.stamp.Compare(h.Since) >= 0 && mayWrite(h, o, p.signer)
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
	case it.Part.Seal == 0 && r.head.Seal != 0:
		return false, fmt.Errorf("%w: an open value in a sealed record", ErrItem)
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
			if cmp.Or(p.stamp.Compare(m.stamp), slices.Compare(p.id[:], m.id[:])) > 0 {
				return nil, ErrStale
			}
			gone = append(gone, p)
		case p.part.Replica == m.part.Replica && p.part.Seq == m.part.Seq:
			s.Equivocations++ // one of the two, the same everywhere
			if cmp.Or(p.stamp.Compare(m.stamp), slices.Compare(p.id[:], m.id[:])) > 0 {
				return nil, ErrStale
			}
			gone = append(gone, p)
		case p.part.covers(m.part) && m.part.covers(p.part):
			if cmp.Or(p.stamp.Compare(m.stamp), slices.Compare(p.id[:], m.id[:])) > 0 {
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

// Drop forgets a record that others keep.
func (s *Shelf) Drop(key ring.ID) {
	if r := s.records[key]; r != nil {
		for _, p := range slices.Clone(r.parts) {
			s.drop(key, p)
		}
		if r.header != nil {
			s.drop(key, r.header)
		}
	}
}

// Expire drops the records whose time is over, and returns how many.
func (s *Shelf) Expire(now time.Time) (n int) {
	for _, key := range slices.SortedFunc(maps.Keys(s.records), func(a, b ring.ID) int { return slices.Compare(a[:], b[:]) }) {
		if r := s.records[key]; r.header == nil || r.head.Expires <= uint64(now.Unix()) {
			s.Drop(key)
			n++
		}
	}
	return n
}

// Scrub reads up to n items beginning behind a place, and drops those that are damaged. It
// returns where to go on.
func (s *Shelf) Scrub(from Mark, n int) Mark {
	all := s.index.root.total().Count
	if all == 0 {
		return from
	}
	at := s.index.upTo(from.key).Count
	var last place
	var bad []place
	for i := range min(uint64(n), all) {
		last = s.index.at((at + i) % all)
		if _, err := s.disk.Get(last.id); err != nil {
			bad = append(bad, last)
		}
	}
	for _, p := range bad {
		for _, m := range s.records[p.key].all() {
			if m.id == p.id {
				s.damaged(p.key, m)
			}
		}
	}
	return Mark{last.key}
}

// Mark is where scrubbing goes on.
type Mark struct{ key ring.ID }

func (r *record) all() []*meta {
	if r.header == nil {
		return slices.Clone(r.parts)
	}
	return append([]*meta{r.header}, r.parts...)
}

// Len is how many records are held.
func (s *Shelf) Len() int { return len(s.records) }

// Bytes is the size of all items held.
func (s *Shelf) Bytes() int64 { return s.bytes }

// Owners is how many owners have something here.
func (s *Shelf) Owners() int { return len(s.owners) }

// Sum is the fingerprint of an arc.
func (s *Shelf) Sum(a Arc) Sum { return s.index.sum(a) }

// WorkFor is how many bits of work an owner's next record takes here.
func (s *Shelf) WorkFor(o Owner) int {
	if s.limits.Work < 0 {
		return 0
	}
	records := 0
	if u := s.owners[o]; u != nil {
		records = u.records
	}
	return s.limits.Work + 2*bits.Len(uint(records/64))
}

// WorkOf is the bits of work that a nonce shows for a record.
func WorkOf(key ring.ID, nonce uint64) int {
	var n [8]byte
	for i := range n {
		n[i] = byte(nonce >> (8 * i))
	}
	sum := hash.Sum("starling/dht/work", key[:], n[:])
	zeros := 0
	for _, b := range sum {
		zeros += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return zeros
}

// DoWork finds a nonce that shows so many bits of work, after about 2^bits tries.
func DoWork(key ring.ID, bits int) (nonce uint64) {
	for WorkOf(key, nonce) < bits {
		nonce++
	}
	return nonce
}
