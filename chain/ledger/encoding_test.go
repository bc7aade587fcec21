package ledger

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// edges are where the length of an encoded integer changes.
var edges = []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64}

func TestAccountEncodingIsCanonicalCBOR(t *testing.T) {
	check := func(t require.TestingT, a Account) {
		raw := a.Encode()
		require.Equal(t, canon.MustMarshal(a), raw)
		back, err := DecodeAccount(raw)
		require.NoError(t, err)
		require.Equal(t, a, back)
	}
	for _, x := range edges {
		for _, y := range edges {
			check(t, Account{Balance: types.Drops(x), Sequence: y})
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, Account{Balance: types.Drops(rapid.Uint64().Draw(t, "balance")), Sequence: rapid.Uint64().Draw(t, "sequence")})
	})
}

func FuzzDecodeAccount(f *testing.F) {
	for _, x := range edges {
		f.Add(Account{Balance: types.Drops(x), Sequence: x}.Encode())
	}
	f.Add([]byte{0x82, 0x18, 0x01, 0x00}) // longer than needed
	f.Add([]byte{0x82, 0x1b, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := DecodeAccount(raw)
		var slow Account
		slowErr := canon.Unmarshal(raw, &slow)
		require.Equal(t, slowErr == nil && string(canon.MustMarshal(slow)) == string(raw), err == nil)
		if err == nil {
			require.Equal(t, slow, a)
			require.Equal(t, raw, a.Encode())
		}
	})
}

func FuzzDecodeReceipts(f *testing.F) {
	f.Add(EncodeReceipts(nil))
	f.Add(EncodeReceipts([]Receipt{{Tx: hash.Hash{1}, Code: Applied, Fee: 10}, {Code: WrongChain}}))
	f.Add([]byte{0xf6})
	f.Add([]byte{0x81, 0xf6})
	f.Fuzz(func(t *testing.T, raw []byte) {
		receipts, err := DecodeReceipts(raw)
		if err == nil {
			require.Equal(t, raw, EncodeReceipts(receipts))
		}
	})
}

func TestReceiptsRoundTrip(t *testing.T) {
	for _, in := range [][]Receipt{{}, {{Tx: hash.Hash{1}, Code: Applied, Fee: 10}, {Tx: hash.Hash{2}, Code: Expired}}} {
		out, err := DecodeReceipts(EncodeReceipts(in))
		require.NoError(t, err)
		require.Equal(t, in, out)
	}
	_, err := DecodeReceipts(EncodeReceipts([]Receipt{{Code: 255}}))
	require.ErrorIs(t, err, ErrEncoding)
}

func TestCodesAreNamesInJSON(t *testing.T) {
	b, err := json.Marshal(Receipt{Code: DestinationBelowReserve, Fee: 10})
	require.NoError(t, err)
	require.Contains(t, string(b), `"code":"destination-below-reserve","fee_drops":10`)
	for _, code := range Codes() {
		text, err := code.MarshalText()
		require.NoError(t, err)
		var back Code
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, code, back)
	}
	require.Error(t, new(Code).UnmarshalText([]byte("code-3")))
}
