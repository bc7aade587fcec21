package keys

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"

	gnark "github.com/consensys/gnark-crypto/ecc/secp256k1/ecdsa"
	decred "github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/stretchr/testify/require"
)

func BenchmarkSign(b *testing.B) {
	for _, kind := range Kinds() {
		b.Run(kind.String(), func(b *testing.B) {
			key := seeded(b, kind, 1)
			for b.Loop() {
				_, _ = key.Sign([]byte("message"))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sig/s")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, kind := range Kinds() {
		b.Run(kind.String(), func(b *testing.B) {
			key := seeded(b, kind, 1)
			sig, err := key.Sign([]byte("message"))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				key.Public().Verify([]byte("message"), sig)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sig/s")
		})
	}
}

// The libraries' own single verification, to compare with.
func BenchmarkVerifyElsewhere(b *testing.B) {
	it := signed(b, Secp256k1, 1, 1)[0]
	digest := sha256.Sum256(it.Msg)
	b.Run("decred", func(b *testing.B) {
		key, _ := decred.ParsePubKey(it.Key.Bytes()[1:])
		var r, s decred.ModNScalar
		r.SetByteSlice(it.Sig[:32])
		s.SetByteSlice(it.Sig[32:64])
		sig := ecdsa.NewSignature(&r, &s)
		for b.Loop() {
			sig.Verify(digest[:], key)
		}
	})
	b.Run("gnark", func(b *testing.B) {
		var key gnark.PublicKey
		x := it.Key.point.X()
		decompressed, err := decred.ParsePubKey(it.Key.Bytes()[1:])
		require.NoError(b, err)
		key.A.X.SetBytes(x[:])
		key.A.Y.SetBytes(decompressed.Y().Bytes())
		for b.Loop() {
			_, _ = key.Verify(it.Sig[:64], it.Msg, sha256.New())
		}
	})
}

func BenchmarkBatchVerify(b *testing.B) {
	for _, n := range []int{2, 3, 4, 8, 16, 64, 256, 1024} {
		for _, signers := range slices.Compact([]int{n, 16}) {
			if signers > n || (signers < n && n < 64) {
				continue
			}
			b.Run(fmt.Sprintf("n=%d/signers=%d", n, signers), func(b *testing.B) {
				items := signed(b, Secp256k1, n, signers)
				for b.Loop() {
					if BatchVerify(items) != nil {
						b.Fatal("refused")
					}
				}
				total := float64(b.N) * float64(n)
				b.ReportMetric(total/b.Elapsed().Seconds(), "sig/s")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/total, "us/sig")
			})
		}
	}
}

// One bad signature among many costs a walk down the halves; all bad is the most
// that an attacker can make of a batch.
func BenchmarkBatchVerifyWithBad(b *testing.B) {
	for _, bad := range []int{1, 256} {
		b.Run(fmt.Sprint(bad), func(b *testing.B) {
			items := signed(b, Secp256k1, 256, 256)
			for i := range bad {
				items[(100+i)%256].Msg = []byte("another")
			}
			for b.Loop() {
				BatchVerify(items)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*256), "us/sig")
		})
	}
}

func BenchmarkParsePublicKey(b *testing.B) {
	for _, kind := range Kinds() {
		b.Run(kind.String(), func(b *testing.B) {
			enc := seeded(b, kind, 1).Public().Bytes()
			for b.Loop() {
				_, _ = ParsePublicKey(enc)
			}
		})
	}
	b.Run("cached", func(b *testing.B) {
		cache, _ := NewCache(10)
		enc := seeded(b, Secp256k1, 1).Public().Bytes()
		for b.Loop() {
			_, _ = cache.Parse(enc)
		}
	})
}
