package types

import (
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/btcutil/bech32"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Address names an account: the BLAKE2b-256 hash of a typed public key.
type Address hash.Hash

// AddressOf returns the address of a typed public key (one kind byte, then the
// key, as crypto/keys writes it).
func AddressOf(typedKey []byte) Address {
	return Address(hash.Sum("starling/address", typedKey))
}

// Format writes the address as bech32m (BIP 350) with the network's prefix.
func (a Address) Format(prefix string) string {
	data, _ := bech32.ConvertBits(a[:], 8, 5, true) // cannot fail for whole bytes
	s, err := bech32.EncodeM(prefix, data)
	if err != nil {
		return a.String()
	}
	return s
}

// String returns the address in hexadecimal, for logs that do not know the network.
func (a Address) String() string { return hash.Hash(a).String() }

// ParseAddress reads what [Address.Format] wrote. An address of another network
// is refused, so that money is never sent to a place that does not exist.
func ParseAddress(s, prefix string) (Address, error) {
	var a Address
	hrp, data, version, err := bech32.DecodeGeneric(s)
	switch {
	case err != nil:
		return a, fmt.Errorf("address %q: %w (mistyped?)", s, err)
	case version != bech32.VersionM:
		return a, fmt.Errorf("address %q: old bech32 checksum, want bech32m", s)
	case hrp != prefix:
		return a, fmt.Errorf("address %q belongs to another network: it begins with %q, here addresses begin with %q", s, hrp, prefix)
	}
	raw, err := bech32.ConvertBits(data, 5, 8, false)
	if err != nil {
		return a, fmt.Errorf("address %q: %w", s, err)
	}
	if len(raw) != len(a) {
		return a, fmt.Errorf("address %q: holds %d bytes, want %d", s, len(raw), len(a))
	}
	copy(a[:], raw)
	return a, nil
}

// ValidPrefix reports whether s can be a network's address prefix: 1 to 16
// lower-case letters or digits, beginning with a letter.
func ValidPrefix(s string) bool {
	if len(s) < 1 || len(s) > 16 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
