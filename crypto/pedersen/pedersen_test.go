package pedersen

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/curve"
)

// H follows from a public string alone; the encoding is frozen here, as every commitment there
// ever was depends on it.
func TestHComesFromAPublicString(t *testing.T) {
	p := curve.HashToPoint([]byte("H"), "starling/pedersen/secp256k1_XMD:SHA-256_SSWU_RO_/v1")
	require.Equal(t, p, H)
	require.Equal(t, "03dac7a49ac8c5814b049a802d7ad16040a34148cea8d6f71c20de2212ba43b486", H.String())
	require.NotEqual(t, curve.Generator, H)
}

func drawScalar(t *rapid.T, name string) curve.Scalar {
	return curve.ReduceScalar(rapid.SliceOfN(rapid.Byte(), 40, 40).Draw(t, name))
}

func TestCommitmentsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := rapid.Uint64Max(math.MaxUint64/2).Draw(t, "v"), rapid.Uint64Max(math.MaxUint64/2).Draw(t, "w")
		a, b := drawScalar(t, "a"), drawScalar(t, "b")
		require.Equal(t, Commit(v+w, a.Add(b)), Commit(v, a).Add(Commit(w, b)))
		require.Equal(t, Commit(v, a), curve.MulVarTime(curve.ScalarOf(v), H).Add(curve.BaseMulVarTime(a)))
		require.NotEqual(t, Commit(v, a), Commit(v+1, a))
		require.NotEqual(t, Commit(v, a), Commit(v, a.Add(curve.ScalarOf(1))))
	})
}

func TestBalancedHoldsExactlyForEqualSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Uint64Max(1<<32), 0, 4).Draw(t, "in")
		fee := rapid.Uint64Max(1<<20).Draw(t, "fee")
		var sum uint64
		var inputs, outputs []curve.Point
		var excess curve.Scalar
		for _, v := range in {
			b := drawScalar(t, "b")
			sum += v
			inputs = append(inputs, Commit(v, b))
			excess = excess.Add(b)
		}
		out := rapid.SliceOfN(rapid.Uint64Max(1<<32), 1, 4).Draw(t, "out")
		out[0] = sum - fee // wraps around where the fee is higher
		for _, v := range out[1:] {
			out[0] -= v
		}
		total := fee
		for _, v := range out {
			b := drawScalar(t, "b")
			outputs = append(outputs, Commit(v, b))
			excess = excess.Sub(b)
			total += v
		}
		require.Equal(t, sum, total, "modulo 2^64")
		wraps := out[0] > sum
		require.Equal(t, !wraps, Balanced(inputs, outputs, fee, excess), "modulo the order it is no sum if one amount wrapped around")
		require.False(t, Balanced(inputs, outputs, fee+1, excess))
		require.False(t, Balanced(inputs, outputs, fee, excess.Add(curve.ScalarOf(1))))
	})
}
