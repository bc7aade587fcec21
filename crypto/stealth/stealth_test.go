package stealth

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/pedersen"
)

func wallet(tb require.TestingT, name string) *Keys {
	k, err := NewKeys(scalarOf("test view", []byte(name)), scalarOf("test spend", []byte(name)))
	require.NoError(tb, err)
	return k
}

func seedOf(name string) hash.Hash { return hash.Sum("test seed", []byte(name)) }

func place(name string, n uint32) Place { return Place{hash.Sum("test place", []byte(name)), n} }

func pays(tb require.TestingT, to Address, amount uint64, memo string, at Place) Opened {
	o, err := Pay(seedOf("sender"), at, Payment{to, amount, []byte(memo)})
	require.NoError(tb, err)
	return o
}

func scan(k *Keys, addresses uint32, o Output, at Place) *Received {
	return scanOne(NewScanner(&k.ViewKeys, addresses), o, at)
}

func scanOne(s *Scanner, o Output, at Place) *Received {
	r, err := s.Scan([]Candidate{{at, o.Ephemeral.Bytes(), o.Tag}}, func(int) (Output, error) { return o, nil })
	if err != nil {
		panic(err) // there is none above
	}
	return r[0]
}

func TestOnlyTheRecipientFindsAndSpends(t *testing.T) {
	anna, berta := wallet(t, "anna"), wallet(t, "berta")
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Uint32Range(0, 3).Draw(t, "address")
		amount := rapid.Uint64().Draw(t, "amount")
		memo := rapid.StringN(0, MemoSize, MemoSize).Draw(t, "memo")
		at := place("tx", rapid.Uint32Max(5).Draw(t, "number"))
		o := pays(t, anna.Address(number), amount, memo, at)
		r := scan(anna, 4, o.Output, at)
		require.NotNil(t, r)
		require.Equal(t, number, r.Address)
		require.Equal(t, amount, r.Amount)
		require.Equal(t, memo, string(r.Memo))
		require.Equal(t, o.Mask, r.Mask)
		require.Equal(t, pedersen.Commit(amount, r.Mask), o.Commitment)
		require.Equal(t, o.Key, curve.BaseMulVarTime(anna.Secret(*r)), "the one-time key's secret")
		require.Nil(t, scan(berta, 4, o.Output, at))
		other := at
		other.Number++
		require.Nil(t, scan(anna, 4, o.Output, other), "the same output at another place is none: it could not be spent twice")
		other = at
		other.Context[0] ^= 1
		require.Nil(t, scan(anna, 4, o.Output, other))
		if number > 1 {
			require.Nil(t, scan(anna, number, o.Output, at), "an address that is not looked for")
		}
	})
}

func TestViewKeysSeeAndDoNotSpend(t *testing.T) {
	anna := wallet(t, "anna")
	v, err := ParseViewKeys(anna.ViewBytes())
	require.NoError(t, err)
	require.Equal(t, anna.ViewKeys, *v)
	for n := range uint32(3) {
		require.Equal(t, anna.Address(n), v.Address(n))
	}
	at := place("tx", 0)
	o := pays(t, anna.Address(2), 99, "", at)
	require.EqualValues(t, 99, scanOne(NewScanner(v, 3), o.Output, at).Amount)
	for name, raw := range map[string][]byte{
		"short": anna.ViewBytes()[1:], "zero": append(make([]byte, 32), anna.ViewBytes()[32:]...),
		"no point": append(anna.ViewBytes()[:32], make([]byte, 33)...), "no scalar": append(bytes.Repeat([]byte{255}, 32), anna.ViewBytes()[32:]...),
	} {
		_, err := ParseViewKeys(raw)
		require.ErrorIs(t, err, ErrKeys, name)
	}
	_, err = NewKeys(curve.Scalar{}, curve.ScalarOf(1))
	require.ErrorIs(t, err, ErrKeys)
}

// The same secret at two places gives two one-time keys: who repeats an output makes no second one
// that could not be spent.
func TestEachPlaceHasKeysOfItsOwn(t *testing.T) {
	at := place("tx", 0)
	number, context := at, at
	number.Number++
	context.Context[0] ^= 1
	g, h := curve.Generator, pedersen.H
	s := shared(g.X(), h.Bytes(), at)
	for _, other := range []secret{
		shared(g.X(), h.Bytes(), number), shared(g.X(), h.Bytes(), context),
		shared(h.X(), h.Bytes(), at), shared(g.X(), g.Bytes(), at), shared(g.X(), h.Neg().Bytes(), at),
	} {
		require.NotEqual(t, s.offset(), other.offset())
		require.NotEqual(t, s.mask(), other.mask())
		require.NotEqual(t, s.pad(), other.pad())
	}
}

// Nothing in two outputs says that they are from one sender, or to one recipient.
func TestNothingIsTheSameInTwoOutputs(t *testing.T) {
	anna := wallet(t, "anna")
	a, b := pays(t, anna.Address(0), 5, "x", place("tx", 0)), pays(t, anna.Address(0), 5, "x", place("tx", 1))
	require.NotEqual(t, a.Ephemeral, b.Ephemeral)
	require.NotEqual(t, a.Key, b.Key)
	require.NotEqual(t, a.Commitment, b.Commitment)
	require.NotEqual(t, a.Sealed[:8], b.Sealed[:8])
	require.NotEqual(t, a.Sealed[8:24], b.Sealed[8:24])
}

// Whatever is changed in an output, its recipient does not take it for a payment.
func TestNothingInAnOutputCanBeChanged(t *testing.T) {
	anna := wallet(t, "anna")
	at := place("tx", 0)
	good := pays(t, anna.Address(1), 1000, "memo", at)
	rapid.Check(t, func(t *rapid.T) {
		o := good.Output
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0:
			o.Ephemeral = o.Ephemeral.Add(curve.Generator)
		case 1:
			o.Key = o.Key.Add(curve.Generator)
		case 2: // another amount, or another blinding factor
			o.Commitment = o.Commitment.Add(rapid.SampledFrom([]curve.Point{pedersen.H, curve.Generator}).Draw(t, "shift"))
		case 3:
			o.Tag ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 4:
			o.Sealed[rapid.IntRange(0, SealedSize-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		require.Nil(t, scan(anna, 2, o, at))
	})
}

// The Janus attack: an output whose shared secret is made with the view half of one address, and
// whose key with the spend half of another. A wallet that showed it would link the two.
func TestHalvesOfTwoAddressesAreNotTakenTogether(t *testing.T) {
	anna := wallet(t, "anna")
	at := place("tx", 0)
	one, two := anna.Address(1), anna.Address(2)
	for name, mixed := range map[string]Address{
		"two subaddresses":         {Spend: two.Spend, View: one.View, Sub: true},
		"main and sub":             {Spend: two.Spend, View: anna.Address(0).View},
		"sub and main":             {Spend: anna.Address(0).Spend, View: one.View, Sub: true},
		"a sub taken for the main": {Spend: one.Spend, View: one.View},
	} {
		for _, base := range []curve.Point{curve.Generator, one.Spend, two.Spend} {
			var anchor [AnchorSize]byte
			r := ephemeral(anchor, at, Payment{To: mixed, Amount: 7})
			o := pay(anchor, at, Payment{To: mixed, Amount: 7})
			o.Ephemeral = curve.MulVarTime(r, base)
			s := shared(curve.MulVarTime(r, mixed.View).X(), o.Ephemeral.Bytes(), at) // as the attacker would make it
			o.Key = mixed.Spend.Add(curve.BaseMulVarTime(s.offset()))
			o.Commitment = pedersen.Commit(7, s.mask())
			o.Tag = s.tag()
			pad := s.pad()
			copy(o.Sealed[:], pad[:])
			for i, b := range []byte{0, 0, 0, 0, 0, 0, 0, 7} {
				o.Sealed[i] ^= b
			}
			require.Nil(t, scan(anna, 3, o.Output, at), name)
		}
	}
}

func TestOnlyTheSenderCanProveAPayment(t *testing.T) {
	anna := wallet(t, "anna")
	at := place("tx", 1)
	to := anna.Address(1)
	o := pays(t, to, 4321, "rent", at)
	paid := Payment{to, 4321, []byte("rent")}
	p, err := Prove(seedOf("sender"), o.Output, at, paid, []byte("to the judge"))
	require.NoError(t, err)
	require.NoError(t, p.Verify(o.Output, at, []byte("to the judge")))
	require.ErrorIs(t, p.Verify(o.Output, at, []byte("to another judge")), ErrPaymentProof, "shown by who heard it")
	require.ErrorIs(t, p.Verify(o.Output, place("tx", 2), []byte("to the judge")), ErrPaymentProof)
	for name, change := range map[string]func(*PaymentProof){
		"another address": func(p *PaymentProof) { p.To = anna.Address(0) },
		"another amount":  func(p *PaymentProof) { p.Amount++ },
		"another memo":    func(p *PaymentProof) { p.Memo = []byte("gift") },
		"a long memo":     func(p *PaymentProof) { p.Memo = make([]byte, MemoSize+1) },
		"no prover":       func(p *PaymentProof) { p.Prover = nil },
		"no signature":    func(p *PaymentProof) { p.Signature = nil },
	} {
		wrong := *p
		change(&wrong)
		require.ErrorIs(t, wrong.Verify(o.Output, at, []byte("to the judge")), ErrPaymentProof, name)
	}
	_, err = Prove(seedOf("recipient"), o.Output, at, paid, nil)
	require.ErrorIs(t, err, ErrPaymentProof)
	paid.To = anna.Address(0)
	_, err = Prove(seedOf("sender"), o.Output, at, paid, nil)
	require.ErrorIs(t, err, ErrPaymentProof)
}

func TestMemosAreBounded(t *testing.T) {
	_, err := Pay(seedOf("sender"), place("tx", 0), Payment{wallet(t, "anna").Address(0), 1, make([]byte, MemoSize+1)})
	require.ErrorIs(t, err, ErrMemo)
}

func FuzzParseAddress(f *testing.F) {
	f.Add(wallet(f, "anna").Address(0).Bytes())
	f.Add(wallet(f, "anna").Address(1).Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ParseAddress(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrKeys)
			return
		}
		require.Equal(t, raw, a.Bytes())
	})
}

// Scanning outputs of others: with view tags, and as it would be without, when each one-time key
// must be computed.
func BenchmarkScan(b *testing.B) {
	anna, berta := wallet(b, "anna"), wallet(b, "berta")
	const n = 256
	all, keys := make([]Candidate, n), make([][curve.PointSize]byte, n)
	outputs := make([]Output, n)
	for i := range all {
		at := place("tx", uint32(i))
		for {
			o := pays(b, anna.Address(0), uint64(i), "", at).Output
			outputs[i], all[i], keys[i] = o, Candidate{at, o.Ephemeral.Bytes(), o.Tag}, o.Key.Bytes()
			s := shared(curve.MulVarTime(berta.view, o.Ephemeral).X(), o.Ephemeral.Bytes(), at)
			if s.tag() != o.Tag {
				break // a miss, as 255 of 256 are
			}
			at.Number += n
		}
	}
	scanner := NewScanner(&berta.ViewKeys, 1)
	b.Run("miss", func(b *testing.B) {
		for b.Loop() {
			_, err := scanner.Scan(all, func(int) (Output, error) { panic("a hit") })
			require.NoError(b, err)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/output")
	})
	b.Run("without-tags", func(b *testing.B) {
		ephemerals := make([][curve.PointSize]byte, n)
		for b.Loop() {
			for i := range all {
				ephemerals[i] = all[i].Ephemeral
			}
			for i, x := range curve.MulXAllVarTime(berta.view, ephemerals) {
				o := outputs[i]
				var err error
				if o.Key, err = curve.ParsePoint(keys[i][:]); err != nil {
					b.Fatal(err)
				}
				if scanner.open(shared(x, all[i].Ephemeral, all[i].Place), &o, all[i].Place) != nil {
					b.Fatal("not hers")
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/output")
	})
	b.Run("pay", func(b *testing.B) {
		for b.Loop() {
			pays(b, anna.Address(0), 5, "", place("tx", 0))
		}
	})
}
