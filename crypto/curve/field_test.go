package curve

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawField draws from all of the field, with a liking for its edges, where
// carries and folds happen.
func drawField(t *rapid.T, name string) field {
	word := rapid.OneOf(rapid.SampledFrom([]uint64{0, 1, fold - 1, fold, fold + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1, 1<<64 - fold - 1, 1<<64 - fold, 1<<64 - 2}), rapid.Uint64())
	f := field{word.Draw(t, name), word.Draw(t, name), word.Draw(t, name), word.Draw(t, name)}
	if f.overflows() {
		f[0] += fold
		f[1], f[2], f[3] = 0, 0, 0
	}
	return f
}

func (z *field) big() *big.Int {
	b := z.bytes()
	return new(big.Int).SetBytes(b[:])
}

func secpFieldModulus() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 256)
	return p.Sub(p, new(big.Int).SetUint64(1<<32+977))
}

func TestFieldAgreesWithBigIntegers(t *testing.T) {
	p := secpFieldModulus()
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawField(t, "x"), drawField(t, "y")
		a, b := x.big(), y.big()
		var z field
		z.add(&x, &y)
		require.Equal(t, mod(new(big.Int).Add(a, b)).String(), z.big().String())
		z.sub(&x, &y)
		require.Equal(t, mod(new(big.Int).Sub(a, b)).String(), z.big().String())
		z.neg(&x)
		require.Equal(t, mod(new(big.Int).Neg(a)).String(), z.big().String())
		z.mul(&x, &y)
		require.Equal(t, mod(new(big.Int).Mul(a, b)).String(), z.big().String())
		z.square(&x)
		require.Equal(t, mod(new(big.Int).Mul(a, a)).String(), z.big().String())
		z = x
		z.mul(&z, &z)
		require.Equal(t, mod(new(big.Int).Mul(a, a)).String(), z.big().String(), "in place")
		isSquare := z.sqrt(&x)
		require.Equal(t, big.Jacobi(a, p) != -1, isSquare)
		if isSquare {
			z.square(&z)
			require.Equal(t, x, z)
		}
		if !x.isZero() {
			z.inverse(&x)
			z.mul(&z, &x)
			require.Equal(t, field{1}, z)
		}
		e := x.element()
		require.Equal(t, a.String(), e.String())
	})
}

func TestFieldTakesOnlyBytesBelowP(t *testing.T) {
	p := secpFieldModulus()
	for d := int64(-2); d < 3; d++ {
		var f field
		b := new(big.Int).Add(p, big.NewInt(d)).FillBytes(make([]byte, 32))
		require.Equal(t, d < 0, f.setBytes(b))
	}
}

func BenchmarkField(b *testing.B) {
	x, y := field{1, 2, 3, 1 << 63}, field{5, 6, 7, 1 << 62}
	b.Run("mul", func(b *testing.B) {
		for b.Loop() {
			x.mul(&x, &y)
		}
	})
	b.Run("square", func(b *testing.B) {
		for b.Loop() {
			x.square(&x)
		}
	})
	b.Run("sub", func(b *testing.B) {
		for b.Loop() {
			x.sub(&x, &y)
		}
	})
	b.Run("sqrt", func(b *testing.B) {
		for b.Loop() {
			y.sqrt(&x)
		}
	})
	b.Run("inverse", func(b *testing.B) {
		for b.Loop() {
			y.inverse(&x)
		}
	})
}
