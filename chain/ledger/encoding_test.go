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

// slowAccount is an account as package canon codes it.
type slowAccount struct {
	_        struct{} `cbor:",toarray"`
	Balance  types.Drops
	Sequence uint64
	Signer   []byte // of 32 bytes, not all of them 0, or empty
}

func (s slowAccount) account() (a Account, ok bool) {
	a = Account{Balance: s.Balance, Sequence: s.Sequence}
	if len(s.Signer) == 0 {
		return a, s.Signer != nil
	}
	copy(a.Signer[:], s.Signer)
	return a, len(s.Signer) == len(a.Signer) && a.Signer != (types.Address{})
}

func slowly(a Account) slowAccount {
	s := slowAccount{Balance: a.Balance, Sequence: a.Sequence, Signer: []byte{}}
	if a.Signer != (types.Address{}) {
		s.Signer = a.Signer[:]
	}
	return s
}

func TestAccountEncodingIsCanonicalCBOR(t *testing.T) {
	check := func(t require.TestingT, a Account) {
		raw := a.Encode()
		require.Equal(t, canon.MustMarshal(slowly(a)), raw)
		back, err := DecodeAccount(raw)
		require.NoError(t, err)
		require.Equal(t, a, back)
	}
	for _, x := range edges {
		for _, y := range edges {
			check(t, Account{Balance: types.Drops(x), Sequence: y})
			check(t, Account{Balance: types.Drops(x), Sequence: y, Signer: types.Address{31: 1}})
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
	signed := Account{Signer: types.Address{1}}.Encode()
	f.Add(signed)
	f.Add(append(signed[:5:5], make([]byte, 32)...)) // a signer of nothing but zeros
	f.Add(signed[:20])
	f.Add([]byte{0x83, 0x18, 0x01, 0x00, 0x40}) // longer than needed
	f.Add([]byte{0x83, 0x1b, 0x00})
	f.Add([]byte{0x83, 0x00, 0x00, 0x58, 0x00}) // longer than needed
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := DecodeAccount(raw)
		var slow slowAccount
		slowErr := canon.Unmarshal(raw, &slow)
		want, ok := slow.account()
		require.Equal(t, slowErr == nil && ok && string(canon.MustMarshal(slow)) == string(raw), err == nil)
		if err == nil {
			require.Equal(t, want, a)
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
