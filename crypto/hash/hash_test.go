package hash

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/blake2b"
)

func TestSumIsBlake2bOfLengthPrefixedTagAndParts(t *testing.T) {
	for _, n := range []int{0, 1, 100, 511, 512, 4096} {
		data := bytes.Repeat([]byte{0xa5}, n)
		want := blake2b.Sum256(append([]byte("\x03tag"), data...))
		require.Equal(t, Hash(want), Sum("tag", data), "whole, %d bytes", n)
		require.Equal(t, Hash(want), Sum("tag", data[:n/2], data[n/2:]), "split, %d bytes", n)
	}
}

func TestTagsSeparateDomains(t *testing.T) {
	require.NotEqual(t, Sum("a", []byte("bc")), Sum("ab", []byte("c")))
	require.NotEqual(t, Sum("vote"), Sum("timeout"))
}

func TestTextRoundTrip(t *testing.T) {
	h := Sum("x")
	text, err := h.MarshalText()
	require.NoError(t, err)
	var back Hash
	require.NoError(t, back.UnmarshalText(text))
	require.Equal(t, h, back)
	for _, bad := range []string{"", "00", h.String() + "0", "zz" + h.String()[2:]} {
		_, err := Parse(bad)
		require.Error(t, err, "%q", bad)
	}
}

func BenchmarkSum256Bytes(b *testing.B) {
	data := make([]byte, 256)
	b.SetBytes(256)
	for b.Loop() {
		Sum("bench", data)
	}
}

// The example of RFC 7693 (appendix A) and its self-test (appendix E): BLAKE2b over messages and
// keys of many lengths, for digests of 20 to 64 bytes.
func TestBLAKE2bOfRFC7693(t *testing.T) {
	abc := blake2b.Sum512([]byte("abc"))
	require.Equal(t, "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923", hex.EncodeToString(abc[:]))

	sequence := func(n int) []byte {
		out := make([]byte, n)
		a, b := uint32(0xDEAD4BAD)*uint32(n), uint32(1)
		for i := range out {
			a, b = b, a+b
			out[i] = byte(b >> 24)
		}
		return out
	}
	all, err := blake2b.New256(nil)
	require.NoError(t, err)
	for _, size := range []int{20, 32, 48, 64} {
		for _, length := range []int{0, 3, 128, 129, 255, 1024} {
			for _, key := range [][]byte{nil, sequence(size)} {
				h, err := blake2b.New(size, key)
				require.NoError(t, err)
				h.Write(sequence(length))
				all.Write(h.Sum(nil))
			}
		}
	}
	require.Equal(t, "c23a7800d98123bd10f506c61e29da5603d763b8bbad2e737f5e765a7bccd475", hex.EncodeToString(all.Sum(nil)))
}
