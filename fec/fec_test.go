package fec

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/hash"
)

var (
	testChain = hash.Sum("test")
	testKey   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	testName  = SenderOf(testKey.Public().(ed25519.PublicKey))
	testCodes = NewCodes()
)

func testSign(message []byte) ([]byte, error) { return ed25519.Sign(testKey, message), nil }

func testCheck(s Sender, message, signature []byte) bool {
	return s == testName && ed25519.Verify(testKey.Public().(ed25519.PublicKey), message, signature)
}

func newEncoder(t testing.TB, shape Shape) *Encoder {
	e, err := NewEncoder(EncoderConfig{Chain: testChain, Sender: testName, Sign: testSign, Shape: shape, Codes: testCodes})
	require.NoError(t, err)
	return e
}

func payloadOf(size int, seed uint64) []byte {
	out := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(out)
	return out
}

// cut makes the sets of a payload.
func cut(t testing.TB, e *Encoder, payload []byte) (sets []*Set) {
	require.NoError(t, e.Cut(Stream{Channel: 3, Slot: 9}, Plain, payload, func(s *Set) error {
		sets = append(sets, s)
		return nil
	}))
	return sets
}

// verified parses and verifies wire forms as a receiver does.
func verified(t testing.TB, raw []byte, known *Statement) (Verified, Statement) {
	s, err := Parse(raw)
	require.NoError(t, err)
	v, st, err := Verify(s, testChain, known, testCheck)
	require.NoError(t, err)
	return v, st
}

func gather(t testing.TB, shreds [][]byte) *Gatherer {
	_, st := verified(t, shreds[0], nil)
	s, err := Parse(shreds[0])
	require.NoError(t, err)
	g := NewGatherer(st, s.Signature())
	for _, raw := range shreds {
		v, _ := verified(t, raw, &st)
		require.True(t, g.Add(v))
		require.False(t, g.Add(v), "once is enough")
	}
	return g
}

func TestAnyDataShredsOfASetMakeItAgain(t *testing.T) {
	shapes := []Shape{{1, 1}, {2, 1}, {4, 4}, {32, 32}, {32, 10}, {10, 32}, {67, 33}, {128, 64}, {128, 128}, {300, 100}, {700, 700}}
	rapid.Check(t, func(rt *rapid.T) {
		shape := rapid.SampledFrom(shapes).Draw(rt, "shape")
		e := newEncoder(t, shape)
		payload := payloadOf(rapid.IntRange(1, 2*e.SetBytes()+1).Draw(rt, "size"), rapid.Uint64().Draw(rt, "seed"))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "loss"), 0))
		var got []byte
		sets := cut(t, e, payload)
		for i, s := range sets {
			require.Equal(t, i == len(sets)-1, s.Statement.Last)
			if i > 0 {
				require.Equal(t, sets[i-1].Statement.Root, s.Statement.Before, "sets are chained")
			}
			kept := append([][]byte{}, s.Shreds...)
			r.Shuffle(len(kept), func(a, b int) { kept[a], kept[b] = kept[b], kept[a] })
			g := gather(t, kept[:shape.Data+r.IntN(shape.Parity+1)])
			data, err := g.Rebuild(testCodes)
			require.NoError(t, err)
			got = append(got, data...)
			for i, raw := range s.Shreds {
				require.Equal(t, raw, g.Shred(i), "it can be passed on, received or not")
			}
		}
		require.Equal(t, payload, got)
	})
}

func TestTooFewShredsMakeNothing(t *testing.T) {
	s := cut(t, newEncoder(t, Shape{8, 8}), payloadOf(5000, 1))[0]
	g := gather(t, s.Shreds[4:11])
	require.Equal(t, 1, g.Missing())
	_, err := g.Rebuild(testCodes)
	require.ErrorIs(t, err, ErrMissing)
}

func TestStreamedSetsAreThoseOfTheWholePayload(t *testing.T) {
	e := newEncoder(t, Shape{8, 4})
	for _, size := range []int{1, e.SetBytes() - 1, e.SetBytes(), e.SetBytes() + 1, 5*e.SetBytes() + 77} {
		payload := payloadOf(size, 2)
		whole := cut(t, e, payload)
		i := 0
		w := e.NewWriter(Stream{Channel: 3, Slot: 9}, Plain, func(s *Set) error {
			require.Equal(t, whole[i].Shreds, s.Shreds)
			i++
			return nil
		})
		for rest := payload; len(rest) > 0; {
			n := min(len(rest), 777)
			_, err := w.Write(rest[:n])
			require.NoError(t, err)
			rest = rest[n:]
		}
		require.NoError(t, w.Close())
		require.Len(t, whole, i, "%d bytes", size)
	}
}

func TestShredsFitADatagram(t *testing.T) {
	for _, shape := range []Shape{{32, 32}, {32, 16}, {64, 32}, {128, 64}, {128, 128}, {1024, 1024}} {
		e := newEncoder(t, shape)
		s := cut(t, e, payloadOf(e.SetBytes(), 3))[0]
		require.LessOrEqual(t, len(s.Shreds[0]), DefaultLimit)
		wire := float64(len(s.Shreds[0])*shape.Total()) / float64(e.SetBytes())
		t.Logf("%s: %d bytes of payload a set, shreds of %d, %.2f bytes on the wire each", shape, e.SetBytes(), len(s.Shreds[0]), wire)
	}
}

// Every bit of a shred is covered by the form, the proof or the signature.
func TestEveryChangedBitIsNoticed(t *testing.T) {
	sets := cut(t, newEncoder(t, Shape{4, 3}), payloadOf(9000, 4))
	for _, raw := range [][]byte{sets[0].Shreds[2], sets[len(sets)-1].Shreds[6]} {
		_, known := verified(t, raw, nil)
		for bit := range 8 * len(raw) {
			changed := bytes.Clone(raw)
			changed[bit/8] ^= 1 << (bit % 8)
			s, err := Parse(changed)
			if err != nil {
				require.ErrorIs(t, err, ErrShred)
				continue
			}
			_, st, err := Verify(s, testChain, nil, testCheck)
			require.ErrorIs(t, err, ErrSignature, "bit %d", bit)
			if bit/8 < signAt || bit/8 >= fixedSize {
				require.NotEqual(t, known, st, "bit %d", bit)
			}
		}
	}
}

func TestShredOfAnotherNetworkIsRefused(t *testing.T) {
	s, err := Parse(cut(t, newEncoder(t, Shape{4, 3}), payloadOf(900, 4))[0].Shreds[0])
	require.NoError(t, err)
	_, _, err = Verify(s, hash.Sum("other"), nil, testCheck)
	require.ErrorIs(t, err, ErrSignature)
}

// What a gatherer accepts is exactly what Verify accepts, in whatever order shreds come,
// and a proof that is spoilt above what is known is refused, too.
func TestCheckAgreesWithVerify(t *testing.T) {
	shape := Shape{9, 6}
	s := cut(t, newEncoder(t, shape), payloadOf(6000, 4))[0]
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		first, err := Parse(s.Shreds[r.IntN(shape.Total())])
		require.NoError(t, err)
		g := NewGatherer(s.Statement, first.Signature())
		for range 60 {
			raw := bytes.Clone(s.Shreds[r.IntN(shape.Total())])
			if r.IntN(2) == 0 {
				raw[r.IntN(len(raw))] ^= byte(1 << r.IntN(8))
			}
			sh, err := Parse(raw)
			if err != nil {
				continue
			}
			_, _, want := Verify(sh, testChain, &s.Statement, nil)
			_, got := g.Check(sh)
			require.Equal(t, want == nil, got == nil, "seed %d", seed)
		}
	}
}

// lie signs a set one of whose parity shreds is no parity.
func lie(t testing.TB, shape Shape) *Set {
	e := newEncoder(t, shape)
	w, err := e.encode(payloadOf(3000, 5))
	require.NoError(t, err)
	at := shape.Data + 1
	w.shards[at][0] ^= 1
	w.tree.levels[0][at] = leafOf(w.shards[at])
	w.tree.build()
	st := Statement{Stream: Stream{Channel: 3, Sender: testName, Slot: 9}, Shape: shape, Size: 3000, Shard: uint16(shape.shardFor(3000) / shardAlign), Last: true, Root: w.tree.root()}
	s, err := e.seal(w, st)
	require.NoError(t, err)
	return s
}

func TestInconsistentSetIsNoticedByEverybodyWhateverTheyReceived(t *testing.T) {
	shape := Shape{6, 5}
	s := lie(t, shape)
	for mask := range 1 << shape.Total() {
		var kept [][]byte
		for i, raw := range s.Shreds {
			if mask>>i&1 == 1 {
				kept = append(kept, raw)
			}
		}
		if len(kept) < shape.Data {
			continue
		}
		g := gather(t, kept)
		_, err := g.Rebuild(testCodes)
		require.ErrorIs(t, err, ErrInconsistent, "shreds %b", mask)
		if mask%97 == 0 {
			st, err := g.Inconsistency().Check(testChain, testCodes, testCheck)
			require.NoError(t, err)
			require.Equal(t, s.Statement, st)
		}
	}
}

func TestHonestSetProvesNoLie(t *testing.T) {
	s := cut(t, newEncoder(t, Shape{6, 5}), payloadOf(3000, 5))[0]
	_, err := gather(t, s.Shreds[3:]).Inconsistency().Check(testChain, testCodes, testCheck)
	require.ErrorIs(t, err, ErrNoLie)
	_, err = Inconsistency{Shreds: s.Shreds[:5]}.Check(testChain, testCodes, testCheck)
	require.ErrorIs(t, err, ErrNoLie, "too few to tell")
	_, err = Inconsistency{}.Check(testChain, testCodes, testCheck)
	require.ErrorIs(t, err, ErrNoLie)
	_, err = Inconsistency{Shreds: append([][]byte{{1}}, s.Shreds...)}.Check(testChain, testCodes, testCheck)
	require.ErrorIs(t, err, ErrNoLie)
}

func TestTwoStatementsAboutASetProveALie(t *testing.T) {
	e := newEncoder(t, Shape{4, 4})
	signed := func(payload []byte) Signed {
		s := cut(t, e, payload)[0]
		sh, err := Parse(s.Shreds[0])
		require.NoError(t, err)
		again, err := DecodeSigned(Signed{s.Statement, sh.Signature()}.Encode())
		require.NoError(t, err)
		require.Equal(t, s.Statement, again.Statement)
		return again
	}
	one, two := signed(payloadOf(3000, 6)), signed(payloadOf(3000, 7))
	require.NoError(t, Equivocation{one, two}.Check(testChain, testCheck))
	require.ErrorIs(t, Equivocation{one, one}.Check(testChain, testCheck), ErrNoLie)
	forged := two
	forged.Statement.Size--
	require.ErrorIs(t, Equivocation{one, forged}.Check(testChain, testCheck), ErrNoLie)
	other := two
	other.Statement.Slot++
	require.ErrorIs(t, Equivocation{one, other}.Check(testChain, testCheck), ErrNoLie)
	require.ErrorIs(t, Equivocation{one, two}.Check(hash.Sum("other"), testCheck), ErrNoLie)
}

func TestBadShapesAndLimitsAreRefused(t *testing.T) {
	for _, cfg := range []EncoderConfig{
		{Shape: Shape{0, 4}}, {Shape: Shape{4, 0}}, {Shape: Shape{2000, 100}}, {Shape: Shape{-1, 3}}, {Shape: Shape{32, 32}, Limit: 300},
	} {
		cfg.Codes, cfg.Sign = testCodes, testSign
		_, err := NewEncoder(cfg)
		require.ErrorIs(t, err, ErrShape, "%v", cfg.Shape)
	}
	e := newEncoder(t, Shape{4, 4})
	require.ErrorIs(t, e.Cut(Stream{}, Plain, nil, nil), ErrShape)
	require.ErrorIs(t, e.NewWriter(Stream{}, Plain, nil).Close(), ErrShape)
	broken := errors.New("broken")
	require.ErrorIs(t, e.Cut(Stream{}, Plain, []byte{1}, func(*Set) error { return broken }), broken)
}

func TestPackedIsUnpackedWithinItsLimit(t *testing.T) {
	text := bytes.Repeat([]byte("starling over the roofs, "), 40_000)
	for c := Plain; c <= codecs; c++ {
		var packed bytes.Buffer
		w, err := Pack(c, &packed)
		require.NoError(t, err)
		_, err = w.Write(text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		got, err := Unpack(c, bytes.NewReader(packed.Bytes()), len(text))
		require.NoError(t, err, "%s", c)
		require.Equal(t, text, got)
		_, err = Unpack(c, bytes.NewReader(packed.Bytes()), len(text)-1)
		require.ErrorIs(t, err, ErrTooLarge, "%s", c)
		if c != Plain {
			require.Less(t, packed.Len(), len(text)/5)
			_, err = Unpack(c, bytes.NewReader(packed.Bytes()[:packed.Len()/2]), len(text))
			require.Error(t, err, "%s cut short", c)
		}
		again, err := ParseCodec(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
	}
	require.Equal(t, S2, Choose(S2, text))
	require.Equal(t, Plain, Choose(S2, payloadOf(1<<20, 8)), "random bytes do not shrink")
	require.Equal(t, Plain, Choose(Plain, text))
	_, err := ParseCodec("rar")
	require.ErrorIs(t, err, ErrCodec)
	_, err = Unpack(77, nil, 1)
	require.ErrorIs(t, err, ErrCodec)
}

func TestReceivingAllocatesNothingAShred(t *testing.T) {
	s := cut(t, newEncoder(t, DefaultShape), payloadOf(30_000, 9))[0]
	_, st := verified(t, s.Shreds[0], nil)
	g := NewGatherer(st, make([]byte, signSize))
	i := 0
	require.Zero(t, testing.AllocsPerRun(60, func() {
		sh, err := Parse(s.Shreds[i])
		if err != nil {
			t.Fatal(err)
		}
		v, _, err := Verify(sh, testChain, &st, nil)
		if err != nil || !g.Add(v) {
			t.Fatal(err)
		}
		i++
	}))
}

func FuzzParse(f *testing.F) {
	for _, shape := range []Shape{{1, 1}, {4, 3}, {32, 32}} {
		for _, s := range cut(f, newEncoder(f, shape), payloadOf(5000, 1)) {
			f.Add(s.Shreds[0])
			f.Add(s.Shreds[shape.Total()-1])
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Parse(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrShred)
			return
		}
		st := s.Statement()
		g := NewGatherer(st, s.Signature())
		if st.Memory() < 1<<20 {
			g.Add(Verified{s, leafOf(s.Payload())})
			require.Equal(t, raw, g.Shred(s.Index()), "encoding it again gives the same bytes")
		}
	})
}

func FuzzDecodeSigned(f *testing.F) {
	s := cut(f, newEncoder(f, Shape{4, 3}), payloadOf(5000, 1))[0]
	f.Add(Signed{s.Statement, make([]byte, signSize)}.Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := DecodeSigned(raw); err == nil {
			require.Equal(t, raw, s.Encode())
		}
	})
}

func FuzzUnpack(f *testing.F) {
	for c := Plain; c <= codecs; c++ {
		var packed bytes.Buffer
		w, err := Pack(c, &packed)
		require.NoError(f, err)
		_, _ = w.Write(bytes.Repeat([]byte("seed"), 100))
		require.NoError(f, w.Close())
		f.Add(byte(c), packed.Bytes())
	}
	f.Fuzz(func(t *testing.T, c byte, packed []byte) {
		if out, err := Unpack(Codec(c%5), bytes.NewReader(packed), 1<<16); err == nil {
			require.LessOrEqual(t, len(out), 1<<16)
		}
	})
}

func Example() {
	codes := NewCodes()
	sender, err := NewEncoder(EncoderConfig{Chain: testChain, Sender: testName, Sign: testSign, Shape: Shape{Data: 4, Parity: 2}, Codes: codes})
	if err != nil {
		panic(err)
	}
	var sent [][]byte
	err = sender.Cut(Stream{Slot: 1}, Plain, []byte("two shreds of six may get lost"), func(s *Set) error {
		sent = append(sent, s.Shreds...)
		return nil
	})
	if err != nil {
		panic(err)
	}
	var g *Gatherer
	for _, raw := range sent[2:] {
		s, err := Parse(raw)
		if err != nil {
			panic(err)
		}
		var known *Statement
		if g != nil {
			st := g.Statement()
			known = &st
		}
		v, st, err := Verify(s, testChain, known, testCheck)
		if err != nil {
			panic(err)
		}
		if g == nil {
			g = NewGatherer(st, s.Signature())
		}
		g.Add(v)
	}
	payload, err := g.Rebuild(codes)
	fmt.Println(string(payload), err)
	// Output: two shreds of six may get lost <nil>
}
