package hd

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/base58"
	"github.com/stretchr/testify/require"
	"github.com/tyler-smith/go-bip39"
	"pgregory.net/rapid"
)

func read(t *testing.T, file string, out any) {
	raw, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, out))
}

func TestVectorsOfBIP32(t *testing.T) {
	var in struct {
		Vectors []struct{ Seed, Path, Public, Private string }
	}
	read(t, "bip32.json", &in)
	require.Len(t, in.Vectors, 17)
	for _, v := range in.Vectors {
		seed, err := hex.DecodeString(v.Seed)
		require.NoError(t, err)
		w, err := fromSeed(seed)
		require.NoError(t, err)
		var path []uint32
		for _, part := range strings.Split(v.Path, "/")[1:] {
			n, err := strconv.ParseUint(strings.TrimSuffix(part, "'"), 10, 31)
			require.NoError(t, err)
			if strings.HasSuffix(part, "'") {
				n += hardened
			}
			path = append(path, uint32(n))
		}
		key, err := w.derive(path...)
		require.NoError(t, err)
		secret, err := key.SerializedPrivKey()
		require.NoError(t, err)
		// version, depth, parent, number, chain code, then the key
		require.Equal(t, append([]byte{0}, secret...), base58.Decode(v.Private)[45:78], v.Path)
		require.Equal(t, key.SerializedPubKey(), base58.Decode(v.Public)[45:78], v.Path)
	}
}

func TestVectorsOfBIP39(t *testing.T) {
	var in struct {
		Vectors []struct{ Entropy, Words, Seed string }
		Bad     []string
	}
	read(t, "bip39.json", &in)
	require.Len(t, in.Vectors, 24)
	for _, v := range in.Vectors {
		entropy, err := hex.DecodeString(v.Entropy)
		require.NoError(t, err)
		words, err := NewWords(bytes.NewReader(entropy), len(strings.Fields(v.Words)))
		require.NoError(t, err)
		require.Equal(t, v.Words, words)
		require.Equal(t, v.Seed, hex.EncodeToString(bip39.NewSeed(words, "TREZOR")))
		seed, _ := hex.DecodeString(v.Seed)
		want, err := fromSeed(seed)
		require.NoError(t, err)
		got, err := FromWords(v.Words, "TREZOR")
		require.NoError(t, err)
		require.Equal(t, want.master.String(), got.master.String())
	}
	require.NotEmpty(t, in.Bad)
	for _, bad := range in.Bad {
		_, err := FromWords(bad, "")
		require.ErrorIs(t, err, ErrWords, bad)
	}
}

const words = "legal winner thank year wave sausage worth useful legal winner thank yellow"

func TestWordsAreTakenAsPeopleTypeThem(t *testing.T) {
	w, err := Check("  Legal winner\tTHANK year wave sausage\nworth useful legal winner thank   yellow ")
	require.NoError(t, err)
	require.Equal(t, words, w)
	for typed, says := range map[string]string{
		"":             "there are 0",
		"legal winner": "there are 2",
		strings.Replace(words, "wave", "waev", 1):                 `the 5th, "waev", is not on the list`,
		strings.Replace(words, "legal winner", "winner legal", 1): "do not fit",
	} {
		_, err := Check(typed)
		require.ErrorIs(t, err, ErrWords)
		require.ErrorContains(t, err, says)
	}
	_, err = NewWords(rand.Reader, 13)
	require.ErrorIs(t, err, ErrWords)
	_, err = NewWords(bytes.NewReader(nil), 12)
	require.Error(t, err)
}

// The keys of a wallet are frozen: other ones would leave people's coins behind.
func TestTheSameWordsGiveTheSameKeys(t *testing.T) {
	w, err := FromWords(words, "")
	require.NoError(t, err)
	key, err := w.Account(0)
	require.NoError(t, err)
	private, proofs, err := w.Private(0)
	require.NoError(t, err)
	require.Equal(t, "secp256k1:02667860cec78a7e2d0f5ef498bab4dfd41db9705c8364fc49699a79ce6672ef81", key.Public().String())
	require.Equal(t, "00037c99d8b3d4c236a0ca01624987a3a8e4decd5671522773ad2e41b4ee741f6cc902d8455ee0007d17195323d785ff57b66639ae00c3d4f87d547948b8cc2c9ca0c2", hex.EncodeToString(private.Address(0).Bytes()))
	require.Equal(t, "ec9c3b861926500b57da0877b7f89e273b6ae9987db6c6df968d447a3bf04389", proofs.String())
	require.NotContains(t, fmt.Sprintf("%v %+v %s", w, w, w), w.master.String())

	seen := map[string]bool{}
	for _, pass := range []string{"", "x"} {
		for n := range uint32(3) {
			w, err := FromWords(words, pass)
			require.NoError(t, err)
			key, err := w.Account(n)
			require.NoError(t, err)
			private, proofs, err := w.Private(n)
			require.NoError(t, err)
			for _, s := range []string{key.Public().String(), private.Address(0).Spend.String(), private.Address(0).View.String(), proofs.String()} {
				require.False(t, seen[s])
				seen[s] = true
			}
		}
	}
	_, err = w.Account(MaxAccount + 1)
	require.Error(t, err)
}

func TestDrawnWordsAreTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{12, 15, 18, 21, 24}).Draw(t, "words")
		w, err := NewWords(bytes.NewReader(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "entropy")), n)
		require.NoError(t, err)
		require.Len(t, strings.Fields(w), n)
		checked, err := Check(w)
		require.NoError(t, err)
		require.Equal(t, w, checked)
	})
}

func FuzzCheck(f *testing.F) {
	f.Add(words)
	f.Add("")
	f.Fuzz(func(t *testing.T, typed string) {
		w, err := Check(typed)
		if err != nil {
			require.ErrorIs(t, err, ErrWords)
			return
		}
		again, err := Check(w)
		require.NoError(t, err)
		require.Equal(t, w, again)
	})
}
