package keys

import (
	"encoding/binary"
	"math/big"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/curve"
)

// signed makes n items of one kind by the given number of signers.
func signed(t require.TestingT, kind Kind, n, signers int) []Item {
	items := make([]Item, n)
	for i := range items {
		var seed [MinSeedSize]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i%signers))
		key, err := FromSeed(kind, seed[:])
		require.NoError(t, err)
		msg := binary.BigEndian.AppendUint64([]byte("message"), uint64(i))
		sig, err := key.Sign(msg)
		require.NoError(t, err)
		items[i] = Item{Key: key.Public(), Msg: msg, Sig: sig}
	}
	return items
}

func oneByOne(items []Item) []int {
	var bad []int
	for i, it := range items {
		if !it.Key.Verify(it.Msg, it.Sig) {
			bad = append(bad, i)
		}
	}
	return bad
}

func TestGoodBatchesHaveNoBadOnes(t *testing.T) {
	require.Empty(t, BatchVerify(nil))
	for _, n := range []int{1, 2, 3, 4, 17, batchChunk - 1, batchChunk, batchChunk + 1, 2*batchChunk + 2} {
		require.Empty(t, BatchVerify(signed(t, Secp256k1, n, n)), "%d signers", n)
		require.Empty(t, BatchVerify(signed(t, Secp256k1, n, min(n, 16))), "%d by 16", n)
	}
}

func TestBadSignaturesAreFoundExactly(t *testing.T) {
	items := signed(t, Secp256k1, 300, 40)
	for _, bad := range [][]int{{0}, {299}, {0, 1}, {7, 8, 255, 256}, {255}, {100, 101, 102, 103}} {
		broken := append([]Item(nil), items...)
		for _, i := range bad {
			broken[i].Msg = []byte("another")
		}
		require.Equal(t, bad, BatchVerify(broken))
	}
}

func TestAllBadAreFound(t *testing.T) {
	items := signed(t, Secp256k1, 20, 20)
	for i := range items {
		items[i].Key = items[(i+1)%20].Key
	}
	require.Len(t, BatchVerify(items), 20)
}

// Two errors that cancel in a plain sum must not cancel under random weights.
func TestErrorsThatCancelInAPlainSumAreFound(t *testing.T) {
	items := signed(t, Secp256k1, 4, 1)
	items[0].Sig, items[1].Sig = items[1].Sig, items[0].Sig
	require.Equal(t, []int{0, 1}, BatchVerify(items))
}

func TestKindsMixInOneBatch(t *testing.T) {
	var items []Item
	for _, kind := range []Kind{Ed25519, Secp256k1, P256} {
		items = append(items, signed(t, kind, 5, 3)...)
	}
	key := seeded(t, RSA, 0)
	sig, err := key.Sign([]byte("m"))
	require.NoError(t, err)
	items = append(items, Item{key.Public(), []byte("m"), sig}, Item{})
	require.Equal(t, []int{16}, BatchVerify(items))
	items[0].Key, items[5].Key = items[5].Key, items[0].Key
	require.Equal(t, []int{0, 5, 16}, BatchVerify(items))
}

// A chain splits where single and batch verification disagree, so they are held
// against each other on signatures bent in every way we can think of.
func TestBatchAgreesWithSingleVerification(t *testing.T) {
	good := signed(t, Secp256k1, 12, 5)
	rapid.Check(t, func(t *rapid.T) {
		items := make([]Item, rapid.IntRange(1, 12).Draw(t, "n"))
		for i := range items {
			items[i] = bend(t, good[rapid.IntRange(0, len(good)-1).Draw(t, "base")], good)
		}
		require.Equal(t, oneByOne(items), BatchVerify(items))
	})
}

func bend(t *rapid.T, it Item, others []Item) Item {
	sig := append([]byte(nil), it.Sig...)
	n, _ := new(big.Int).SetString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16)
	half := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	switch rapid.IntRange(0, 11).Draw(t, "how") {
	case 0, 1, 2: // as it is
	case 3:
		sig[rapid.IntRange(0, 64).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	case 4:
		sig[64] = rapid.Byte().Draw(t, "v")
	case 5:
		sig[64] ^= byte(rapid.IntRange(1, 3).Draw(t, "v"))
	case 6: // high s, with and without the matching v
		new(big.Int).Sub(n, half(sig[32:64])).FillBytes(sig[32:64])
		sig[64] ^= byte(rapid.IntRange(0, 1).Draw(t, "v"))
	case 7: // edges of r and s
		at := 32 * rapid.IntRange(0, 1).Draw(t, "part")
		edge := rapid.SampledFrom([]int64{0, 1, 2, -1, -2}).Draw(t, "edge")
		x := big.NewInt(edge)
		if edge < 0 || rapid.Bool().Draw(t, "n") {
			x.Add(n, x)
		}
		x.FillBytes(sig[at : at+32])
	case 8:
		sig = sig[:rapid.IntRange(0, 64).Draw(t, "length")]
	case 9:
		it.Key = rapid.SampledFrom(others).Draw(t, "key").Key
	case 10:
		it.Msg = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "msg")
	case 11:
		sig = rapid.SampledFrom(others).Draw(t, "sig").Sig
	}
	it.Sig = sig
	return it
}

// contrived builds a valid signature for a chosen R = k*G whose message digest is
// not chosen: Q = (s*R - e*G)/r. It reaches keys and points that honest signing
// does not.
func contrived(t require.TestingT, k, s *big.Int, msg []byte) (Item, bool) {
	var point secp256k1.G1Affine
	point.ScalarMultiplicationBase(k)
	x := point.X.Bytes()
	v := byte(point.Y.Bits()[0] & 1)
	r := new(big.Int).SetBytes(x[:])
	if r.Cmp(fr.Modulus()) >= 0 {
		v |= 2
		r.Sub(r, fr.Modulus())
	}
	if s.Cmp(new(big.Int).Rsh(fr.Modulus(), 1)) > 0 {
		return Item{}, false
	}
	e := challenge(msg)
	d := new(big.Int).Mul(s, k)
	eBytes := e.Bytes()
	d.Sub(d, new(big.Int).SetBytes(eBytes[:]))
	d.Mul(d, new(big.Int).ModInverse(r, fr.Modulus())).Mod(d, fr.Modulus())
	if d.Sign() == 0 {
		return Item{}, false
	}
	key, err := ParsePrivateKey(append([]byte{byte(Secp256k1)}, d.FillBytes(make([]byte, 32))...))
	require.NoError(t, err)
	sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return Item{Key: key.Public(), Msg: msg, Sig: append(sig, v)}, true
}

func TestContrivedSignaturesVerifyBothWays(t *testing.T) {
	var items []Item
	for k := range int64(20) {
		for s := int64(1); s < 4; s++ {
			if it, ok := contrived(t, big.NewInt(k+1), big.NewInt(s), []byte{byte(k)}); ok {
				items = append(items, it)
			}
		}
	}
	require.Empty(t, oneByOne(items))
	require.Empty(t, BatchVerify(items), "equal and opposite points meet in the buckets")
	for i := range items {
		items[i].Sig[64] ^= 1
	}
	require.Len(t, oneByOne(items), len(items))
	require.Len(t, BatchVerify(items), len(items))
}

func TestKeysNearTheGeneratorVerifyBothWays(t *testing.T) {
	one := big.NewInt(1)
	l, _ := new(big.Int).SetString("5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72", 16) // the endomorphism's eigenvalue
	var items []Item
	for _, d := range []*big.Int{one, big.NewInt(2), new(big.Int).Sub(fr.Modulus(), one), l, new(big.Int).Sub(fr.Modulus(), l), new(big.Int).Mod(new(big.Int).Mul(l, l), fr.Modulus())} {
		key, err := ParsePrivateKey(append([]byte{byte(Secp256k1)}, d.FillBytes(make([]byte, 32))...))
		require.NoError(t, err)
		for i := range byte(5) {
			sig, err := key.Sign([]byte{i})
			require.NoError(t, err)
			items = append(items, Item{key.Public(), []byte{i}, sig})
		}
	}
	require.Empty(t, oneByOne(items))
	require.Empty(t, BatchVerify(items))
}

func TestBoundedXOverflowIsAccepted(t *testing.T) {
	// x of R between n and p exists for about one in 2^128 points, so take one by
	// its coordinate: R has no known logarithm, but Q = (s*R - e*G)/r still exists.
	n, p := fr.Modulus(), secpFieldModulus()
	for x := new(big.Int).Add(n, big.NewInt(1)); x.Cmp(p) < 0; x.Add(x, big.NewInt(1)) {
		lifted, ok := curve.LiftX([32]byte(x.FillBytes(make([]byte, 32))), false)
		if !ok {
			continue
		}
		r := new(big.Int).Sub(x, n)
		msg, s := []byte("overflow"), big.NewInt(12345)
		inv := curve.ReduceScalar(r.Bytes()).InverseVarTime()
		q := curve.MulVarTime(curve.ReduceScalar(s.Bytes()).Mul(inv), lifted).Sub(curve.BaseMulVarTime(challenge(msg).Mul(inv)))
		enc := q.Bytes()
		key, err := ParsePublicKey(append([]byte{byte(Secp256k1)}, enc[:]...))
		require.NoError(t, err)
		sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		good := Item{key, msg, append(sig[:64:64], 2)}
		items := []Item{good, good, good}
		for _, v := range []byte{0, 1, 3} {
			items = append(items, Item{key, msg, append(sig[:64:64], v)})
		}
		require.Equal(t, []int{3, 4, 5}, oneByOne(items))
		require.Equal(t, []int{3, 4, 5}, BatchVerify(items))
		return
	}
	t.Fatal("no such point")
}

func secpFieldModulus() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 256)
	return p.Sub(p, new(big.Int).SetUint64(1<<32+977))
}
