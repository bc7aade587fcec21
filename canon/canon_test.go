package canon

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type sample struct {
	_    struct{} `cbor:",toarray"`
	N    uint64
	Data []byte
	List []uint32
}

func TestRoundTripIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := sample{
			N:    rapid.Uint64().Draw(t, "n"),
			Data: rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "data"),
			List: rapid.SliceOfN(rapid.Uint32(), 1, 8).Draw(t, "list"),
		}
		b := MustMarshal(in)
		var out sample
		require.NoError(t, Unmarshal(b, &out))
		require.Equal(t, in, out)
	})
}

func TestOnlyTheCanonicalFormDecodes(t *testing.T) {
	for name, b := range map[string][]byte{
		"integer longer than needed": {0x83, 0x18, 0x01, 0x41, 0x00, 0x80},
		"indefinite array":           {0x9f, 0x01, 0x41, 0x00, 0x80, 0xff},
		"trailing byte":              {0x83, 0x01, 0x41, 0x00, 0x80, 0x00},
		"missing field":              {0x82, 0x01, 0x41, 0x00},
		"extra field":                {0x84, 0x01, 0x41, 0x00, 0x80, 0x00},
		"tagged":                     {0xc1, 0x83, 0x01, 0x41, 0x00, 0x80},
		"announced beyond the end":   {0x83, 0x01, 0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"empty":                      {},
	} {
		var v sample
		require.Error(t, Unmarshal(b, &v), name)
	}
	var v sample
	require.NoError(t, Unmarshal([]byte{0x83, 0x01, 0x41, 0x00, 0x80}, &v))
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte{0x83, 0x01, 0x41, 0x00, 0x80})
	f.Add([]byte{0x9f, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		var v sample
		if Unmarshal(data, &v) == nil {
			require.Equal(t, data, MustMarshal(v))
		}
	})
}
