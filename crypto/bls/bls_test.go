package bls

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"testing"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	msg             = []byte("block 7")
	identitySig     = Signature{0xc0}
	identityKey     = append([]byte{0xc0}, make([]byte, PublicKeySize-1)...)
	fieldModulusHex = "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab"
)

func keyOf(t require.TestingT, n byte) *SecretKey {
	key, err := KeyGen(bytes.Repeat([]byte{n}, MinSeedSize))
	require.NoError(t, err)
	return key
}

// committee returns n secret keys and their public halves.
func committee(t require.TestingT, n int) ([]*SecretKey, []*PublicKey) {
	secrets, publics := make([]*SecretKey, n), make([]*PublicKey, n)
	for i := range n {
		secrets[i] = keyOf(t, byte(i+1))
		publics[i] = secrets[i].Public()
	}
	return secrets, publics
}

func signAll(secrets []*SecretKey, msg []byte) []Signature {
	sigs := make([]Signature, len(secrets))
	for i, k := range secrets {
		sigs[i] = k.Sign(msg)
	}
	return sigs
}

// EIP-2333, test case 0: its master key is KeyGen of the seed.
func TestKeyGenFollowsTheDraft(t *testing.T) {
	seed, err := hex.DecodeString("c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04")
	require.NoError(t, err)
	key, err := KeyGen(seed)
	require.NoError(t, err)
	require.Equal(t, "6083874454709270928345386274498605044986640685124978867557563392430687146096", new(big.Int).SetBytes(key.Bytes()).String())
	_, err = KeyGen(seed[:MinSeedSize-1])
	require.ErrorIs(t, err, ErrKey)
}

func TestKeysAndSignaturesRoundTrip(t *testing.T) {
	key, err := Generate(rand.Reader)
	require.NoError(t, err)
	again, err := ParseSecretKey(key.Bytes())
	require.NoError(t, err)
	require.True(t, again.Public().Equal(key.Public()))
	public, err := ParsePublicKey(key.Public().Bytes())
	require.NoError(t, err)
	require.True(t, public.Equal(key.Public()))
	sig := key.Sign(msg)
	require.Equal(t, sig, again.Sign(msg), "signing is deterministic")
	parsed, err := ParseSignature(sig[:])
	require.NoError(t, err)
	require.True(t, Verify(public, msg, parsed))
	require.False(t, Verify(public, []byte("block 8"), sig))
	require.False(t, Verify(keyOf(t, 1).Public(), msg, sig))
	require.False(t, Verify(nil, msg, sig))
	_, err = Generate(bytes.NewReader(nil))
	require.Error(t, err)
}

// The pairing equation spelled out with the plain functions of the library.
func TestVerifyIsThePairingEquation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keyOf(t, rapid.Byte().Draw(t, "key"))
		m := rapid.SliceOf(rapid.Byte()).Draw(t, "msg")
		sig := key.Sign(m)
		var s bls12381.G1Affine
		_, err := s.SetBytes(sig[:])
		require.NoError(t, err)
		h, err := bls12381.HashToG1(m, []byte("BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"))
		require.NoError(t, err)
		_, _, _, g2 := bls12381.Generators()
		left, err := bls12381.Pair([]bls12381.G1Affine{h}, []bls12381.G2Affine{key.Public().point})
		require.NoError(t, err)
		right, err := bls12381.Pair([]bls12381.G1Affine{s}, []bls12381.G2Affine{g2})
		require.NoError(t, err)
		require.True(t, left.Equal(&right))
		require.True(t, Verify(key.Public(), m, sig))
	})
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	key := keyOf(t, 1)
	sig := key.Sign(msg)
	for bit := range 8 * SignatureSize {
		broken := sig
		broken[bit/8] ^= 1 << (bit % 8)
		require.False(t, Verify(key.Public(), msg, broken), "bit %d", bit)
	}
}

func TestImpossibleSecretKeysAreRefused(t *testing.T) {
	order := fr.Modulus().FillBytes(make([]byte, 32))
	for _, b := range [][]byte{nil, make([]byte, 32), make([]byte, 31), order, bytes.Repeat([]byte{255}, 32), append(keyOf(t, 1).Bytes(), 0)} {
		_, err := ParseSecretKey(b)
		require.ErrorIs(t, err, ErrKey, "%x", b)
	}
	last := new(big.Int).Sub(fr.Modulus(), big.NewInt(1)).FillBytes(make([]byte, 32))
	_, err := ParseSecretKey(last)
	require.NoError(t, err)
}

// outsideG1 and outsideG2 are on their curves but not of order r.
func outsideG1(t testing.TB) bls12381.G1Affine {
	for x := uint64(1); ; x++ {
		var u fp.Element
		j := bls12381.GeneratePointNotInG1(*u.SetUint64(x))
		var p bls12381.G1Affine
		p.FromJacobian(&j)
		require.True(t, p.IsOnCurve())
		if !p.IsInSubGroup() {
			return p
		}
	}
}

func outsideG2(t testing.TB) bls12381.G2Affine {
	for x := uint64(1); ; x++ {
		var u bls12381.E2
		u.A0.SetUint64(x)
		j := bls12381.GeneratePointNotInG2(u)
		var p bls12381.G2Affine
		p.FromJacobian(&j)
		require.True(t, p.IsOnCurve())
		if !p.IsInSubGroup() {
			return p
		}
	}
}

func TestPointsOutsideTheSubgroupAreRefused(t *testing.T) {
	p := outsideG1(t)
	sig := Signature(p.Bytes())
	_, err := ParseSignature(sig[:])
	require.ErrorIs(t, err, ErrSignature)
	_, err = Aggregate([]Signature{keyOf(t, 1).Sign(msg), sig})
	require.ErrorIs(t, err, ErrSignature)
	q := outsideG2(t)
	enc := q.Bytes()
	_, err = ParsePublicKey(enc[:])
	require.ErrorIs(t, err, ErrKey)

	// A good signature plus a point of small order would pass a pairing check that
	// skips the subgroup.
	key := keyOf(t, 1)
	good, err := key.Sign(msg).point()
	require.NoError(t, err)
	var small, sum bls12381.G1Affine
	small.ScalarMultiplication(&p, big.NewInt(1))
	sum.Add(&good, &small)
	require.False(t, Verify(key.Public(), msg, sum.Bytes()))
	require.Equal(t, []int{0}, BatchVerify([]Item{{key.Public(), msg, sum.Bytes()}}))
}

func TestTheIdentityIsRefusedEverywhere(t *testing.T) {
	var inf bls12381.G1Affine
	require.Equal(t, identitySig, Signature(inf.Bytes()))
	ok, err := bls12381.PairingCheck([]bls12381.G1Affine{inf}, []bls12381.G2Affine{{}})
	require.NoError(t, err)
	require.True(t, ok, "this is why")

	_, err = ParsePublicKey(identityKey)
	require.ErrorIs(t, err, ErrKey)
	_, err = ParseSignature(identitySig[:])
	require.ErrorIs(t, err, ErrSignature)
	key := keyOf(t, 1)
	require.False(t, Verify(key.Public(), msg, identitySig))
	require.False(t, VerifyPossession(key.Public(), identitySig))
	_, err = Aggregate([]Signature{identitySig})
	require.ErrorIs(t, err, ErrSignature)
	require.Equal(t, []int{0}, BatchVerify([]Item{{key.Public(), msg, identitySig}}))

	// Opposite keys and signatures cancel out to the identity.
	minus, err := ParseSecretKey(new(big.Int).Sub(fr.Modulus(), new(big.Int).SetBytes(key.Bytes())).FillBytes(make([]byte, 32)))
	require.NoError(t, err)
	_, err = Aggregate([]Signature{key.Sign(msg), minus.Sign(msg)})
	require.ErrorIs(t, err, ErrCancelled)
	pair := []*PublicKey{key.Public(), minus.Public()}
	other := keyOf(t, 2)
	require.False(t, VerifyAggregate(pair, msg, identitySig))
	require.False(t, VerifyDistinct([]Group{{pair, msg}, {[]*PublicKey{other.Public()}, msg}}, other.Sign(msg)))
	set, err := NewKeySet(pair)
	require.NoError(t, err)
	_, err = set.Sum(Bitmap{3})
	require.ErrorIs(t, err, ErrCancelled)
}

func TestImpossibleEncodingsAreRefused(t *testing.T) {
	p, err := hex.DecodeString(fieldModulusHex)
	require.NoError(t, err)
	p[0] |= 0x80
	good := keyOf(t, 1).Sign(msg)
	uncompressed, err := good.point()
	require.NoError(t, err)
	raw := uncompressed.RawBytes()
	noFlag := good
	noFlag[0] &= 0x1f
	for _, b := range [][]byte{nil, good[:47], append(good[:], 0), raw[:], raw[:48], p, noFlag[:], make([]byte, 48), bytes.Repeat([]byte{255}, 48)} {
		_, err := ParseSignature(b)
		require.ErrorIs(t, err, ErrSignature, "%x", b)
	}
	key := keyOf(t, 1).Public().Bytes()
	for _, b := range [][]byte{nil, key[:95], append(key, 0), append(p, p...), make([]byte, 96), bytes.Repeat([]byte{255}, 96)} {
		_, err := ParsePublicKey(b)
		require.ErrorIs(t, err, ErrKey, "%x", b)
	}
}

func TestRogueKeyIsStoppedByTheProofOfPossession(t *testing.T) {
	victim, attacker := keyOf(t, 1), keyOf(t, 2)
	var rogue bls12381.G2Affine
	rogue.Sub(&attacker.Public().point, &victim.Public().point)
	rogueKey := newPublicKey(rogue)
	forged := attacker.Sign(msg)
	require.True(t, VerifyAggregate([]*PublicKey{victim.Public(), rogueKey}, msg, forged), "without proofs the attack works")
	for _, proof := range []Signature{attacker.Prove(), victim.Prove(), attacker.Sign(rogueKey.Bytes()), identitySig} {
		require.False(t, VerifyPossession(rogueKey, proof))
	}
}

func TestProofsAndVotesAreNotEachOther(t *testing.T) {
	key := keyOf(t, 1)
	require.True(t, VerifyPossession(key.Public(), key.Prove()))
	require.False(t, VerifyPossession(keyOf(t, 2).Public(), key.Prove()))
	require.False(t, VerifyPossession(key.Public(), key.Sign(key.Public().Bytes())))
	require.False(t, Verify(key.Public(), key.Public().Bytes(), key.Prove()))
	require.False(t, VerifyPossession(nil, key.Prove()))
}

func TestAggregateVerifiesForExactlyItsSigners(t *testing.T) {
	secrets, publics := committee(t, 5)
	sig, err := Aggregate(signAll(secrets, msg))
	require.NoError(t, err)
	require.True(t, VerifyAggregate(publics, msg, sig))
	require.False(t, VerifyAggregate(publics, []byte("block 8"), sig))
	require.False(t, VerifyAggregate(publics[:4], msg, sig))
	require.False(t, VerifyAggregate(append(publics, publics[0]), msg, sig))
	require.False(t, VerifyAggregate(nil, msg, sig))
	require.False(t, VerifyAggregate([]*PublicKey{publics[0], nil}, msg, sig))
	_, err = Aggregate(nil)
	require.ErrorIs(t, err, ErrEmpty)

	one, err := Aggregate([]Signature{secrets[0].Sign(msg)})
	require.NoError(t, err)
	require.True(t, Verify(publics[0], msg, one))
}

func TestAggregateCountsDuplicates(t *testing.T) {
	secrets, publics := committee(t, 2)
	twice, err := Aggregate([]Signature{secrets[0].Sign(msg), secrets[0].Sign(msg), secrets[1].Sign(msg)})
	require.NoError(t, err)
	require.False(t, VerifyAggregate(publics, msg, twice))
	require.True(t, VerifyAggregate([]*PublicKey{publics[0], publics[1], publics[0]}, msg, twice))
}

func TestAggregateOfAggregatesIsTheAggregate(t *testing.T) {
	secrets, _ := committee(t, 4)
	sigs := signAll(secrets, msg)
	whole, err := Aggregate(sigs)
	require.NoError(t, err)
	a, err := Aggregate(sigs[:1])
	require.NoError(t, err)
	b, err := Aggregate(sigs[1:])
	require.NoError(t, err)
	both, err := Aggregate([]Signature{b, a})
	require.NoError(t, err)
	require.Equal(t, whole, both)
}

func TestDistinctMessagesVerifyTogether(t *testing.T) {
	secrets, publics := committee(t, 6)
	a, b := []byte("high 3"), []byte("high 4")
	sig, err := Aggregate(append(signAll(secrets[:2], a), signAll(secrets[2:], b)...))
	require.NoError(t, err)
	require.True(t, VerifyDistinct([]Group{{publics[:2], a}, {publics[2:], b}}, sig))
	require.True(t, VerifyDistinct([]Group{{publics[:2], a}, {publics[2:4], b}, {publics[4:], b}}, sig), "messages may repeat")
	for name, groups := range map[string][]Group{
		"none":           nil,
		"moved signer":   {{publics[:3], a}, {publics[3:], b}},
		"swapped":        {{publics[:2], b}, {publics[2:], a}},
		"missing group":  {{publics[2:], b}},
		"missing signer": {{publics[:2], a}, {publics[3:], b}},
		"empty group":    {{publics[:2], a}, {publics[2:], b}, {nil, a}},
		"nil key":        {{publics[:2], a}, {publics[2:], b}, {[]*PublicKey{nil}, a}},
	} {
		require.False(t, VerifyDistinct(groups, sig), name)
	}
}

func TestBatchFindsTheBadOnesExactly(t *testing.T) {
	secrets, publics := committee(t, 10)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 8).Draw(t, "n")
		items := make([]Item, n)
		var bad []int
		for i := range items {
			m := []byte{byte(rapid.IntRange(0, 2).Draw(t, "msg"))}
			items[i] = Item{publics[i], m, secrets[i].Sign(m)}
			switch rapid.IntRange(0, 8).Draw(t, "how") {
			case 0:
				items[i].Msg = []byte("another")
			case 1:
				items[i].Key = publics[i+1]
			case 2:
				items[i].Sig[20] ^= 1
			case 3:
				items[i].Key = nil
			default:
				continue
			}
			bad = append(bad, i)
		}
		require.Equal(t, bad, BatchVerify(items))
	})
}

// Two signers can bend their signatures so that the plain aggregate still holds.
func TestErrorsThatCancelInTheAggregateAreFound(t *testing.T) {
	secrets, publics := committee(t, 4)
	sigs := signAll(secrets, msg)
	a, _ := sigs[1].point()
	b, _ := sigs[2].point()
	delta := hashToG1([]byte("delta"), voteDST)
	a.Add(&a, &delta)
	b.Sub(&b, &delta)
	sigs[1], sigs[2] = a.Bytes(), b.Bytes()
	sum, err := Aggregate(sigs)
	require.NoError(t, err)
	require.True(t, VerifyAggregate(publics, msg, sum))
	items := make([]Item, 4)
	for i := range items {
		items[i] = Item{publics[i], msg, sigs[i]}
	}
	require.Equal(t, []int{1, 2}, BatchVerify(items))
}

func TestKeySetSumsAnySigners(t *testing.T) {
	_, publics := committee(t, 11)
	set, err := NewKeySet(publics)
	require.NoError(t, err)
	require.Equal(t, 11, set.Len())
	require.Equal(t, publics[3], set.Key(3))
	require.Nil(t, set.Key(11))
	require.Nil(t, set.Key(-1))
	rapid.Check(t, func(t *rapid.T) {
		signers := NewBitmap(11)
		var keys []*PublicKey
		for i := range 11 {
			if rapid.Bool().Draw(t, "signs") {
				signers.Set(i)
				keys = append(keys, publics[i])
			}
		}
		sum, err := set.Sum(signers)
		if len(keys) == 0 {
			require.ErrorIs(t, err, ErrEmpty)
			return
		}
		require.NoError(t, err)
		want, ok := sumKeys(keys)
		require.True(t, ok)
		require.True(t, newPublicKey(want).Equal(sum))
	})
	_, err = set.Sum(Bitmap{1})
	require.ErrorIs(t, err, ErrBitmap)
	_, err = NewKeySet([]*PublicKey{nil})
	require.ErrorIs(t, err, ErrKey)
}

func TestPrintingASecretKeyShowsNoSecret(t *testing.T) {
	key := keyOf(t, 9)
	holder := struct {
		Key   *SecretKey
		inner *SecretKey
		value SecretKey
	}{key, key, *key}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key, "holder", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", key)
	printed := log.String() + key.String() + fmt.Sprintf("%v %+v %#v %x %s %q %d", key, key, key, key, key, key, key) +
		fmt.Sprintf("%v %+v %#v", holder, holder, holder) + fmt.Sprintf("%v %+v %#v", *key, *key, *key)
	require.NotContains(t, printed, hex.EncodeToString(key.Bytes()[:8]))
	require.NotContains(t, printed, fmt.Sprint(key.scalar[0]))
	require.NotContains(t, printed, fmt.Sprintf("%#x", key.scalar[0]))
	_, err := json.Marshal(holder)
	require.ErrorIs(t, err, ErrKey)
}
