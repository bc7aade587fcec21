package store

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
)

var start = time.UnixMilli(1_700_000_000_000)

func newAuthor(tb testing.TB) *Author {
	tb.Helper()
	key, err := keys.Generate(keys.Ed25519, rand.Reader)
	require.NoError(tb, err)
	return &Author{Network: NewNetwork("test"), Key: key, Clock: &crdt.Clock{}, Rand: rand.Reader, Sessions: map[ring.ID]Session{}}
}

func newShelf() *Shelf { return NewShelf(Limits{Work: -1}, Memory(), nil) }

// create makes a record and puts it on a shelf.
func create(tb testing.TB, s *Shelf, a *Author, now time.Time, name string, k crdt.Kind, change Change) (Ref, []*Item) {
	tb.Helper()
	ref := Ref{a.Owner(), name}
	items, err := a.Create(now, ref, Spec{Kind: k}, nil, change)
	require.NoError(tb, err)
	_, err = s.Add(now, items)
	require.NoError(tb, err)
	return ref, items
}

func openOn(tb testing.TB, s *Shelf, now time.Time, ref Ref) *Record {
	tb.Helper()
	rec, err := Open(ref, s.Items(now, ref.Key()), nil)
	require.NoError(tb, err)
	return rec
}

func add(element string) Change {
	return func(s *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		return s.Add(w, now, nil, []byte(element))
	}
}

// update changes a record as an author sees it on one shelf, and puts the part there.
func update(tb testing.TB, s *Shelf, a *Author, now time.Time, ref Ref, c Change) []*Item {
	tb.Helper()
	items, err := a.Update(now, openOn(tb, s, now, ref), c)
	require.NoError(tb, err)
	_, err = s.Add(now, items)
	require.NoError(tb, err)
	return items
}

func TestOnlyTheLatestValueOfARegisterIsKept(t *testing.T) {
	s, a := newShelf(), newAuthor(t)
	ref, first := create(t, s, a, start, "name", crdt.Register, Write([]byte("one")))
	create(t, s, a, start.Add(time.Second), "name", crdt.Register, Write([]byte("two")))
	rec := openOn(t, s, start.Add(time.Second), ref)
	value, _ := rec.State.Value(nil)
	require.Equal(t, "two", string(value))
	require.Equal(t, 1, rec.Parts())
	_, err := s.Add(start.Add(2*time.Second), first)
	require.ErrorIs(t, err, ErrStale, "replayed")
}

func TestWhoMayNotWriteIsRefused(t *testing.T) {
	s, a, b := newShelf(), newAuthor(t), newAuthor(t)
	ref, _ := create(t, s, a, start, "friends", crdt.Set, add("x"))
	theirs, err := b.Update(start, openOn(t, s, start, ref), add("y"))
	require.NoError(t, err)
	_, err = s.Add(start, theirs)
	require.ErrorIs(t, err, ErrNotWriter)
	// Once the owner lets it, and not any more when the owner does not.
	shared, err := a.Again(start.Add(time.Second), openOn(t, s, start, ref), Spec{Writers: []keys.PublicKey{b.Key.Public()}})
	require.NoError(t, err)
	_, err = s.Add(start.Add(time.Second), shared)
	require.NoError(t, err)
	update(t, s, b, start.Add(2*time.Second), ref, add("y"))
	require.Len(t, openOn(t, s, start.Add(2*time.Second), ref).State.Elements(nil), 2)
	alone, err := a.Again(start.Add(3*time.Second), openOn(t, s, start.Add(2*time.Second), ref), Spec{})
	require.NoError(t, err)
	_, err = s.Add(start.Add(3*time.Second), alone)
	require.NoError(t, err)
	late, err := b.Update(start.Add(4*time.Second), openOn(t, s, start.Add(3*time.Second), ref), add("z"))
	require.NoError(t, err)
	_, err = s.Add(start.Add(4*time.Second), late)
	require.ErrorIs(t, err, ErrNotWriter)
	require.Len(t, openOn(t, s, start.Add(4*time.Second), ref).State.Elements(nil), 2, "what was there before stays")
}

func TestWhatComesFromTheFutureIsTakenWhenItsTimeHasCome(t *testing.T) {
	s, a := newShelf(), newAuthor(t)
	items, err := a.Create(start.Add(time.Hour), Ref{a.Owner(), "name"}, Spec{Kind: crdt.Register}, nil, Write([]byte("x")))
	require.NoError(t, err)
	_, err = s.Add(start, items)
	require.ErrorIs(t, err, crdt.ErrFuture)
	require.Zero(t, s.Len())
	_, err = s.Add(start.Add(time.Hour-crdt.DefaultDrift), items)
	require.NoError(t, err)
}

func TestADeletedRecordDoesNotComeBack(t *testing.T) {
	s, a := newShelf(), newAuthor(t)
	ref, items := create(t, s, a, start, "friends", crdt.Set, add("x"))
	more := update(t, s, a, start.Add(time.Second), ref, add("y"))
	gone, err := a.Delete(start.Add(2*time.Second), ref, openOn(t, s, start.Add(time.Second), ref).Header)
	require.NoError(t, err)
	_, err = s.Add(start.Add(2*time.Second), gone)
	require.NoError(t, err)
	for _, old := range [][]*Item{items, more} {
		_, _ = s.Add(start.Add(3*time.Second), old)
	}
	require.Len(t, s.Items(start.Add(3*time.Second), ref.Key()), 1, "the header that says so")
	// Made anew, nothing of before is in it.
	again, err := a.Create(start.Add(4*time.Second), ref, Spec{Kind: crdt.Set}, gone[0].Header, add("z"))
	require.NoError(t, err)
	_, err = s.Add(start.Add(4*time.Second), again)
	require.NoError(t, err)
	_, _ = s.Add(start.Add(5*time.Second), more)
	require.Equal(t, [][]byte{[]byte("z")}, openOn(t, s, start.Add(5*time.Second), ref).State.Elements(nil))
	require.Equal(t, 1, s.Expire(start.Add(DefaultLife+time.Minute)), "and after its time nothing is left")
	require.Zero(t, s.Len()+int(s.Bytes())+s.Owners())
}

func TestHoldersDoNotFillUp(t *testing.T) {
	a, b := newAuthor(t), newAuthor(t)
	value := Write(make([]byte, 1000))
	s := NewShelf(Limits{Work: -1, OwnerBytes: 5000, Bytes: 9000}, Memory(), nil)
	put := func(a *Author, i int) error {
		items, err := a.Create(start, Ref{a.Owner(), fmt.Sprint(i)}, Spec{Kind: crdt.Register}, nil, value)
		require.NoError(t, err)
		_, err = s.Add(start, items)
		return err
	}
	var err error
	for i := 0; err == nil; i++ {
		err = put(a, i)
	}
	require.ErrorIs(t, err, ErrQuota)
	require.NoError(t, put(b, 0), "that was one owner's")
	for i := 1; err == nil || errors.Is(err, ErrQuota); i++ {
		err = put(newAuthor(t), i)
	}
	require.ErrorIs(t, err, ErrFull)
	require.LessOrEqual(t, s.Bytes(), int64(9000))
}

func TestManyRecordsOfAStrangerCostMoreAndMore(t *testing.T) {
	a := newAuthor(t)
	s := NewShelf(Limits{Work: 4}, Memory(), nil)
	first := s.WorkFor(a.Owner())
	for i := range 200 {
		ref := Ref{a.Owner(), fmt.Sprint(i)}
		items, err := a.Create(start, ref, Spec{Kind: crdt.Register, Work: s.WorkFor(a.Owner())}, nil, Write([]byte("x")))
		require.NoError(t, err)
		_, err = s.Add(start, items)
		require.NoError(t, err)
	}
	require.Greater(t, s.WorkFor(a.Owner()), first)
	cheap := 0
	for i := range 50 {
		items, err := a.Create(start, Ref{a.Owner(), fmt.Sprint("cheap ", i)}, Spec{Kind: crdt.Register}, nil, Write([]byte("x")))
		require.NoError(t, err)
		if _, err = s.Add(start, items); err == nil {
			cheap++
		} else {
			require.ErrorIs(t, err, ErrWork)
		}
	}
	require.Less(t, cheap, 25, "work that was not done is there by chance only")
	// Other holders copy what was admitted, whatever they hold already.
	other := NewShelf(Limits{Work: 4}, Memory(), nil)
	for key := range s.records {
		_, err := other.addAll(start, s.Items(start, key), true)
		require.NoError(t, err)
	}
	require.Equal(t, s.Len(), other.Len())
}

func TestMalformedItemsAreRefused(t *testing.T) {
	s, a := newShelf(), newAuthor(t)
	ref, items := create(t, s, a, start, "friends", crdt.Set, add("x"))
	resign := func(h *Header, p *Part) error {
		var all []*Item
		if h != nil {
			its, err := a.Network.Sign(a.Key, h, nil)
			if err != nil {
				return err
			}
			all = append(all, its...)
		}
		if p != nil {
			its, err := a.Network.Sign(a.Key, nil, p)
			if err != nil {
				return err
			}
			all = append(all, its...)
		}
		_, err := s.Add(start.Add(time.Second), all)
		return err
	}
	part := func(f func(*Part)) *Part {
		p := *items[1].Part
		p.Seq++
		f(&p)
		return &p
	}
	header := func(f func(*Header)) *Header {
		h := *items[0].Header
		h.Version.Count++
		f(&h)
		return &h
	}
	register := crdt.New(crdt.Register)
	_, err := register.Write(crdt.Writer{Clock: &crdt.Clock{}}, start, nil, []byte("x"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		h    *Header
		p    *Part
		want error
	}{
		"no number":            {p: part(func(p *Part) { p.Seq = 0 }), want: ErrItem},
		"too large":            {p: part(func(p *Part) { p.Body = make([]byte, MaxBody+1) }), want: ErrItem},
		"no state":             {p: part(func(p *Part) { p.Body = []byte{1, 2, 3} }), want: ErrItem},
		"of another kind":      {p: part(func(p *Part) { p.Body = register.Encode() }), want: ErrItem},
		"sealed unlike it":     {p: part(func(p *Part) { p.Seal = 1 }), want: ErrItem},
		"unknown record":       {p: part(func(p *Part) { p.Key[0]++ }), want: ErrUnknown},
		"covers out of order":  {p: part(func(p *Part) { p.Covers = []UpTo{{Seq: 1}, {Seq: 1}} }), want: ErrItem},
		"lives for ever":       {h: header(func(h *Header) { h.Expires = 1 << 60 }), want: ErrItem},
		"has expired":          {h: header(func(h *Header) { h.Expires = 1 }), want: ErrVoid},
		"changes its kind":     {h: header(func(h *Header) { h.Kind = crdt.Map }), want: crdt.ErrKind},
		"of no kind":           {h: header(func(h *Header) { h.Kind = 99 }), want: ErrItem},
		"sealed for nobody":    {h: header(func(h *Header) { h.Seal = 1 }), want: ErrItem},
		"begins later":         {h: header(func(h *Header) { h.Since.Wall = 1 << 50 }), want: ErrItem},
		"an older header":      {h: header(func(h *Header) { h.Version = crdt.Stamp{} }), want: ErrStale},
		"writers out of order": {h: header(func(h *Header) { h.Writers = [][]byte{{2}, {1}} }), want: ErrItem},
	} {
		t.Run(name, func(t *testing.T) {
			before := s.Digest(start, ref.Key())
			require.ErrorIs(t, resign(c.h, c.p), c.want)
			require.Equal(t, before, s.Digest(start, ref.Key()), "nothing of the owner is lost")
		})
	}
}

func TestSignaturesBindNetworkAndContent(t *testing.T) {
	a := newAuthor(t)
	items, err := a.Create(start, Ref{a.Owner(), "name"}, Spec{Kind: crdt.Register}, nil, Write([]byte("x")))
	require.NoError(t, err)
	here, err := NewVerifier(NewNetwork("test"))
	require.NoError(t, err)
	there, err := NewVerifier(NewNetwork("other"))
	require.NoError(t, err)
	for _, it := range items {
		wire, err := DecodeItem(it.Raw())
		require.NoError(t, err)
		require.NoError(t, here.Verify(wire))
		require.ErrorIs(t, there.Verify(wire), ErrForged)
		changed := *wire
		if wire.Part != nil {
			p := *wire.Part
			p.Stamp.Wall++
			changed.Part = &p
		} else {
			h := *wire.Header
			h.Expires++
			changed.Header = &h
		}
		bad, err := DecodeItem(Reencode(&changed))
		require.NoError(t, err)
		require.ErrorIs(t, here.Verify(bad), ErrForged)
	}
}

// Who has more signatures than a key of several members asks for could make many items of one.
func TestRecordsHaveOneSigner(t *testing.T) {
	a := newAuthor(t)
	items, err := a.Create(start, Ref{a.Owner(), "name"}, Spec{Kind: crdt.Register}, nil, Write([]byte("x")))
	require.NoError(t, err)
	member, err := keys.FromSeed(keys.Ed25519, make([]byte, 32))
	require.NoError(t, err)
	multi, err := keys.NewMulti(1, member.Public())
	require.NoError(t, err)
	network := NewNetwork("test")
	wire, err := DecodeItem(items[0].Raw())
	require.NoError(t, err)
	sig, err := member.Sign(network.signed(wire))
	require.NoError(t, err)
	verifier, err := NewVerifier(network)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		key  keys.PublicKey
		want error
	}{"the member itself": {member.Public(), nil}, "a group of one": {multi, ErrForged}} {
		joined, err := keys.JoinSignatures(c.key, network.signed(wire), map[keys.PublicKey][]byte{member.Public(): sig})
		require.NoError(t, err)
		by := *wire
		by.Signer, by.Sig = c.key.Bytes(), joined
		it, err := DecodeItem(Reencode(&by))
		require.NoError(t, err)
		require.ErrorIs(t, verifier.Verify(it), c.want, name)
	}
}

func TestSealedRecordsOpenForTheirReadersAlone(t *testing.T) {
	s, a, b, c := newShelf(), newAuthor(t), newAuthor(t), newAuthor(t)
	reader, err := b.Reader()
	require.NoError(t, err)
	ref := Ref{a.Owner(), "diary"}
	items, err := a.Create(start, ref, Spec{Kind: crdt.Set, Private: true, Readers: []*ecdh.PublicKey{reader.PublicKey()}}, nil, add("secret"))
	require.NoError(t, err)
	_, err = s.Add(start, items)
	require.NoError(t, err)
	for name, reads := range map[string]*Author{"owner": a, "reader": b} {
		key, err := reads.Reader()
		require.NoError(t, err, name)
		rec, err := Open(ref, s.Items(start, ref.Key()), key)
		require.NoError(t, err, name)
		require.Equal(t, [][]byte{[]byte("secret")}, rec.State.Elements(nil))
	}
	other, err := c.Reader()
	require.NoError(t, err)
	for _, key := range []*ecdh.PrivateKey{nil, other} {
		_, err = Open(ref, s.Items(start, ref.Key()), key)
		require.ErrorIs(t, err, ErrSealed)
	}
	for _, it := range s.Items(start, ref.Key()) {
		require.NotContains(t, string(it.Raw()), "secret")
		require.NotContains(t, string(it.Raw()), "diary")
	}
	// A sealed body is bound to its place.
	own, err := a.Reader()
	require.NoError(t, err)
	moved := *items[1].Part
	moved.Seq += 5
	forged, err := a.Network.Sign(a.Key, items[0].Header, &moved)
	require.NoError(t, err)
	_, err = Open(ref, forged, own)
	require.ErrorIs(t, err, ErrItem)
}

// Whatever the order, the repetitions and the losses that are made up for: holders of the same
// items end with the same bytes, and the value is that of all changes.
func TestShelvesThatHeardTheSameAreTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		dice := mrand.New(mrand.NewPCG(seed, 3))
		owner := newAuthor(t)
		writers := []*Author{owner, newAuthor(t), newAuthor(t)}
		var may []keys.PublicKey
		for _, w := range writers[1:] {
			may = append(may, w.Key.Public())
		}
		ref := Ref{owner.Owner(), "name"}
		first, err := owner.Create(start, ref, Spec{Kind: crdt.Set, Writers: may}, nil, add("first"))
		require.NoError(rt, err)
		shelves := []*Shelf{newShelf(), newShelf(), newShelf()}
		for _, s := range shelves {
			_, err := s.Add(start, first)
			require.NoError(rt, err)
		}
		all := first
		want := map[string]bool{"first": true}
		now := start
		for i := range dice.IntN(25) {
			now = now.Add(time.Duration(dice.IntN(1000)) * time.Millisecond)
			w, s := writers[dice.IntN(3)], shelves[dice.IntN(3)]
			element := fmt.Sprint("element ", i)
			all = append(all, update(t, s, w, now, ref, add(element))...)
			want[element] = true
		}
		for _, s := range shelves {
			for _, i := range dice.Perm(2 * len(all)) {
				_, _ = s.Add(now, []*Item{all[i%len(all)]})
			}
		}
		for _, s := range shelves[1:] {
			require.Equal(rt, s.Digest(now, ref.Key()), shelves[0].Digest(now, ref.Key()))
			require.Equal(rt, s.Sum(Arc{}), shelves[0].Sum(Arc{}))
			require.Equal(rt, s.Bytes(), shelves[0].Bytes())
		}
		require.Len(rt, openOn(t, shelves[0], now, ref).State.Elements(nil), len(want))
	})
}

func TestManyChangesAreTakenTogether(t *testing.T) {
	s, a := newShelf(), newAuthor(t)
	ref, _ := create(t, s, a, start, "friends", crdt.Set, add("first"))
	most := 0
	for i := range 200 {
		update(t, s, a, start.Add(time.Duration(i)*time.Second), ref, add(fmt.Sprint(i)))
		most = max(most, openOn(t, s, start.Add(time.Duration(i)*time.Second), ref).Parts())
	}
	require.LessOrEqual(t, most, compactAt+1)
	require.Len(t, openOn(t, s, start.Add(time.Hour), ref).State.Elements(nil), 201)
}

// The sums of arcs are those of the items on them, however these came.
func TestSumsOfArcs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var x index
		model := map[place]bool{}
		draw := func(label string) (id ring.ID) {
			id[0] = rapid.Byte().Draw(rt, label)
			return id
		}
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			p := place{draw("key"), hash.Sum("x", []byte{rapid.Byte().Draw(rt, "id")})}
			if rapid.IntRange(0, 3).Draw(rt, "remove") == 0 {
				x.remove(p)
				delete(model, p)
			} else {
				x.add(p)
				model[p] = true
			}
		}
		a := Arc{From: draw("from"), To: draw("to")}
		var want Sum
		for p := range model {
			if a.Has(p.key) {
				want.add(Sum{Count: 1, Total: p.id})
			}
		}
		require.Equal(rt, want, x.sum(a))
		var got Sum
		x.each(a, func(p place) bool { got.add(Sum{Count: 1, Total: p.id}); return true })
		require.Equal(rt, want, got)
		var cut Sum
		for _, piece := range x.pieces(a, 4) {
			cut.add(x.sum(piece))
		}
		require.Equal(rt, want, cut)
	})
}

func FuzzDecodeItem(f *testing.F) {
	a := &Author{Network: NewNetwork("test"), Clock: &crdt.Clock{}, Rand: rand.Reader}
	a.Key, _ = keys.FromSeed(keys.Ed25519, make([]byte, 32))
	items, err := a.Create(start, Ref{a.Owner(), "name"}, Spec{Kind: crdt.Map, Private: true}, nil, func(s *crdt.State, w crdt.Writer, now time.Time) (*crdt.State, error) {
		return s.Write(w, now, crdt.Path{"field"}, []byte("value"))
	})
	require.NoError(f, err)
	for _, it := range items {
		f.Add(it.Raw())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		it, err := DecodeItem(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrItem)
			return
		}
		require.Equal(t, raw, Reencode(it))
		s := newShelf()
		_, _ = s.Add(start, []*Item{it})
	})
}

func FuzzDecodeRequest(f *testing.F) {
	key := ring.KeyOf([]byte("x"))
	one := samples(f)
	for _, r := range []*Request{{Ring: &ring.Question{Kind: ring.Find}}, {Get: &Get{Key: key, Full: true}}, {Put: one}, {Push: one}, {Spans: []Span{{Arc: Arc{From: key}}}}, {Fetch: []Short{{1}}}, {Watch: &Watch{Key: key}}, {Changed: &key}} {
		f.Add(canon.MustMarshal(r))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := sameDecoded(t, Requests(), raw)
		if r == nil {
			return
		}
		c := New(ring.PeerOf("self"), Config{}, newShelf(), silence{})
		c.Member().Join(start)
		c.Tick(start.Add(time.Hour))
		c.Serve(start.Add(time.Hour), ring.PeerOf("other"), r)
	})
}

func FuzzDecodeResponse(f *testing.F) {
	for _, r := range []*Response{{Ring: &ring.Answer{}}, {Role: Primary, Settled: true, Digest: hash.Hash{1}, Items: samples(f)}, {Differ: []Difference{{Same: true}, {IDs: []Short{{1}}}}}, {Refusal: 3}} {
		f.Add(canon.MustMarshal(r))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { sameDecoded(t, Responses(), raw) })
}

// sameDecoded decodes as the codec does, and sees that it takes what [canon.Unmarshal] takes.
func sameDecoded[T any](t *testing.T, c canon.Codec[*T], raw []byte) *T {
	var want T
	err := canon.Unmarshal(raw, &want)
	got, gotErr := c.Decode(raw)
	require.Equal(t, err == nil, gotErr == nil, "%v; %v", err, gotErr)
	if err != nil {
		return nil
	}
	require.Equal(t, raw, canon.MustMarshal(got))
	return got
}

func samples(tb testing.TB) []*Item {
	a := &Author{Network: NewNetwork("test"), Clock: &crdt.Clock{}, Rand: rand.Reader}
	a.Key, _ = keys.FromSeed(keys.Ed25519, make([]byte, 32))
	items, err := a.Create(start, Ref{a.Owner(), "name"}, Spec{Kind: crdt.Register}, nil, Write([]byte("value")))
	require.NoError(tb, err)
	return items
}

// silence is a network in which nobody answers.
type silence struct{}

func (silence) Call(ring.Peer, *Request, func(*Response, error)) {}
