package keys

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// group is a multi-key of members of mixed kinds, with their private keys in the key's order.
func group(t require.TestingT, threshold, n int) (PublicKey, []PrivateKey) {
	kinds := []Kind{Secp256k1, Ed25519, P256}
	byPublic := map[PublicKey]PrivateKey{}
	for i := range n {
		key := seeded(t, kinds[i%len(kinds)], byte(i+1))
		byPublic[key.Public()] = key
	}
	multi, err := NewMulti(threshold, slices.Collect(maps.Keys(byPublic))...)
	require.NoError(t, err)
	_, members := multi.Members()
	private := make([]PrivateKey, n)
	for i, m := range members {
		private[i] = byPublic[m]
	}
	return multi, private
}

func sign(t require.TestingT, key PrivateKey, msg []byte) []byte {
	sig, err := key.Sign(msg)
	require.NoError(t, err)
	return sig
}

// signaturesOf are those of the members at some places.
func signaturesOf(t require.TestingT, private []PrivateKey, msg []byte, places ...int) map[PublicKey][]byte {
	of := map[PublicKey][]byte{}
	for _, i := range places {
		of[private[i].Public()] = sign(t, private[i], msg)
	}
	return of
}

func TestAsManyMembersAsTheThresholdSign(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, MaxMembers).Draw(rt, "members")
		threshold := rapid.IntRange(1, n).Draw(rt, "threshold")
		key, private := group(rt, threshold, n)
		places := rapid.Permutation(seq(n)).Draw(rt, "order")
		some := places[:rapid.IntRange(0, n).Draw(rt, "signers")]
		msg := []byte("pay")
		sig, err := JoinSignatures(key, msg, signaturesOf(rt, private, msg, some...))
		if len(some) < threshold {
			require.ErrorIs(rt, err, ErrSignatures)
			return
		}
		require.NoError(rt, err)
		require.True(rt, key.Verify(msg, sig))
		require.False(rt, key.Verify([]byte("pay more"), sig))
		at := rapid.IntRange(0, len(sig)-1).Draw(rt, "at")
		bent := bytes.Clone(sig)
		bent[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		require.False(rt, key.Verify(msg, bent))
		require.False(rt, key.Verify(msg, sig[:at]))
	})
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestOneKeyForOnePolicy(t *testing.T) {
	a, b, c := seeded(t, Secp256k1, 1).Public(), seeded(t, Ed25519, 2).Public(), seeded(t, P256, 3).Public()
	one, err := NewMulti(2, a, b, c)
	require.NoError(t, err)
	other, err := NewMulti(2, c, a, b)
	require.NoError(t, err)
	require.Equal(t, one, other)
	stricter, err := NewMulti(3, a, b, c)
	require.NoError(t, err)
	require.NotEqual(t, one, stricter)
	threshold, members := one.Members()
	require.Equal(t, 2, threshold)
	require.ElementsMatch(t, []PublicKey{a, b, c}, members)
	require.Equal(t, Multi, one.Kind())
	again, err := ParsePublicKey(one.Bytes())
	require.NoError(t, err)
	require.Equal(t, one, again)
}

func TestImpossibleMultiKeysAreRefused(t *testing.T) {
	a, b := seeded(t, Secp256k1, 1).Public(), seeded(t, Secp256k1, 2).Public()
	nested, err := NewMulti(1, a)
	require.NoError(t, err)
	crowd := make([]PublicKey, MaxMembers+1)
	for i := range crowd {
		crowd[i] = seeded(t, Ed25519, byte(i+1)).Public()
	}
	for name, c := range map[string]struct {
		threshold int
		members   []PublicKey
	}{
		"no members":                {1, nil},
		"nobody must sign":          {0, []PublicKey{a, b}},
		"more than there are":       {3, []PublicKey{a, b}},
		"a negative threshold":      {-255, []PublicKey{a, b}},
		"a member twice":            {1, []PublicKey{a, a}},
		"seventeen members":         {1, crowd},
		"a multi-key as a member":   {1, []PublicKey{a, nested}},
		"an RSA key as a member":    {1, []PublicKey{a, seeded(t, RSA, 1).Public()}},
		"the zero key as a member":  {1, []PublicKey{a, {}}},
		"a threshold of 256 and so": {257, []PublicKey{a, b}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewMulti(c.threshold, c.members...)
			require.ErrorIs(t, err, ErrPublicKey)
		})
	}
	good, err := NewMulti(1, a, b)
	require.NoError(t, err)
	enc := good.Bytes()
	for name, bad := range map[string][]byte{
		"cut off":            enc[:len(enc)-1],
		"something follows":  append(bytes.Clone(enc), 0),
		"out of order":       slices.Concat(enc[:3], enc[3+34:], enc[3:3+34]),
		"no point":           slices.Concat(enc[:4], bytes.Repeat([]byte{9}, 33), enc[3+34:]),
		"a threshold of 0":   slices.Concat([]byte{byte(Multi), 0}, enc[2:]),
		"a count of 0":       {byte(Multi), 0, 0},
		"nothing but a kind": {byte(Multi)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePublicKey(bad)
			require.ErrorIs(t, err, ErrPublicKey)
		})
	}
	_, err = Generate(Multi, bytes.NewReader(make([]byte, 64)))
	require.ErrorIs(t, err, ErrKind)
}

// There is one form of a signature by given members: who relays it can make no other of it.
func TestMultiSignaturesHaveOneForm(t *testing.T) {
	key, private := group(t, 2, 3)
	msg := []byte("pay")
	all := signaturesOf(t, private, msg, 0, 1, 2)
	sig, err := JoinSignatures(key, msg, all)
	require.NoError(t, err)
	first, second, third := all[private[0].Public()], all[private[1].Public()], all[private[2].Public()]
	require.Equal(t, slices.Concat([]byte{0, 3}, first, second), sig)
	for name, bad := range map[string][]byte{
		"one more than needed":        slices.Concat([]byte{0, 7}, first, second, third),
		"one less":                    slices.Concat([]byte{0, 1}, first),
		"one of them twice":           slices.Concat([]byte{0, 3}, first, first),
		"in another order":            slices.Concat([]byte{0, 3}, second, first),
		"of others than it says":      slices.Concat([]byte{0, 5}, first, second),
		"of a member that is not":     slices.Concat([]byte{0, 9}, first, second),
		"one, beside a bit of nobody": slices.Concat([]byte{0, 9}, first),
		"one, beside the highest bit": slices.Concat([]byte{0x80, 1}, first),
		"something follows":           append(bytes.Clone(sig), 0),
		"nothing":                     nil,
		"no signature":                {0, 3},
		"one byte of the map":         {0},
		"a single key's":              first,
		"high half of the map is on":  slices.Concat([]byte{1, 3}, first, second),
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, key.Verify(msg, bad))
			require.Equal(t, []int{0}, BatchVerify([]Item{{key, msg, bad}}))
		})
	}
}

// What a member signed for one list of signers is nothing to another.
func TestBadSignaturesAreNotCounted(t *testing.T) {
	key, private := group(t, 2, 3)
	msg := []byte("pay")
	of := signaturesOf(t, private, msg, 0)
	of[private[1].Public()] = sign(t, private[1], []byte("something else"))
	of[seeded(t, Secp256k1, 99).Public()] = sign(t, seeded(t, Secp256k1, 99), msg)
	_, err := JoinSignatures(key, msg, of)
	require.ErrorIs(t, err, ErrSignatures)
	of[private[2].Public()] = sign(t, private[2], msg)
	sig, err := JoinSignatures(key, msg, of)
	require.NoError(t, err)
	require.True(t, key.Verify(msg, sig))
}

func TestASingleKeyIsItsOwnOnlyMember(t *testing.T) {
	key := seeded(t, Ed25519, 1)
	threshold, members := key.Public().Members()
	require.Equal(t, 1, threshold)
	require.Equal(t, []PublicKey{key.Public()}, members)
	msg := []byte("pay")
	sig, err := JoinSignatures(key.Public(), msg, map[PublicKey][]byte{key.Public(): sign(t, key, msg)})
	require.NoError(t, err)
	require.True(t, key.Public().Verify(msg, sig))
	_, err = JoinSignatures(key.Public(), msg, nil)
	require.ErrorIs(t, err, ErrSignatures)
}

func TestMultiKeysInABatchAreJudgedAsAlone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		items := signed(rt, Secp256k1, 3, 2)
		for range rapid.IntRange(1, 4).Draw(rt, "multis") {
			n := rapid.IntRange(1, 5).Draw(rt, "members")
			key, private := group(rt, rapid.IntRange(1, n).Draw(rt, "threshold"), n)
			msg := []byte("m")
			sig, err := JoinSignatures(key, msg, signaturesOf(rt, private, msg, seq(n)...))
			require.NoError(rt, err)
			if rapid.Bool().Draw(rt, "bend") {
				sig[rapid.IntRange(0, len(sig)-1).Draw(rt, "at")] ^= 1
			}
			items = append(items, Item{key, msg, sig})
		}
		items = rapid.Permutation(items).Draw(rt, "order")
		require.Equal(rt, oneByOne(items), BatchVerify(items))
	})
}

func TestTheFormOfAKeyIsCheckedWithoutItsPoints(t *testing.T) {
	key, _ := group(t, 2, 3)
	for _, good := range append([]PublicKey{key}, seeded(t, P256, 1).Public(), seeded(t, Ed25519, 1).Public(), seeded(t, RSA, 1).Public()) {
		require.NoError(t, CheckForm(good.Bytes()))
	}
	enc := key.Bytes()
	for _, bad := range [][]byte{nil, {0, 1}, {9}, enc[:len(enc)-1], append(bytes.Clone(enc), 0), enc[3 : 3+10], make([]byte, MaxPublicKeySize+1)} {
		require.ErrorIs(t, CheckForm(bad), ErrPublicKey)
	}
	threshold, members, err := Split(enc)
	require.NoError(t, err)
	same, parsed := key.Members()
	require.Equal(t, same, threshold)
	for i, m := range parsed {
		require.Equal(t, m.Bytes(), members[i])
	}
	_, _, err = Split(enc[:9])
	require.ErrorIs(t, err, ErrPublicKey)

	no := slices.Concat([]byte{byte(Secp256k1)}, bytes.Repeat([]byte{9}, 33))
	require.NoError(t, CheckForm(no), "it looks like one")
	_, err = ParsePublicKey(no)
	require.ErrorIs(t, err, ErrPublicKey)
}

func FuzzVerifyMulti(f *testing.F) {
	key, private := group(f, 2, 3)
	msg := []byte("pay")
	sig, err := JoinSignatures(key, msg, signaturesOf(f, private, msg, 0, 2))
	require.NoError(f, err)
	f.Add(sig)
	f.Add([]byte{0, 3})
	f.Fuzz(func(t *testing.T, s []byte) {
		it := Item{key, msg, s}
		require.Equal(t, key.Verify(msg, s), BatchVerify([]Item{it, it, it, it}) == nil)
	})
}
