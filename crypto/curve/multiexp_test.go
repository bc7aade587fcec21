package curve

import (
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEndomorphismMultipliesByLambda(t *testing.T) {
	_, g := secp256k1.Generators()
	var want secp256k1.G1Affine
	want.ScalarMultiplication(&g, lambda.BigInt(new(big.Int)))
	require.Equal(t, Generator, pointOf(&g))
	p := Generator
	p.x.mul(&p.x, &beta)
	require.Equal(t, pointOf(&want), p)
}

func TestSplitScalarsAreShortAndAddUp(t *testing.T) {
	check := func(t require.TestingT, k fr.Element) {
		k1, neg1, k2, neg2 := split(&k)
		value := func(w [2]uint64, neg bool) (out fr.Element) {
			out.SetBigInt(new(big.Int).Add(new(big.Int).SetUint64(w[0]), new(big.Int).Lsh(new(big.Int).SetUint64(w[1]), 64)))
			if neg {
				out.Neg(&out)
			}
			return out
		}
		a, b := value(k1, neg1), value(k2, neg2)
		b.Mul(&b, &lambda).Add(&b, &a)
		require.True(t, b.Equal(&k), "the halves add up only if none was cut at 128 bits")
	}
	for _, edge := range []int64{0, 1, 2, -1, -2} {
		var k fr.Element
		check(t, *k.SetInt64(edge))
		check(t, *k.Add(&k, &lambda))
	}
	rapid.Check(t, func(t *rapid.T) {
		var k fr.Element
		k.SetBytes(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "k"))
		check(t, k)
	})
}

func TestSumAgreesWithTheCurveLibrary(t *testing.T) {
	_, g := secp256k1.Generators()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{1, 2, 5, 13, 60, 250}).Draw(t, "n")
		m := NewSum(n)
		points, scalars := make([]secp256k1.G1Affine, n), make([]fr.Element, n)
		step := rapid.Uint64Range(0, 3).Draw(t, "step")
		rng := rapid.Uint64().Draw(t, "scalars")
		for i := range n { // few distinct points, so that equal and opposite ones meet
			k := new(big.Int).SetUint64(1 + step*uint64(i)%7)
			points[i].ScalarMultiplication(&g, k)
			if i%3 == 1 {
				points[i].Neg(&points[i])
			}
			scalars[i].SetUint64(rng).Square(&scalars[i])
			if i%2 == 1 {
				scalars[i].Square(&scalars[i])
			}
			if rng%5 == 0 {
				scalars[i].SetUint64(rng % 3)
			}
			rng = rng*6364136223846793005 + 1442695040888963407
			p := pointOf(&points[i])
			m.Add(&p, Scalar{scalars[i]})
		}
		var want secp256k1.G1Affine
		_, err := want.MultiExp(points, scalars, ecc.MultiExpConfig{NbTasks: 1})
		require.NoError(t, err)
		require.Equal(t, pointOf(&want), m.Total())
	})
}
