package ring

import (
	"crypto/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/curve"
)

// related are points between which sums are exceptional: the same, the opposite, none.
func related(t *rapid.T, s *spend) curve.Point {
	i := rapid.IntRange(0, len(s.Ring)-1).Draw(t, "of")
	m := s.Ring[i]
	p := rapid.SampledFrom([]curve.Point{
		m.Key, m.Commitment, Base(m.Key), s.Image, s.Pseudo, s.sig.D, curve.Generator, {},
	}).Draw(t, "point")
	if rapid.Bool().Draw(t, "negated") {
		p = p.Neg()
	}
	return p
}

// twist changes some of a claim, to whatever makes the sums meet themselves.
func twist(t *rapid.T, s *spend) {
	s.Ring, s.sig.Responses = slices.Clone(s.Ring), slices.Clone(s.sig.Responses)
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		i := rapid.IntRange(0, len(s.Ring)-1).Draw(t, "member")
		k := rapid.SampledFrom([]curve.Scalar{{}, curve.ScalarOf(1), curve.ScalarOf(1).Neg(), s.sig.First, s.sig.Responses[0]}).Draw(t, "scalar")
		switch rapid.IntRange(0, 7).Draw(t, "what") {
		case 0:
			s.Ring[i].Key = related(t, s)
		case 1:
			s.Ring[i].Commitment = related(t, s)
		case 2:
			s.Image = related(t, s)
		case 3:
			s.Pseudo = related(t, s)
		case 4:
			s.sig.D = related(t, s)
		case 5:
			s.sig.First = k
		case 6:
			s.sig.Responses[i%len(s.sig.Responses)] = k
		case 7:
			s.sig.Responses = s.sig.Responses[:len(s.sig.Responses)-1]
			if len(s.sig.Responses) == 0 {
				s.sig.Responses = []curve.Scalar{k}
			}
		}
	}
}

// Signatures in step are worth what each is by itself, whatever stands beside them, and go through the same
// challenges where they do not hold.
func TestSignaturesInStepAreVerifiedAsEachIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var spends []spend
		var claims []Claim
		for range rapid.IntRange(0, 4).Draw(t, "claims") {
			s := drawSpend(t, rapid.IntRange(2, 4).Draw(t, "members"))
			twist(t, &s)
			spends, claims = append(spends, s), append(claims, Claim{s.Statement, Prepare(s.Ring...), s.sig})
		}
		errs := VerifyEach(claims)
		require.Len(t, errs, len(claims))
		var walks []*walk
		for i, s := range spends {
			want := s.sig.Verify(s.Statement)
			require.Equal(t, want, errs[i])
			if claims[i].check() == nil {
				walks = append(walks, &walk{Claim: &claims[i], at: i})
			}
		}
		begin(newOnce(len(walks)), walks)
		goRound(new(curve.Combiner), slices.Clone(walks))
		for _, w := range walks {
			s := spends[w.at]
			l, _, _ := s.loop(s.sig.D)
			c := s.sig.First
			for i, response := range s.sig.Responses {
				c = l.step(i, c, response)
			}
			require.Equal(t, c, w.c)
		}
	})
}

// Whose pseudo-output is the commitment itself can go round the circle, with D at infinity, but would tell
// which member it is.
func TestDAtInfinityIsRefused(t *testing.T) {
	s := rapid.Custom(func(t *rapid.T) spend { return drawSpend(t, 3) }).Example(7)
	in := s.Statement
	in.Pseudo = in.Ring[s.at].Commitment
	l, muKey, _ := in.loop(curve.Point{})
	nonces, err := newNonces(rand.Reader, l.transcript)
	require.NoError(t, err)
	sig := new(Signature)
	sig.First, sig.Responses = l.close(&nonces, s.at, muKey.Mul(s.coins[s.at].secret))
	require.True(t, l.holds(sig.First, sig.Responses))
	require.ErrorIs(t, sig.Verify(in), ErrSignature)
	require.ErrorIs(t, VerifyEach([]Claim{{in, Prepare(in.Ring...), sig}})[0], ErrSignature)
}
