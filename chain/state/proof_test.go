package state

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/hash"
)

// forest is a tree in memory with n keys "key-i" of value "v".
func forest(t require.TestingT, n int) (*memoryTree, hash.Hash) {
	m := &memoryTree{nodes: map[place]*node{}}
	var ops []op
	for i := range n {
		ops = append(ops, setOp(fmt.Sprintf("key-%d", i), "v"))
	}
	return m, m.update(t, hash.Hash{}, ops)
}

func (m *memoryTree) prove(t require.TestingT, root hash.Hash, key string) *Proof {
	k := hashKey([]byte(key))
	p, _, err := prove(m.load, root, &k)
	require.NoError(t, err)
	return p
}

func TestProofsOfBothKindsOfAbsence(t *testing.T) {
	empty, other := 0, 0
	for n := range 60 {
		m, root := forest(t, n)
		for i := range 40 {
			key := fmt.Sprintf("absent-%d", i)
			p := m.prove(t, root, key)
			require.NoError(t, VerifyProof(root, []byte(key), nil, p))
			require.ErrorIs(t, VerifyProof(root, []byte(key), []byte("v"), p), ErrProof)
			if len(p.Other) == 0 {
				empty++
			} else {
				other++
			}
		}
		for i := range n {
			key := fmt.Sprintf("key-%d", i)
			p := m.prove(t, root, key)
			require.NoError(t, VerifyProof(root, []byte(key), []byte("v"), p))
			require.ErrorIs(t, VerifyProof(root, []byte(key), []byte("w"), p), ErrProof)
			require.ErrorIs(t, VerifyProof(root, []byte(key), nil, p), ErrProof)
			require.ErrorIs(t, VerifyProof(hash.Sum("x"), []byte(key), []byte("v"), p), ErrProof)
		}
	}
	require.Positive(t, empty)
	require.Positive(t, other)
}

// TestChangedProofIsRejected flips every bit of encoded proofs.
func TestChangedProofIsRejected(t *testing.T) {
	m, root := forest(t, 50)
	for _, key := range []string{"key-7", "absent-1", "absent-2", "absent-3", "absent-4"} {
		var value []byte
		if key == "key-7" {
			value = []byte("v")
		}
		good := m.prove(t, root, key).Encode()
		for i := range 8 * len(good) {
			bad := append([]byte{}, good...)
			bad[i/8] ^= 1 << (i % 8)
			p, err := DecodeProof(bad)
			if err == nil {
				err = VerifyProof(root, []byte(key), value, p)
			}
			require.ErrorIs(t, err, ErrProof, "%s, bit %d", key, i)
		}
		for i := range good {
			_, err := DecodeProof(good[:i])
			require.ErrorIs(t, err, ErrProof)
		}
	}
}

// TestProofOfOneKeyDoesNotShowAnother uses honest proofs for the wrong claim.
func TestProofOfOneKeyDoesNotShowAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, root := forest(t, rapid.IntRange(1, 100).Draw(t, "keys"))
		key := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("key-%d", rapid.IntRange(0, 150).Draw(t, "i")) })
		a, b := key.Draw(t, "a"), key.Draw(t, "b")
		p := m.prove(t, root, a)
		_, present := m.value(root, b)
		if present {
			require.ErrorIs(t, VerifyProof(root, []byte(b), nil, p), ErrProof)
		} else {
			require.ErrorIs(t, VerifyProof(root, []byte(b), []byte("v"), p), ErrProof)
		}
		require.ErrorIs(t, VerifyProof(root, []byte(b), []byte("w"), p), ErrProof)
	})
}

func (m *memoryTree) value(root hash.Hash, key string) (hash.Hash, bool) {
	k := hashKey([]byte(key))
	_, end, _ := prove(m.load, root, &k)
	return end.leaf.value, end.kind == kindLeaf && end.leaf.key == k
}

func TestMalformedProofsAreRefused(t *testing.T) {
	h := hash.Sum("x")
	for name, p := range map[string]*Proof{
		"none":             nil,
		"too deep":         {Depth: 257, Mask: make([]byte, 33)},
		"short mask":       {Depth: 9, Mask: []byte{0x80}, Siblings: []hash.Hash{h}},
		"missing sibling":  {Depth: 2, Mask: []byte{0xc0}, Siblings: []hash.Hash{h}},
		"zero sibling":     {Depth: 1, Mask: []byte{0x80}, Siblings: []hash.Hash{{}}},
		"bits beyond":      {Depth: 1, Mask: []byte{0xc0}, Siblings: []hash.Hash{h, h}},
		"deepest is empty": {Depth: 2, Mask: []byte{0x80}, Siblings: []hash.Hash{h}},
		"two others":       {Other: make([]OtherLeaf, 2)},
	} {
		require.ErrorIs(t, VerifyProof(hash.Hash{}, []byte("k"), nil, p), ErrProof, name)
	}
	_, err := DecodeProof(make([]byte, MaxProof+1))
	require.ErrorIs(t, err, ErrProof)
}

func TestDeepestProofFitsItsCap(t *testing.T) {
	p := &Proof{Depth: keyBits, Mask: make([]byte, 32), Other: []OtherLeaf{{}}}
	for i := range keyBits {
		p.Mask[i/8] |= 1 << (i % 8)
		p.Siblings = append(p.Siblings, hash.Sum("x"))
	}
	b := p.Encode()
	require.LessOrEqual(t, len(b), MaxProof)
	back, err := DecodeProof(b)
	require.NoError(t, err)
	require.Equal(t, p, back)
}

func TestPairHashIsTheTaggedHash(t *testing.T) {
	a, b := hash.Sum("a"), hash.Sum("b")
	require.Equal(t, hash.Sum(tagInner, a[:], b[:]), hashInner(&a, &b))
	require.Equal(t, hash.Sum(tagLeaf, a[:], b[:]), hashLeaf(&leaf{key: a, value: b}))
}

func FuzzDecodeProof(f *testing.F) {
	m, root := forest(f, 30)
	f.Add([]byte("key-1"), []byte("v"), m.prove(f, root, "key-1").Encode())
	f.Add([]byte("absent"), []byte(nil), m.prove(f, root, "absent").Encode())
	f.Add([]byte("key-1"), []byte("w"), []byte{0x84, 0, 0x40, 0x80, 0x80})
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, key, value, encoded []byte) {
		p, err := DecodeProof(encoded)
		if err != nil {
			require.ErrorIs(t, err, ErrProof)
			return
		}
		require.Equal(t, encoded, p.Encode())
		if len(value) == 0 {
			value = nil
		}
		if VerifyProof(root, key, value, p) == nil {
			committed, present := m.value(root, string(key))
			require.Equal(t, present, value != nil)
			require.True(t, !present || committed == hashValue(value))
		}
	})
}

func FuzzDecodeNode(f *testing.F) {
	m, _ := forest(f, 40)
	for _, n := range m.nodes {
		f.Add(n.encode())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := decodeNode(b); err == nil {
			require.Equal(t, b, n.encode())
		}
	})
}
