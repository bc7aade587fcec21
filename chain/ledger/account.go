package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
)

// Account is what the state holds for an address.
type Account struct {
	Balance  types.Drops
	Sequence uint64 // of the next transaction; new accounts start at 0
	// Signer is the address of the key that signs for the account, zero if that is the account's own.
	Signer types.Address
}

// Signs reports whether a transaction of the account is signed by the key that may. The signature
// itself is not looked at.
func (a Account) Signs(tx *types.Tx) bool { return a.signs(tx.Sender(), tx.SignedBy()) }

// signs reports whether a key, by its address, signs for the account at an address.
func (a Account) signs(account, key types.Address) bool {
	if a.Signer == (types.Address{}) {
		return key == account
	}
	return key == a.Signer
}

// Encode returns the canonical CBOR form. It is written by hand because accounts
// are coded several times in every transaction; a test holds it to package canon.
func (a Account) Encode() []byte {
	b := make([]byte, 0, 1+9+9+1)
	b = append(b, 0x83) // array of three
	b = appendUint(b, uint64(a.Balance))
	b = appendUint(b, a.Sequence)
	if a.Signer == (types.Address{}) {
		return append(b, 0x40) // no bytes
	}
	return append(append(b, 0x58, byte(len(a.Signer))), a.Signer[:]...)
}

// DecodeAccount decodes what [Account.Encode] wrote and refuses every other form.
func DecodeAccount(b []byte) (Account, error) {
	if len(b) == 0 || b[0] != 0x83 {
		return Account{}, fmt.Errorf("account: %w", ErrEncoding)
	}
	balance, rest, ok := cutUint(b[1:])
	if !ok {
		return Account{}, fmt.Errorf("account: balance: %w", ErrEncoding)
	}
	sequence, rest, ok := cutUint(rest)
	if !ok {
		return Account{}, fmt.Errorf("account: sequence: %w", ErrEncoding)
	}
	signer, ok := cutSigner(rest)
	if !ok {
		return Account{}, fmt.Errorf("account: signer: %w", ErrEncoding)
	}
	return Account{Balance: types.Drops(balance), Sequence: sequence, Signer: signer}, nil
}

// cutSigner reads the last field.
func cutSigner(b []byte) (a types.Address, ok bool) {
	if len(b) == 1 && b[0] == 0x40 {
		return a, true
	}
	if len(b) != 2+len(a) || b[0] != 0x58 || int(b[1]) != len(a) {
		return a, false
	}
	copy(a[:], b[2:])
	return a, a != (types.Address{})
}

// ReadAccount reads an account from a state. The error is [ErrNoAccount] if the
// address has none.
func ReadAccount(r Reader, a types.Address) (Account, error) {
	raw, err := r.Get(types.AccountKey(a))
	if err != nil {
		return Account{}, fmt.Errorf("read account %s: %w", a, err)
	}
	if raw == nil {
		return Account{}, ErrNoAccount
	}
	account, err := DecodeAccount(raw)
	if err != nil {
		return Account{}, fmt.Errorf("read account %s: %w: %w", a, ErrCorrupt, err)
	}
	return account, nil
}

var accountPrefix = []byte("a/")

// AddressOfKey returns the address whose account is stored under a state key.
func AddressOfKey(key []byte) (types.Address, bool) {
	rest, found := bytes.CutPrefix(key, accountPrefix)
	if !found || len(rest) != len(types.Address{}) {
		return types.Address{}, false
	}
	return types.Address(rest), true
}

// appendUint appends the shortest CBOR form of n (RFC 8949, major type 0).
func appendUint(b []byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, byte(n))
	case n < 1<<8:
		return append(b, 24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, 26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, 27), n)
	}
}

// cutUint takes a number in its shortest CBOR form off the front of b.
func cutUint(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	head, b := b[0], b[1:]
	if head < 24 {
		return uint64(head), b, true
	}
	if head > 27 {
		return 0, nil, false
	}
	size := 1 << (head - 24)
	if len(b) < size {
		return 0, nil, false
	}
	for _, c := range b[:size] {
		n = n<<8 | uint64(c)
	}
	least := uint64(24) // that needs this size
	if size > 1 {
		least = 1 << (4 * size)
	}
	return n, b[size:], n >= least
}

func encodeDrops(d types.Drops) []byte { return appendUint(nil, uint64(d)) }

func decodeDrops(b []byte) (types.Drops, bool) {
	n, rest, ok := cutUint(b)
	return types.Drops(n), ok && len(rest) == 0
}
