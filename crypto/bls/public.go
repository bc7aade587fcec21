package bls

import (
	"encoding/hex"
	"fmt"
	"sync"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// PublicKeySize is the length of an encoded public key in bytes.
const PublicKeySize = bls12381.SizeOfG2AffineCompressed

// PublicKey is a checked point of G2: on the curve, of order r, not infinity.
// It is parsed once and then shared by pointer. The first [Verify] under a key
// keeps about 25 KB of pairing lines with it, which make the later ones a
// quarter cheaper.
type PublicKey struct {
	point bls12381.G2Affine
	enc   [PublicKeySize]byte
	once  sync.Once
	lines *pairingLines
}

func newPublicKey(point bls12381.G2Affine) *PublicKey {
	return &PublicKey{point: point, enc: point.Bytes()}
}

// ParsePublicKey reads what [PublicKey.Bytes] writes and checks it (KeyValidate
// of draft-irtf-cfrg-bls-signature-05, section 2.5). It takes about 70 us.
func ParsePublicKey(b []byte) (*PublicKey, error) {
	if len(b) != PublicKeySize {
		return nil, fmt.Errorf("%w: a public key has %d bytes, here are %d", ErrKey, PublicKeySize, len(b))
	}
	var point bls12381.G2Affine
	if _, err := point.SetBytes(b); err != nil { // checks the subgroup too
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if point.IsInfinity() {
		return nil, fmt.Errorf("%w: the public key is the point at infinity", ErrKey)
	}
	k := newPublicKey(point)
	if k.enc != [PublicKeySize]byte(b) {
		return nil, fmt.Errorf("%w: the public key is not in its canonical form", ErrKey)
	}
	return k, nil
}

// Bytes returns the compressed form, 96 bytes.
func (k *PublicKey) Bytes() []byte { return append([]byte(nil), k.enc[:]...) }

// Equal reports whether both are the same key. Nil equals nothing.
func (k *PublicKey) Equal(other *PublicKey) bool {
	return k != nil && other != nil && k.enc == other.enc
}

// String returns the key in hexadecimal.
func (k *PublicKey) String() string { return hex.EncodeToString(k.enc[:]) }

// Short returns the first eight hexadecimal digits, for logs and tables.
func (k *PublicKey) Short() string { return hex.EncodeToString(k.enc[:4]) }

func (k *PublicKey) pairingLines() *pairingLines {
	k.once.Do(func() {
		lines := bls12381.PrecomputeLines(k.point)
		k.lines = &lines
	})
	return k.lines
}
