// Package hash is the one hash of the system: BLAKE2b-256 with domain separation.
//
// Look at [Sum] first. Everything that is signed, linked or committed to goes
// through it with a tag of its own, so that a digest made for one purpose can
// never be presented for another. The package imports nothing of the project.
package hash

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/blake2b"
)

// Size is the length of a [Hash] in bytes.
const Size = 32

// Hash is a BLAKE2b-256 digest (RFC 7693, 32-byte output, no key).
// The zero value stands for "none" and is never the digest of anything known.
type Hash [Size]byte

// Sum hashes the parts under a domain tag. The tag is length-prefixed; the
// parts are concatenated as they are, so callers with several parts of
// variable length must delimit them (canonical CBOR does).
//
// The tag must be shorter than 256 bytes; every tag in the project is a constant.
func Sum(tag string, parts ...[]byte) Hash {
	var buf [512]byte
	b := append(buf[:0], byte(len(tag)))
	b = append(b, tag...)
	size := len(b)
	for _, p := range parts {
		size += len(p)
	}
	if size <= len(buf) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return blake2b.Sum256(b)
	}
	h, _ := blake2b.New256(nil) // the only error is an over-long key
	_, _ = h.Write(b)
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	var out Hash
	h.Sum(out[:0])
	return out
}

// IsZero reports whether h is the zero value.
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns the digest in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short returns the first eight hexadecimal digits, for logs and tables.
func (h Hash) Short() string { return hex.EncodeToString(h[:4]) }

// MarshalText implements [encoding.TextMarshaler].
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes exactly 64
// hexadecimal digits.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// Parse reads the form that [Hash.String] writes.
func Parse(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*Size {
		return h, fmt.Errorf("parse hash: want %d hexadecimal digits, have %d", 2*Size, len(s))
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, fmt.Errorf("parse hash: %w", err)
	}
	return h, nil
}
