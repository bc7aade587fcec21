package curve

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
)

// ScalarSize is the length of an encoded [Scalar] in bytes.
const ScalarSize = 32

// Scalar is a number modulo the group's order n. Equal scalars are equal by ==; the zero value is
// 0.
type Scalar struct{ v fr.Element }

// ErrScalar means that bytes are not a number below n, or not of the right length.
var ErrScalar = errors.New("not a number below the group's order in 32 bytes")

// ParseScalar reads 32 bytes, big-endian, below n. It returns [ErrScalar].
func ParseScalar(b []byte) (s Scalar, err error) {
	if len(b) != ScalarSize || s.v.SetBytesCanonical(b) != nil {
		return Scalar{}, ErrScalar
	}
	return s, nil
}

// ReduceScalar takes bytes, big-endian, modulo n. With 48 uniform bytes or more the result is
// uniform.
func ReduceScalar(b []byte) (s Scalar) {
	s.v.SetBytes(b)
	return s
}

// ScalarOf is a small number.
func ScalarOf(n uint64) (s Scalar) {
	s.v.SetUint64(n)
	return s
}

// RandomScalar draws a scalar that is not zero.
func RandomScalar(rand io.Reader) (Scalar, error) {
	var b [48]byte
	for {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return Scalar{}, fmt.Errorf("draw a scalar: %w", err)
		}
		if s := ReduceScalar(b[:]); !s.IsZero() {
			return s, nil
		}
	}
}

// Bytes encodes the scalar, big-endian.
func (s Scalar) Bytes() [ScalarSize]byte { return s.v.Bytes() }

// MarshalBinary implements [encoding.BinaryMarshaler].
func (s Scalar) MarshalBinary() ([]byte, error) {
	b := s.Bytes()
	return b[:], nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]; see [ParseScalar].
func (s *Scalar) UnmarshalBinary(b []byte) (err error) {
	*s, err = ParseScalar(b)
	return err
}

// MarshalText implements [encoding.TextMarshaler]: hexadecimal.
func (s Scalar) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; it returns [ErrScalar].
func (s *Scalar) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return ErrScalar
	}
	return s.UnmarshalBinary(b)
}

// String is the scalar in hexadecimal.
func (s Scalar) String() string {
	b := s.Bytes()
	return hex.EncodeToString(b[:])
}

// IsZero reports whether s is 0.
func (s Scalar) IsZero() bool { return s.v.IsZero() }

// Add returns s + t.
func (s Scalar) Add(t Scalar) Scalar {
	s.v.Add(&s.v, &t.v)
	return s
}

// Sub returns s - t.
func (s Scalar) Sub(t Scalar) Scalar {
	s.v.Sub(&s.v, &t.v)
	return s
}

// Mul returns s * t.
func (s Scalar) Mul(t Scalar) Scalar {
	s.v.Mul(&s.v, &t.v)
	return s
}

// Neg returns -s.
func (s Scalar) Neg() Scalar {
	s.v.Neg(&s.v)
	return s
}

// InverseVarTime returns 1/s, and 0 of 0.
func (s Scalar) InverseVarTime() Scalar {
	s.v.Inverse(&s.v)
	return s
}

// InvertAll replaces scalars by their inverses, with one inversion for all; 0 stays 0.
func InvertAll(all []Scalar) {
	values := make([]fr.Element, len(all))
	for i := range all {
		values[i] = all[i].v
	}
	for i, v := range fr.BatchInvert(values) {
		all[i].v = v
	}
}

// High reports whether s is more than n/2.
func (s Scalar) High() bool { return s.v.LexicographicallyLargest() }
