package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// rsaKey is slow to make, so the tests share one.
var rsaKey = sync.OnceValues(func() (PrivateKey, error) { return Generate(RSA, rand.Reader) })

func seeded(t require.TestingT, kind Kind, n byte) PrivateKey {
	if kind == RSA {
		key, err := rsaKey()
		require.NoError(t, err)
		return key
	}
	key, err := FromSeed(kind, bytes.Repeat([]byte{n}, MinSeedSize))
	require.NoError(t, err)
	return key
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// The secp256k1 vectors that RFC 6979 implementations share (first published
// with Trezor's and CoreBitcoin's libraries).
func TestSecp256k1SignaturesFollowRFC6979(t *testing.T) {
	for _, v := range []struct{ key, msg, sig string }{
		{
			"01", "Satoshi Nakamoto",
			"934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8" +
				"2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
		},
		{
			"01", "All those moments will be lost in time, like tears in rain. Time to die...",
			"8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b" +
				"547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
		},
		{
			"fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140", "Satoshi Nakamoto",
			"fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0" +
				"6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
		},
		{
			"f8b8af8ce3c7cca5e300d33939540c10d45ce001b8f252bfbc57ba0342904181", "Alan Turing",
			"7063ae83e7f62bbb171798131b4a0564b956930092b33b07b395615d9ec7e15c" +
				"58dfcc1e00a35e1572f366ffe34ba0fc47db1e7189759b9fb233c5b05ab388ea",
		},
	} {
		raw := make([]byte, 32)
		b := unhex(t, v.key)
		copy(raw[32-len(b):], b)
		key, err := ParsePrivateKey(append([]byte{byte(Secp256k1)}, raw...))
		require.NoError(t, err)
		sig, err := key.Sign([]byte(v.msg))
		require.NoError(t, err)
		require.Equal(t, v.sig, hex.EncodeToString(sig[:64]), v.msg)
		require.True(t, key.Public().Verify([]byte(v.msg), sig))
	}
}

// RFC 6979, appendix A.2.5, "sample" with SHA-256; s is above n/2 there.
func TestP256SignatureFollowsRFC6979WithLowS(t *testing.T) {
	key, err := ParsePrivateKey(append([]byte{byte(P256)}, unhex(t, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")...))
	require.NoError(t, err)
	sig, err := key.Sign([]byte("sample"))
	require.NoError(t, err)
	require.Equal(t, "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716", hex.EncodeToString(sig[:32]))
	s, _ := new(big.Int).SetString("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8", 16)
	s.Sub(elliptic.P256().Params().N, s)
	require.Equal(t, s.Bytes(), sig[32:])
}

// RFC 8032, section 7.1, test 2.
func TestEd25519FollowsRFC8032(t *testing.T) {
	pub := "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
	key, err := ParsePrivateKey(unhex(t, "02"+"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"+pub))
	require.NoError(t, err)
	require.Equal(t, unhex(t, "02"+pub), key.Public().Bytes())
	sig, err := key.Sign([]byte{0x72})
	require.NoError(t, err)
	require.Equal(t, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"+
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00", hex.EncodeToString(sig))
}

func TestKeysAndSignaturesRoundTrip(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			key := seeded(t, kind, 7)
			require.Equal(t, kind, key.Kind())
			private, err := ParsePrivateKey(key.Bytes())
			require.NoError(t, err)
			require.Equal(t, key.Bytes(), private.Bytes())
			public, err := ParsePublicKey(key.Public().Bytes())
			require.NoError(t, err)
			require.True(t, public == private.Public() && public.Equal(key.Public()))
			require.Equal(t, kind, Kind(public.Bytes()[0]))

			msg := []byte("pay")
			sig, err := private.Sign(msg)
			require.NoError(t, err)
			again, err := key.Sign(msg)
			require.NoError(t, err)
			require.Equal(t, sig, again, "signing is deterministic")
			require.True(t, public.Verify(msg, sig))
			require.False(t, public.Verify([]byte("pax"), sig))
			require.False(t, public.Verify(msg, append(sig, 0)))
			require.False(t, public.Verify(msg, sig[:len(sig)-1]))
			require.False(t, public.Verify(msg, nil))

			raw, err := private.Libp2p().GetPublic().Raw()
			require.NoError(t, err)
			if kind != P256 { // libp2p writes P-256 as PKIX
				require.Equal(t, public.Bytes()[1:], raw)
			}
		})
	}
}

func TestEverySingleFlippedBitOfASignatureIsRefused(t *testing.T) {
	for _, kind := range []Kind{Secp256k1, Ed25519, P256} {
		key := seeded(t, kind, 3)
		sig, err := key.Sign([]byte("m"))
		require.NoError(t, err)
		for bit := range 8 * len(sig) {
			sig[bit/8] ^= 1 << (bit % 8)
			require.False(t, key.Public().Verify([]byte("m"), sig), "%s bit %d", kind, bit)
			sig[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestGeneratedKeysDifferAndUseTheGivenRandomness(t *testing.T) {
	for _, kind := range []Kind{Secp256k1, Ed25519, P256} {
		a, err := Generate(kind, rand.Reader)
		require.NoError(t, err)
		b, err := Generate(kind, rand.Reader)
		require.NoError(t, err)
		require.NotEqual(t, a.Bytes(), b.Bytes())
		source := bytes.Repeat([]byte{5}, 32)
		c, err := Generate(kind, bytes.NewReader(source))
		require.NoError(t, err)
		require.Equal(t, source, c.Bytes()[1:33])
		_, err = Generate(kind, bytes.NewReader(source[1:]))
		require.Error(t, err)
	}
	_, err := Generate(Secp256k1, bytes.NewReader(make([]byte, 1024)))
	require.ErrorIs(t, err, ErrPrivateKey, "a source of zeros is noticed")
	_, err = Generate(9, rand.Reader)
	require.ErrorIs(t, err, ErrKind)
}

func TestSeedsDeriveOneKeyEach(t *testing.T) {
	require.Equal(t, seeded(t, Secp256k1, 1).Bytes(), seeded(t, Secp256k1, 1).Bytes())
	require.NotEqual(t, seeded(t, Secp256k1, 1).Bytes(), seeded(t, Secp256k1, 2).Bytes())
	require.NotEqual(t, seeded(t, Secp256k1, 1).Bytes()[1:], seeded(t, P256, 1).Bytes()[1:])
	_, err := FromSeed(Secp256k1, make([]byte, MinSeedSize-1))
	require.ErrorIs(t, err, ErrPrivateKey)
	_, err = FromSeed(RSA, make([]byte, MinSeedSize))
	require.ErrorIs(t, err, ErrKind)
}

func TestImpossiblePrivateKeysAreRefused(t *testing.T) {
	n := map[Kind]string{
		Secp256k1: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
		P256:      "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
	}
	for kind, order := range n {
		for _, raw := range [][]byte{{}, make([]byte, 32), make([]byte, 31), make([]byte, 33), unhex(t, order), bytes.Repeat([]byte{255}, 32)} {
			_, err := ParsePrivateKey(append([]byte{byte(kind)}, raw...))
			require.ErrorIs(t, err, ErrPrivateKey, "%s %x", kind, raw)
		}
	}
	for kind := range Kind(10) { // mismatched halves, and bytes of another kind
		for _, other := range Kinds() {
			b := seeded(t, other, 1).Bytes()
			if other == Ed25519 && kind == Ed25519 {
				b[40] ^= 1
			} else if kind == other || (kind == Secp256k1 && other == P256) || (kind == P256 && other == Secp256k1) {
				continue
			}
			b[0] = byte(kind)
			_, err := ParsePrivateKey(b)
			require.ErrorIs(t, err, ErrPrivateKey, "%s as %s", other, kind)
		}
	}
	_, err := ParsePrivateKey(nil)
	require.ErrorIs(t, err, ErrPrivateKey)
}

func TestImpossiblePublicKeysAreRefused(t *testing.T) {
	for name, s := range map[string]string{
		"empty":                       "",
		"no kind":                     "00",
		"unknown kind":                "05" + "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"secp256k1 uncompressed form": "01" + "04" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"secp256k1 short":             "01" + "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f817",
		"secp256k1 x not on curve":    "01" + "02" + "0000000000000000000000000000000000000000000000000000000000000005",
		"secp256k1 x is p":            "01" + "02" + "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
		"secp256k1 x is p+1":          "01" + "02" + "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30",
		"secp256k1 infinity":          "01" + "00" + "0000000000000000000000000000000000000000000000000000000000000000",
		"p256 x is p":                 "03" + "02" + "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
		"p256 infinity":               "03" + "00",
		"ed25519 order 1":             "02" + "0100000000000000000000000000000000000000000000000000000000000000",
		"ed25519 order 2":             "02" + "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ed25519 order 4":             "02" + "0000000000000000000000000000000000000000000000000000000000000000",
		"ed25519 order 4, sign":       "02" + "0000000000000000000000000000000000000000000000000000000000000080",
		"ed25519 order 8":             "02" + "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"ed25519 order 8, other":      "02" + "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ed25519 y is p":              "02" + "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ed25519 y is p+1":            "02" + "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ed25519 not on curve":        "02" + "0200000000000000000000000000000000000000000000000000000000000000",
		"rsa garbage":                 "04" + "3003020100",
	} {
		_, err := ParsePublicKey(unhex(t, s))
		require.ErrorIs(t, err, ErrPublicKey, name)
	}
}

func TestRSAKeysOutsideTheRulesAreRefused(t *testing.T) {
	typed := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		require.NoError(t, err)
		return append([]byte{byte(RSA)}, der...)
	}
	modulus := func(bits int) *big.Int { return new(big.Int).SetBit(big.NewInt(1), bits-1, 1) }
	for name, key := range map[string]any{
		"2047 bits":     &rsa.PublicKey{N: modulus(2047), E: 65537},
		"8193 bits":     &rsa.PublicKey{N: modulus(8193), E: 65537},
		"even modulus":  &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 65537},
		"exponent 3":    &rsa.PublicKey{N: modulus(2048), E: 3},
		"huge exponent": &rsa.PublicKey{N: modulus(2048), E: 1<<31 - 1},
		"other kind":    &ecdsa.PublicKey{Curve: elliptic.P256(), X: elliptic.P256().Params().Gx, Y: elliptic.P256().Params().Gy},
	} {
		_, err := ParsePublicKey(typed(key))
		require.ErrorIs(t, err, ErrPublicKey, name)
	}
	largest := typed(&rsa.PublicKey{N: modulus(8192), E: 65537})
	require.Len(t, largest, MaxPublicKeySize)
	_, err := ParsePublicKey(largest)
	require.NoError(t, err)
}

// The small-order test must not refuse honest keys.
func TestHonestEd25519KeysAreAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, err := FromSeed(Ed25519, rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		require.NoError(t, err)
		_, err = ParsePublicKey(key.Public().Bytes())
		require.NoError(t, err)
	})
}

func TestKindsDoNotStandForEachOther(t *testing.T) {
	msg := []byte("m")
	for _, signer := range Kinds() {
		sig, err := seeded(t, signer, 4).Sign(msg)
		require.NoError(t, err)
		for _, other := range Kinds() {
			if other != signer {
				require.False(t, seeded(t, other, 4).Public().Verify(msg, sig), "%s by %s", signer, other)
			}
		}
	}
	p, err := seeded(t, Secp256k1, 4).Sign(msg)
	require.NoError(t, err)
	require.False(t, seeded(t, P256, 4).Public().Verify(msg, p[:64]))
}

func TestHighSIsRefused(t *testing.T) {
	for kind, order := range map[Kind]string{
		Secp256k1: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
		P256:      "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
	} {
		key := seeded(t, kind, 8)
		n, _ := new(big.Int).SetString(order, 16)
		for i := range byte(16) {
			sig, err := key.Sign([]byte{i})
			require.NoError(t, err)
			s := new(big.Int).SetBytes(sig[32:64])
			require.LessOrEqual(t, s.Cmp(new(big.Int).Rsh(n, 1)), 0)
			s.Sub(n, s).FillBytes(sig[32:64])
			if kind == Secp256k1 {
				sig[64] ^= 1 // the other R belongs to the other s
			}
			require.False(t, key.Public().Verify([]byte{i}, sig))
		}
	}
}

func TestEveryWrongRecoveryIdentifierIsRefused(t *testing.T) {
	key := seeded(t, Secp256k1, 5)
	sig, err := key.Sign([]byte("m"))
	require.NoError(t, err)
	right := sig[64]
	for v := range 256 {
		sig[64] = byte(v)
		require.Equal(t, byte(v) == right, key.Public().Verify([]byte("m"), sig), "v=%d", v)
	}
}

func TestPrintingAPrivateKeyShowsNoSecret(t *testing.T) {
	for _, kind := range Kinds() {
		key := seeded(t, kind, 6)
		holder := struct {
			Key   PrivateKey
			inner PrivateKey
			p     *PrivateKey
		}{key, key, &key}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key, "holder", holder)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", key)
		for _, s := range []string{
			key.String(), log.String(), fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %x %s %q %d", key, key, key, key, key, key, key),
			fmt.Sprintf("%v %+v %#v", holder, holder, holder),
		} {
			require.NotContains(t, s, hex.EncodeToString(key.Bytes()[1:17]))
			require.NotContains(t, s, fmt.Sprint(string(key.Bytes()[1:9]))[1:])
		}
		_, err := json.Marshal(holder)
		require.ErrorIs(t, err, ErrPrivateKey)
	}
}

func TestZeroValuesDoNothing(t *testing.T) {
	var private PrivateKey
	_, err := private.Sign([]byte("m"))
	require.ErrorIs(t, err, ErrPrivateKey)
	require.True(t, private.IsZero() && private.Public().IsZero())
	require.Nil(t, private.Bytes())
	require.Nil(t, private.Libp2p())
	require.False(t, PublicKey{}.Verify(nil, nil))
	require.Empty(t, PublicKey{}.Bytes())
	require.Equal(t, "none", PublicKey{}.String())
}

func TestKindNamesRoundTrip(t *testing.T) {
	for _, kind := range Kinds() {
		back, err := ParseKind(kind.String())
		require.NoError(t, err)
		require.Equal(t, kind, back)
	}
	_, err := ParseKind("dsa")
	require.ErrorIs(t, err, ErrKind)
	require.Equal(t, "kind(0)", Kind(0).String())
	require.Equal(t, "kind(77)", Kind(77).String())
}

func TestCacheGivesTheKeysThatParsingGives(t *testing.T) {
	_, err := NewCache(0)
	require.Error(t, err)
	cache, err := NewCache(2)
	require.NoError(t, err)
	for range 2 {
		for i := range byte(4) {
			want := seeded(t, Secp256k1, i).Public()
			got, err := cache.Parse(want.Bytes())
			require.NoError(t, err)
			require.True(t, want == got)
		}
	}
	_, err = cache.Parse([]byte{1, 2})
	require.ErrorIs(t, err, ErrPublicKey)
	_, err = cache.Parse(make([]byte, 5000))
	require.ErrorIs(t, err, ErrPublicKey)
}
