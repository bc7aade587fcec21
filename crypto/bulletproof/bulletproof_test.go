package bulletproof

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/pedersen"
)

func secret(tb testing.TB) curve.Scalar {
	s, err := curve.RandomScalar(rand.Reader)
	require.NoError(tb, err)
	return s
}

func claim(tb testing.TB, amount uint64) Claim {
	b := secret(tb)
	p, err := Prove(rand.Reader, amount, b)
	require.NoError(tb, err)
	return Claim{pedersen.Commit(amount, b), p}
}

func TestEveryAmountOf64BitsIsProved(t *testing.T) {
	amounts := []uint64{0, 1, 2, math.MaxUint32, 1 << 63, math.MaxUint64 - 1, math.MaxUint64}
	for i := range 64 {
		amounts = append(amounts, 1<<i)
	}
	var claims []Claim
	for _, v := range amounts {
		c := claim(t, v)
		require.True(t, c.Proof.Verify(c.Commitment), v)
		claims = append(claims, c)
	}
	require.Empty(t, BatchVerify(claims))
	require.Empty(t, BatchVerify(nil))
	for _, c := range claims[:3] {
		require.True(t, newOracle().verify(c.Commitment, c.Proof))
	}
}

// Whatever is changed in a proof or its commitment: it is refused, by each of the three that
// judge.
func TestNothingOfAProofCanBeChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := curve.ReduceScalar(rapid.SliceOfN(rapid.Byte(), 40, 40).Draw(t, "blinding"))
		v := rapid.Uint64().Draw(t, "amount")
		p, err := Prove(bytes.NewReader(make([]byte, 32)), v, b)
		require.NoError(t, err)
		commitment := pedersen.Commit(v, b)
		other, err := Prove(bytes.NewReader(bytes.Repeat([]byte{1}, 32)), v, b)
		require.NoError(t, err)
		bad := *p
		switch at := rapid.IntRange(-2, 17).Draw(t, "what"); {
		case at == -2:
			commitment = pedersen.Commit(v+1, b)
		case at == -1:
			commitment = pedersen.Commit(v, b.Add(curve.ScalarOf(1)))
		case at < 15:
			q := bad.points()[at]
			*q = rapid.SampledFrom([]curve.Point{q.Neg(), q.Add(curve.Generator), q.Add(pedersen.H), *other.points()[at], {}}).Draw(t, "instead")
		default:
			s := bad.scalars()[at-15]
			*s = rapid.SampledFrom([]curve.Scalar{s.Neg(), s.Add(curve.ScalarOf(1)), *other.scalars()[at-15], {}}).Draw(t, "instead")
		}
		require.False(t, bad.Verify(commitment))
		if rapid.IntRange(0, 9).Draw(t, "ask the oracle") == 0 {
			require.False(t, newOracle().verify(commitment, &bad))
		}
		good := Claim{pedersen.Commit(v, b), p}
		require.Equal(t, []int{1}, BatchVerify([]Claim{good, {commitment, &bad}, good}))
	})
}

// A prover that follows the protocol with what are no bits: amounts that are negative, or beyond
// 64 bits, as a cheat would want them.
func TestAmountsOutOfRangeAreNotProved(t *testing.T) {
	b := secret(t)
	two64 := curve.ScalarOf(1 << 63).Mul(curve.ScalarOf(2))
	for name, v := range map[string]curve.Scalar{"-1": curve.ScalarOf(1).Neg(), "2^64": two64, "2^64+5": two64.Add(curve.ScalarOf(5)), "n-2^40": curve.ScalarOf(1 << 40).Neg()} {
		commitment := curve.MulVarTime(v, pedersen.H).Add(curve.BaseMulVarTime(b))
		for _, claimed := range []uint64{0, 1, 5, math.MaxUint64} { // bits of something else under this commitment
			p, err := Prove(rand.Reader, claimed, b)
			require.NoError(t, err)
			require.False(t, p.Verify(commitment), name)
			require.False(t, forge(t, commitment, claimed, b).Verify(commitment), name)
		}
	}
	require.True(t, forge(t, pedersen.Commit(7, b), 7, b).Verify(pedersen.Commit(7, b)), "the forger's own steps are right")
}

// forge proves bits of an amount under a transcript of another commitment.
func forge(t *testing.T, commitment curve.Point, amount uint64, b curve.Scalar) *Proof {
	nonces, err := newNonces(rand.Reader, amount, b, commitment)
	require.NoError(t, err)
	return prove(nonces, commitment, amount, b)
}

func TestBatchFindsExactlyTheBadOnes(t *testing.T) {
	var good []Claim
	for i := range uint64(12) {
		good = append(good, claim(t, i*i))
	}
	rapid.Check(t, func(t *rapid.T) {
		claims := slices.Clone(good[:rapid.IntRange(0, len(good)).Draw(t, "n")])
		var bad []int
		for i := range claims {
			if rapid.IntRange(0, 3).Draw(t, "bad") == 0 {
				claims[i].Commitment = claims[i].Commitment.Add(curve.Generator)
				bad = append(bad, i)
			}
		}
		require.Equal(t, bad, BatchVerify(claims))
	})
}

// Two proofs whose errors would cancel if they were added up as they are.
func TestErrorsDoNotCancelInABatch(t *testing.T) {
	a := claim(t, 5)
	b := a
	p, q := *a.Proof, *a.Proof
	p.D1, q.D1 = p.D1.Add(curve.ScalarOf(1)), q.D1.Sub(curve.ScalarOf(1))
	a.Proof, b.Proof = &p, &q
	require.Equal(t, []int{0, 1}, BatchVerify([]Claim{a, b}))
}

func TestNoncesDependOnTheSecretsToo(t *testing.T) {
	b := secret(t)
	same := func() *bytes.Reader { return bytes.NewReader(make([]byte, 32)) }
	p, err := Prove(same(), 5, b)
	require.NoError(t, err)
	again, err := Prove(same(), 5, b)
	require.NoError(t, err)
	require.Equal(t, p, again)
	for _, other := range []struct {
		v uint64
		b curve.Scalar
	}{{6, b}, {5, b.Add(curve.ScalarOf(1))}} {
		q, err := Prove(same(), other.v, other.b)
		require.NoError(t, err)
		for i := range p.points() {
			require.NotEqual(t, p.points()[i], q.points()[i])
		}
	}
	_, err = Prove(bytes.NewReader(make([]byte, 31)), 5, b)
	require.Error(t, err)
}

var freeze = flag.Bool("freeze", false, "write testdata/vectors.json anew")

type vector struct {
	Amount                      uint64
	Blinding, Commitment, Proof string
}

// The oracle has judged these; they hold what is proved and how fixed.
func TestFrozenVectors(t *testing.T) {
	const file = "testdata/vectors.json"
	if *freeze {
		var out []vector
		for i, v := range []uint64{0, 1, 1_000_000, math.MaxUint64} {
			b := curve.ReduceScalar(bytes.Repeat([]byte{byte(i + 1)}, 32))
			p, err := Prove(bytes.NewReader(make([]byte, 32)), v, b)
			require.NoError(t, err)
			require.True(t, newOracle().verify(pedersen.Commit(v, b), p))
			out = append(out, vector{v, b.String(), pedersen.Commit(v, b).String(), hex.EncodeToString(p.Bytes())})
		}
		raw, err := json.MarshalIndent(out, "", " ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, append(raw, '\n'), 0o644))
	}
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var vectors []vector
	require.NoError(t, json.Unmarshal(raw, &vectors))
	require.Len(t, vectors, 4)
	for _, v := range vectors {
		enc, err := hex.DecodeString(v.Proof)
		require.NoError(t, err)
		require.Len(t, enc, 591)
		p, err := Parse(enc)
		require.NoError(t, err)
		rawB, _ := hex.DecodeString(v.Blinding)
		b, err := curve.ParseScalar(rawB)
		require.NoError(t, err)
		commitment := pedersen.Commit(v.Amount, b)
		require.Equal(t, v.Commitment, commitment.String())
		require.True(t, p.Verify(commitment))
		require.True(t, newOracle().verify(commitment, p))
		mine, err := Prove(bytes.NewReader(make([]byte, 32)), v.Amount, b)
		require.NoError(t, err)
		require.Equal(t, enc, mine.Bytes())
	}
}

func FuzzParse(f *testing.F) {
	b := curve.ScalarOf(9)
	p, err := Prove(bytes.NewReader(make([]byte, 32)), 77, b)
	require.NoError(f, err)
	f.Add(p.Bytes())
	f.Add(make([]byte, Size))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrProof)
			return
		}
		require.Equal(t, raw, p.Bytes())
		p.Verify(curve.Generator)
	})
}

func BenchmarkProve(b *testing.B) {
	k := secret(b)
	for b.Loop() {
		_, _ = Prove(rand.Reader, 12345, k)
	}
}

func BenchmarkVerify(b *testing.B) {
	c := claim(b, 12345)
	for b.Loop() {
		if !c.Proof.Verify(c.Commitment) {
			b.Fatal("refused")
		}
	}
}

func BenchmarkBatchVerify(b *testing.B) {
	for _, n := range []int{2, 16, 64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			claims := make([]Claim, n)
			for i := range claims {
				claims[i] = claim(b, uint64(i))
			}
			for b.Loop() {
				if BatchVerify(claims) != nil {
					b.Fatal("refused")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/proof")
		})
	}
}
