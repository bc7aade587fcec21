package keys

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParsePublicKey(f *testing.F) {
	for _, kind := range Kinds() {
		f.Add(seeded(f, kind, 1).Public().Bytes())
	}
	f.Add([]byte{2, 1, 31: 0, 32: 0x80})
	multi, _ := group(f, 2, 3)
	f.Add(multi.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParsePublicKey(b)
		if err != nil {
			require.ErrorIs(t, err, ErrPublicKey)
			require.True(t, key.IsZero())
			return
		}
		require.NoError(t, CheckForm(b))
		require.Equal(t, b, key.Bytes())
		require.False(t, key.Verify([]byte("m"), make([]byte, 65)))
	})
}

func FuzzParsePrivateKey(f *testing.F) {
	for _, kind := range []Kind{Secp256k1, Ed25519, P256} {
		f.Add(seeded(f, kind, 1).Bytes())
	}
	key, err := Generate(RSA, rand.Reader)
	require.NoError(f, err)
	f.Add(key.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ParsePrivateKey(b)
		if err != nil {
			require.ErrorIs(t, err, ErrPrivateKey)
			return
		}
		require.Equal(t, b, key.Bytes())
		sig, err := key.Sign([]byte("m"))
		require.NoError(t, err)
		require.True(t, key.Public().Verify([]byte("m"), sig))
	})
}

// Whatever bytes arrive, single and batch verification say the same.
func FuzzVerify(f *testing.F) {
	good := signed(f, Secp256k1, 2, 2)
	for _, kind := range []Kind{Secp256k1, Ed25519, P256} {
		it := signed(f, kind, 1, 1)[0]
		f.Add(it.Key.Bytes(), it.Msg, it.Sig)
	}
	f.Add(good[0].Key.Bytes(), good[0].Msg, good[1].Sig)
	f.Fuzz(func(t *testing.T, enc, msg, sig []byte) {
		key, err := ParsePublicKey(enc)
		if err != nil {
			return
		}
		items := []Item{good[0], {key, msg, sig}, good[1], {key, msg, sig}}
		require.Equal(t, oneByOne(items), BatchVerify(items))
	})
}
