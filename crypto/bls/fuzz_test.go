package bls

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParsePublicKey(f *testing.F) {
	f.Add(keyOf(f, 1).Public().Bytes())
	f.Add(identityKey)
	q := outsideG2(f)
	enc := q.Bytes()
	f.Add(enc[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParsePublicKey(b)
		if err != nil {
			require.ErrorIs(t, err, ErrKey)
			return
		}
		require.Equal(t, b, key.Bytes())
		require.True(t, key.point.IsOnCurve() && key.point.IsInSubGroup() && !key.point.IsInfinity())
	})
}

func FuzzParseSignature(f *testing.F) {
	sig := keyOf(f, 1).Sign(msg)
	f.Add(sig[:])
	f.Add(identitySig[:])
	p := outsideG1(f)
	enc := p.Bytes()
	f.Add(enc[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		sig, err := ParseSignature(b)
		if err != nil {
			require.ErrorIs(t, err, ErrSignature)
			return
		}
		require.Equal(t, b, sig[:])
		p, err := sig.point()
		require.NoError(t, err)
		require.True(t, p.IsOnCurve() && p.IsInSubGroup() && !p.IsInfinity())
	})
}

func FuzzParseSecretKey(f *testing.F) {
	f.Add(keyOf(f, 1).Bytes())
	f.Add(make([]byte, 32))
	f.Fuzz(func(t *testing.T, b []byte) {
		if key, err := ParseSecretKey(b); err == nil {
			require.Equal(t, b, key.Bytes())
		}
	})
}

func FuzzParseBitmap(f *testing.F) {
	f.Add([]byte{7}, 3)
	f.Add([]byte{8}, 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		bitmap, err := ParseBitmap(b, n)
		if err != nil {
			require.ErrorIs(t, err, ErrBitmap)
			return
		}
		again := NewBitmap(n)
		for i := range bitmap.All() {
			require.Less(t, i, n)
			again.Set(i)
		}
		require.Equal(t, b, append(b[:0:0], again...))
	})
}
