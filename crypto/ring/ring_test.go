package ring

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/pedersen"
)

// coin is what a member could spend.
type coin struct {
	secret, blinding curve.Scalar
	amount           uint64
}

func (c coin) member() Member {
	return Member{curve.BaseMulVarTime(c.secret), pedersen.Commit(c.amount, c.blinding)}
}

func scalar(t *rapid.T, name string) curve.Scalar {
	return curve.ReduceScalar(append(rapid.SliceOfN(rapid.Byte(), 40, 40).Draw(t, name), 1))
}

// spend is a signed statement, with all that the signer knows.
type spend struct {
	Statement
	coins      []coin
	at         int
	pseudo     curve.Scalar // blinding factor of the pseudo-output
	difference curve.Scalar
	sig        *Signature
}

func drawSpend(t *rapid.T, n int) spend {
	var s spend
	for i := range n {
		c := coin{scalar(t, "secret"), scalar(t, "blinding"), uint64(i * i)}
		s.coins = append(s.coins, c)
		s.Ring = append(s.Ring, c.member())
	}
	s.at = rapid.IntRange(0, n-1).Draw(t, "at")
	s.Message = hash.Sum("test", rapid.SliceOf(rapid.Byte()).Draw(t, "message"))
	s.sign(t)
	return s
}

func (s *spend) sign(t require.TestingT) {
	mine := s.coins[s.at]
	s.pseudo = curve.ScalarOf(uint64(len(s.coins))).Add(mine.secret)
	s.difference = mine.blinding.Sub(s.pseudo)
	s.Pseudo = pedersen.Commit(mine.amount, s.pseudo)
	s.Image = Image(mine.secret)
	var err error
	s.sig, err = Sign(rand.Reader, s.Statement, s.at, mine.secret, s.difference)
	require.NoError(t, err)
}

func TestAnyMemberCanSign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpend(t, rapid.SampledFrom([]int{2, 3, 5}).Draw(t, "n"))
		require.NoError(t, s.sig.Verify(s.Statement))
		back, err := Parse(s.sig.Bytes(), len(s.Ring))
		require.NoError(t, err)
		require.Equal(t, s.sig, back)
		require.Len(t, s.sig.Bytes(), SizeOf(len(s.Ring)))
		keys := s.keys()
		k, err := SignKey(rand.Reader, keys, s.Message, s.at, s.coins[s.at].secret)
		require.NoError(t, err)
		require.NoError(t, k.Verify(keys, s.Message))
		require.Equal(t, s.Image, k.Image, "linked")
		kBack, err := ParseKeySignature(k.Bytes(), len(keys))
		require.NoError(t, err)
		require.Equal(t, k, kBack)
	})
}

func TestRingsOfTheLargestSize(t *testing.T) {
	s := rapid.Custom(func(t *rapid.T) spend { return drawSpend(t, MaxSize) }).Example(1)
	require.NoError(t, s.sig.Verify(s.Statement))
	s.Ring = append(s.Ring, coin{curve.ScalarOf(1), curve.ScalarOf(1), 1}.member())
	require.ErrorIs(t, s.sig.Verify(s.Statement), ErrRing)
}

// What is changed in a statement or a signature of it: it does not hold any more.
func TestNothingSignedCanBeChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpend(t, 3)
		in, sig := s.Statement, *s.sig
		in.Ring, sig.Responses = slices.Clone(in.Ring), slices.Clone(sig.Responses)
		i := rapid.IntRange(0, 2).Draw(t, "member")
		other := coin{curve.ScalarOf(77), curve.ScalarOf(78), 4}.member()
		one := curve.ScalarOf(1)
		want := ErrSignature
		switch rapid.IntRange(0, 14).Draw(t, "what") {
		case 0:
			in.Ring[i].Key = other.Key
		case 1:
			in.Ring[i].Commitment = other.Commitment
		case 2:
			in.Ring[i], in.Ring[(i+1)%3] = in.Ring[(i+1)%3], in.Ring[i]
		case 3:
			in.Ring[i].Commitment, in.Ring[(i+1)%3].Commitment = in.Ring[(i+1)%3].Commitment, in.Ring[i].Commitment
		case 4:
			in.Image = in.Image.Neg()
		case 5:
			in.Image = Image(s.coins[(s.at+1)%3].secret) // of another member
		case 6:
			in.Image = in.Image.Add(curve.Generator)
		case 7:
			in.Pseudo = in.Pseudo.Add(pedersen.H) // one drop more
		case 8:
			in.Pseudo = in.Pseudo.Add(curve.Generator)
		case 9:
			in.Message[0] ^= 1
		case 10:
			sig.D = sig.D.Add(curve.Generator)
		case 11:
			sig.First = sig.First.Add(one)
		case 12:
			sig.Responses[i] = sig.Responses[i].Add(one)
		case 13:
			sig.Responses = sig.Responses[:2]
		case 14:
			in.Ring[i], want = in.Ring[(i+1)%3], ErrRing
		}
		require.ErrorIs(t, sig.Verify(in), want)
		errs := VerifyEach([]Claim{{in, Prepare(in.Ring...), &sig}, {s.Statement, Prepare(s.Ring...), s.sig}})
		require.ErrorIs(t, errs[0], want)
		require.NoError(t, errs[1])
	})
}

// A statement that is false cannot be signed by who goes round the circle as the protocol says.
func TestWhatIsNotTrueCannotBeSigned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpend(t, 3)
		mine := s.coins[s.at]
		in, secret, difference := s.Statement, mine.secret, s.difference
		d := s.sig.D
		switch rapid.IntRange(0, 4).Draw(t, "cheat") {
		case 0: // the pseudo-output holds more than the coin
			in.Pseudo = pedersen.Commit(mine.amount+1000, s.pseudo)
		case 1: // the amount of one member, the key of another
			richer := (s.at + 1) % 3
			in.Pseudo = pedersen.Commit(s.coins[richer].amount, s.pseudo)
			difference = s.coins[richer].blinding.Sub(s.pseudo)
			d = curve.MulVarTime(difference, Base(in.Ring[s.at].Key))
			if s.coins[richer].amount == mine.amount {
				t.Skip("no cheat")
			}
		case 2: // a key image that is not the key's, to spend a second time
			in.Image = curve.MulVarTime(secret, Base(in.Ring[(s.at+1)%3].Key))
		case 3:
			in.Image = curve.MulVarTime(secret.Add(curve.ScalarOf(1)), Base(in.Ring[s.at].Key))
		case 4: // somebody else's key
			secret = secret.Add(curve.ScalarOf(1))
		}
		_, err := Sign(rand.Reader, in, s.at, secret, difference)
		require.ErrorIs(t, err, ErrSecret)

		l, muKey, muAmount := in.loop(d)
		nonces, err := newNonces(rand.Reader, l.transcript, secret)
		require.NoError(t, err)
		forged := &Signature{D: d}
		forged.First, forged.Responses = l.close(&nonces, s.at, muKey.Mul(secret).Add(muAmount.Mul(difference)))
		require.ErrorIs(t, forged.Verify(in), ErrSignature)
	})
}

func TestStatementsThatNobodyCanSign(t *testing.T) {
	s := rapid.Custom(func(t *rapid.T) spend { return drawSpend(t, 3) }).Example(2)
	for name, change := range map[string]func(*Statement){
		"a key twice":          func(in *Statement) { in.Ring[1].Key = in.Ring[0].Key },
		"one member":           func(in *Statement) { in.Ring = in.Ring[:1] },
		"nobody":               func(in *Statement) { in.Ring = nil },
		"key at infinity":      func(in *Statement) { in.Ring[1].Key = curve.Point{} },
		"image at infinity":    func(in *Statement) { in.Image = curve.Point{} },
		"pseudo-output at inf": func(in *Statement) { in.Pseudo = curve.Point{} },
	} {
		in := s.Statement
		in.Ring = slices.Clone(in.Ring)
		change(&in)
		require.ErrorIs(t, s.sig.Verify(in), ErrRing, name)
		_, err := Sign(rand.Reader, in, s.at, s.coins[s.at].secret, s.difference)
		require.ErrorIs(t, err, ErrRing, name)
	}
	mine := s.coins[s.at]
	same := s.Statement
	same.Pseudo = s.Ring[s.at].Commitment
	_, err := Sign(rand.Reader, same, s.at, mine.secret, curve.Scalar{})
	require.ErrorIs(t, err, ErrSecret, "the pseudo-output would tell which member it is")
	for _, at := range []int{-1, 3} {
		_, err = Sign(rand.Reader, s.Statement, at, mine.secret, s.difference)
		require.ErrorIs(t, err, ErrSecret)
	}
}

// Each part of a statement is in the hash that all challenges hang on: what were left out could be
// chosen after the challenges are known, and that no equation notices it today is no promise.
func TestEachPartOfAStatementIsHashed(t *testing.T) {
	s := rapid.Custom(func(t *rapid.T) spend { return drawSpend(t, 3) }).Example(6)
	other := coin{curve.ScalarOf(77), curve.ScalarOf(78), 4}.member()
	weights := func(change func(in *Statement, d *curve.Point)) [3]curve.Scalar {
		in, d := s.Statement, s.sig.D
		in.Ring = slices.Clone(in.Ring)
		change(&in, &d)
		l, muKey, muAmount := in.loop(d)
		return [3]curve.Scalar{muKey, muAmount, l.challenge(curve.Generator, pedersen.H)}
	}
	seen := map[curve.Scalar]string{}
	for name, change := range map[string]func(in *Statement, d *curve.Point){
		"nothing":      func(*Statement, *curve.Point) {},
		"a key":        func(in *Statement, _ *curve.Point) { in.Ring[1].Key = other.Key },
		"a commitment": func(in *Statement, _ *curve.Point) { in.Ring[1].Commitment = other.Commitment },
		"the order":    func(in *Statement, _ *curve.Point) { in.Ring[0], in.Ring[1] = in.Ring[1], in.Ring[0] },
		"the image":    func(in *Statement, _ *curve.Point) { in.Image = other.Key },
		"the pseudo":   func(in *Statement, _ *curve.Point) { in.Pseudo = other.Commitment },
		"D":            func(_ *Statement, d *curve.Point) { *d = other.Key },
		"the message":  func(in *Statement, _ *curve.Point) { in.Message[5] ^= 1 },
		"one fewer":    func(in *Statement, _ *curve.Point) { in.Ring = in.Ring[:2] },
	} {
		for _, w := range weights(change) {
			require.Empty(t, seen[w], name)
			seen[w] = name
		}
	}
	l, _, _ := s.loop(s.sig.D)
	base := l.challenge(curve.Generator, pedersen.H)
	require.NotEqual(t, base, l.challenge(other.Key, pedersen.H))
	require.NotEqual(t, base, l.challenge(curve.Generator, other.Key))

	keys := s.keys()
	first := keyLoop(keys, s.Image, s.Message).challenge(curve.Generator, pedersen.H)
	require.NotEqual(t, first, keyLoop(keys[:2], s.Image, s.Message).challenge(curve.Generator, pedersen.H))
	require.NotEqual(t, first, keyLoop(keys, other.Key, s.Message).challenge(curve.Generator, pedersen.H))
	message := s.Message
	message[0] ^= 1
	require.NotEqual(t, first, keyLoop(keys, s.Image, message).challenge(curve.Generator, pedersen.H))
}

func TestKeySignaturesAreBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpend(t, 3)
		keys := s.keys()
		sig, err := SignKey(rand.Reader, keys, s.Message, s.at, s.coins[s.at].secret)
		require.NoError(t, err)
		bad, message := *sig, s.Message
		bad.Responses = slices.Clone(bad.Responses)
		i := rapid.IntRange(0, 2).Draw(t, "member")
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			message[3] ^= 4
		case 1:
			bad.Image = bad.Image.Neg()
		case 2:
			bad.First = bad.First.Neg()
		case 3:
			bad.Responses[i] = bad.Responses[i].Neg()
		case 4:
			keys[i] = curve.Generator
		case 5:
			keys[i], keys[(i+1)%3] = keys[(i+1)%3], keys[i]
		}
		require.ErrorIs(t, bad.Verify(keys, message), ErrSignature)
		_, err = SignKey(rand.Reader, keys, message, s.at, s.coins[s.at].secret.Neg())
		require.ErrorIs(t, err, ErrSecret)
	})
}

func TestNoncesDependOnTheStatementToo(t *testing.T) {
	s := rapid.Custom(func(t *rapid.T) spend { return drawSpend(t, 3) }).Example(3)
	mine := s.coins[s.at]
	sign := func(in Statement) *Signature {
		sig, err := Sign(bytes.NewReader(make([]byte, 32)), in, s.at, mine.secret, s.difference)
		require.NoError(t, err)
		return sig
	}
	other := s.Statement
	other.Message[0] ^= 1
	a, b := sign(s.Statement), sign(other)
	require.Equal(t, a, sign(s.Statement))
	for i := range a.Responses {
		require.NotEqual(t, a.Responses[i], b.Responses[i])
	}
	_, err := Sign(bytes.NewReader(nil), s.Statement, s.at, mine.secret, s.difference)
	require.Error(t, err)
}

func FuzzParse(f *testing.F) {
	s := rapid.Custom(func(t *rapid.T) spend { return drawSpend(t, 2) }).Example(4)
	f.Add(s.sig.Bytes(), 2)
	f.Add([]byte{}, 0)
	f.Add(make([]byte, SizeOf(3)), 3)
	f.Fuzz(func(t *testing.T, raw []byte, n int) {
		sig, err := Parse(raw, n)
		if err != nil {
			require.ErrorIs(t, err, ErrEncoding)
			return
		}
		require.Equal(t, raw, sig.Bytes())
		if len(sig.Responses) == 2 {
			_ = sig.Verify(s.Statement)
		}
	})
}
