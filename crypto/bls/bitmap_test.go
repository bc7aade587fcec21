package bls

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBitmapIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "n")
		b := NewBitmap(n)
		model := map[int]bool{}
		for _, i := range rapid.SliceOf(rapid.IntRange(0, n-1)).Draw(t, "members") {
			b.Set(i)
			model[i] = true
		}
		require.NoError(t, b.Validate(n))
		require.Equal(t, len(model), b.Count())
		var want []int
		for i := range n {
			require.Equal(t, model[i], b.Has(i))
			if model[i] {
				want = append(want, i)
			}
		}
		require.Equal(t, want, slices.Collect(b.All()))
		back, err := ParseBitmap(b, n)
		require.NoError(t, err)
		require.Equal(t, b, back)
	})
}

func TestBitmapHasOneFormOnly(t *testing.T) {
	for _, c := range []struct {
		bytes []byte
		n     int
		ok    bool
	}{
		{nil, 0, true},
		{[]byte{0}, 0, false},
		{nil, 1, false},
		{[]byte{1}, 1, true},
		{[]byte{2}, 1, false},
		{[]byte{0xff}, 8, true},
		{[]byte{0xff, 1}, 9, true},
		{[]byte{0xff, 2}, 9, false},
		{[]byte{0xff, 0}, 8, false},
		{[]byte{0x7f}, 7, true},
		{[]byte{0x80}, 7, false},
		{nil, -3, true},
		{[]byte{1}, -3, false},
	} {
		_, err := ParseBitmap(c.bytes, c.n)
		if c.ok {
			require.NoError(t, err, "%x of %d", c.bytes, c.n)
		} else {
			require.ErrorIs(t, err, ErrBitmap, "%x of %d", c.bytes, c.n)
		}
	}
}

func TestBitmapIgnoresIndexesBeyondItself(t *testing.T) {
	b := NewBitmap(5)
	for _, i := range []int{-1, -9, 8, 1 << 40} {
		b.Set(i)
		require.False(t, b.Has(i))
	}
	require.Zero(t, b.Count())
	require.Empty(t, NewBitmap(-1))
}

func TestBitmapIterationStops(t *testing.T) {
	b := Bitmap{0xff}
	for i := range b.All() {
		require.LessOrEqual(t, i, 2)
		if i == 2 {
			break
		}
	}
}
