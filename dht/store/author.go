package store

import (
	"bytes"
	"crypto/ecdh"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
)

const (
	// DefaultLife is how long a record lives unless it is renewed.
	DefaultLife = 7 * 24 * time.Hour
	// compactAt is from how many parts on a change takes them all together.
	compactAt = 8
)

// Spec is what an owner decides about a record.
type Spec struct {
	Kind    crdt.Kind
	Life    time.Duration     // 0 is DefaultLife; at most MaxLife
	Writers []keys.PublicKey  // who may change it besides the owner
	Private bool              // only the owner and Readers may read it
	Readers []*ecdh.PublicKey // of a private record
	Work    int               // bits of admission work
}

// Author makes headers and parts with one key. It is not safe for concurrent use.
type Author struct {
	Network Network
	Key     keys.PrivateKey
	Clock   *crdt.Clock
	Rand    io.Reader // crypto/rand.Reader outside of tests
	// Sessions are the numbers of the author's changes, for each record; whoever keeps them
	// from one run to the next needs fewer of them.
	Sessions map[ring.ID]Session
}

// Session is under which name, and up to which number, an author changed a record.
type Session struct {
	Replica crdt.Replica
	Parts   uint64
	Dot     uint64
}

// Owner is whom the author's records belong to.
func (a *Author) Owner() Owner { return OwnerOf(a.Key.Public()) }

// Reader is the key with which the author opens sealed records.
func (a *Author) Reader() (*ecdh.PrivateKey, error) { return ReaderKey(a.Key) }

// header makes the header of a record; before is the one that it replaces, nil if none does.
func (a *Author) header(now time.Time, ref Ref, s Spec, before *Header) (*Header, []byte, error) {
	if len(ref.Name) == 0 || len(ref.Name) > MaxName {
		return nil, nil, fmt.Errorf("a record's name has 1 to %d bytes: %w", MaxName, ErrItem)
	}
	if s.Life == 0 {
		s.Life = DefaultLife
	}
	if s.Life < time.Second || s.Life > MaxLife {
		return nil, nil, fmt.Errorf("a record lives for a second to %s, not %s: %w", MaxLife, s.Life, ErrItem)
	}
	h := &Header{Label: ref.Label(), Kind: s.Kind, Writers: [][]byte{}, Readers: []Envelope{}, Expires: uint64(now.Add(s.Life).Unix())}
	for _, w := range s.Writers {
		h.Writers = append(h.Writers, w.Bytes())
	}
	slices.SortFunc(h.Writers, bytes.Compare)
	h.Writers = slices.CompactFunc(h.Writers, bytes.Equal)
	if before != nil {
		if err := a.Clock.Observe(now, before.Version); err != nil {
			return nil, nil, fmt.Errorf("the record's last header: %w", err)
		}
		h.Seal, h.Work, h.Since = before.Seal, before.Work, before.Since
	}
	if WorkOf(ref.Key(), h.Work) < s.Work {
		h.Work = DoWork(ref.Key(), s.Work)
	}
	var secret []byte
	if s.Private {
		var err error
		if secret, err = a.seal(h, ref, s.Readers); err != nil {
			return nil, nil, err
		}
	} else {
		h.Seal = 0
	}
	h.Version = a.Clock.Tick(now)
	return h, secret, nil
}

// seal gives a header a new key, and envelopes for its readers and the author.
func (a *Author) seal(h *Header, ref Ref, readers []*ecdh.PublicKey) ([]byte, error) {
	own, err := a.Reader()
	if err != nil {
		return nil, err
	}
	secret := make([]byte, sealKeySize)
	if _, err := io.ReadFull(a.Rand, secret); err != nil {
		return nil, fmt.Errorf("seal a record: %w", err)
	}
	h.Seal++
	for _, r := range append([]*ecdh.PublicKey{own.PublicKey()}, readers...) {
		e, err := address(a.Rand, secret, r, ref)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(h.Readers, func(o Envelope) bool { return o.Reader == e.Reader }) {
			h.Readers = append(h.Readers, e)
		}
	}
	return secret, nil
}

// Create makes a new record with a value: what change makes of an empty one. It replaces one
// that was there and is in the way, if before is given: of that nothing is left.
func (a *Author) Create(now time.Time, ref Ref, s Spec, before *Header, change Change) ([]*Item, error) {
	h, secret, err := a.header(now, ref, s, before)
	if err != nil {
		return nil, err
	}
	if before != nil {
		h.Since = h.Version
	}
	r := &Record{Ref: ref, Header: h, State: crdt.New(s.Kind), secret: secret}
	p, err := a.part(now, r, change)
	if err != nil {
		return nil, err
	}
	return a.Network.Sign(a.Key, h, p)
}

// Change changes a state as a writer, and returns the delta, or nil if there is nothing to
// change.
type Change func(s *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error)

// Update makes a part that changes a record.
func (a *Author) Update(now time.Time, r *Record, change Change) ([]*Item, error) {
	p, err := a.part(now, r, change)
	if err != nil || p == nil {
		return nil, err
	}
	return a.Network.Sign(a.Key, nil, p)
}

// Again makes a new header for a record that exists, with all of its value in one part: to let
// it live on, or to change who may write or read it. All parts of before are void.
func (a *Author) Again(now time.Time, r *Record, s Spec) ([]*Item, error) {
	s.Kind = r.Header.Kind
	h, secret, err := a.header(now, r.Ref, s, r.Header)
	if err != nil {
		return nil, err
	}
	next := &Record{Ref: r.Ref, Header: h, State: r.State, parts: r.parts, secret: secret}
	p, err := a.whole(now, next)
	if err != nil {
		return nil, err
	}
	h.Since = h.Version
	return a.Network.Sign(a.Key, h, p)
}

// Renew makes a header that lets a record live on as it is.
func (a *Author) Renew(now time.Time, r *Record, life time.Duration) ([]*Item, error) {
	if life == 0 {
		life = DefaultLife
	}
	if err := a.Clock.Observe(now, r.Header.Version); err != nil {
		return nil, err
	}
	h := *r.Header
	h.Version, h.Expires = a.Clock.Tick(now), uint64(now.Add(life).Unix())
	return a.Network.Sign(a.Key, &h, nil)
}

// Delete makes a header that leaves nothing of a record. It is kept until the record would
// have expired, so that no holder that was away brings the value back.
func (a *Author) Delete(now time.Time, ref Ref, before *Header) ([]*Item, error) {
	if err := a.Clock.Observe(now, before.Version); err != nil {
		return nil, err
	}
	h := *before
	h.Version = a.Clock.Tick(now)
	h.Since, h.Deleted, h.Readers, h.Writers = h.Version, true, []Envelope{}, [][]byte{}
	if h.Label != ref.Label() {
		return nil, ErrNotFound
	}
	return a.Network.Sign(a.Key, &h, nil)
}

// session is under which name the author changes a record. One whose last change is not seen
// is not used again: two changes would get one number.
func (a *Author) session(r *Record) Session {
	key := r.Ref.Key()
	s, ok := a.Sessions[key]
	if ok && s.Dot > 0 && r.Header.Kind != crdt.Register && !r.State.Has(crdt.Dot{Replica: s.Replica, Seq: s.Dot}) {
		ok = false
	}
	if !ok {
		s = Session{}
		_, _ = io.ReadFull(a.Rand, s.Replica[:]) // crypto/rand does not fail
	}
	return s
}

// Failed forgets under which name a record was changed, as nobody knows whether the last
// change arrived.
func (a *Author) Failed(ref Ref) { delete(a.Sessions, ref.Key()) }

func (a *Author) part(now time.Time, r *Record, change Change) (*Part, error) {
	if err := a.Clock.Observe(now, r.State.Latest()); err != nil {
		return nil, fmt.Errorf("the record's value: %w", err)
	}
	if r.Header.Kind == crdt.Register {
		r = &Record{Ref: r.Ref, Header: r.Header, State: crdt.New(crdt.Register), secret: r.secret} // the last write is all there is
	}
	session := a.session(r)
	delta, err := change(r.State, crdt.Writer{Replica: session.Replica, Clock: a.Clock}, now)
	if err != nil || delta == nil {
		return nil, err
	}
	p := &Part{Key: r.Ref.Key(), Replica: session.Replica, Seq: session.Parts + 1, Covers: []UpTo{}}
	body := delta.Encode()
	if whole := r.State.Encode(); len(r.parts) >= compactAt || len(whole) <= len(body) {
		if covers, all := r.covered(); all {
			p.Covers, body = withOwn(covers, p), whole
		}
	}
	if err := r.fill(a.Rand, p, a.Clock.Tick(now), body); err != nil {
		return nil, err
	}
	session.Parts, session.Dot = p.Seq, r.State.Last(session.Replica).Seq
	if a.Sessions != nil {
		a.Sessions[p.Key] = session
	}
	return p, nil
}

// whole makes a part of all of a record's value.
func (a *Author) whole(now time.Time, r *Record) (*Part, error) {
	session := a.session(r)
	covers, _ := r.covered()
	p := &Part{Key: r.Ref.Key(), Replica: session.Replica, Seq: session.Parts + 1}
	p.Covers = withOwn(covers, p)
	// Later than the header, whose version voids what was before.
	if err := r.fill(a.Rand, p, a.Clock.Tick(now), r.State.Encode()); err != nil {
		return nil, err
	}
	session.Parts, session.Dot = p.Seq, r.State.Last(session.Replica).Seq
	if a.Sessions != nil {
		a.Sessions[p.Key] = session
	}
	return p, nil
}

// withOwn adds a part itself to what it covers.
func withOwn(covers []UpTo, p *Part) []UpTo {
	out := slices.DeleteFunc(slices.Clone(covers), func(c UpTo) bool { return c.Replica == p.Replica })
	out = append(out, UpTo{Replica: p.Replica, Seq: p.Seq})
	slices.SortFunc(out, func(a, b UpTo) int { return bytes.Compare(a.Replica[:], b.Replica[:]) })
	return out
}

// fill completes a part with its body, sealed if the record is.
func (r *Record) fill(rand io.Reader, p *Part, stamp crdt.Stamp, body []byte) error {
	if len(body) > MaxBody-64 {
		return fmt.Errorf("a value of %d bytes, at most %d: %w", len(body), MaxBody-64, ErrTooLarge)
	}
	p.Stamp, p.Body = stamp, body
	if r.Header.Seal == 0 {
		return nil
	}
	p.Seal = r.Header.Seal
	return p.sealBody(rand, r.secret, body)
}

// Write is the change that sets a register.
func Write(value []byte) Change {
	return func(s *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		return s.Write(w, now, nil, value)
	}
}
