package hash

import (
	"bytes"
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
