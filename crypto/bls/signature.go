package bls

import (
	"encoding/hex"
	"fmt"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// SignatureSize is the length of a signature in bytes.
const SignatureSize = bls12381.SizeOfG1AffineCompressed

// The ciphersuite BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_ and its domain for
// proofs of possession (draft-irtf-cfrg-bls-signature-05, section 4.2.3).
const (
	voteDST  = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
	proofDST = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
)

// Signature is an encoded point of G1: one signature, an aggregate, or a proof of
// possession. A Signature may hold any bytes; every function that takes one
// checks it, so the hot path converts wire bytes directly and lets [Verify]
// decode them once.
type Signature [SignatureSize]byte

// ParseSignature checks that b is a possible signature: the canonical form of a
// point of order r that is not infinity. It takes about 50 us.
func ParseSignature(b []byte) (Signature, error) {
	var sig Signature
	if len(b) != SignatureSize {
		return sig, fmt.Errorf("%w: it has %d bytes, want %d", ErrSignature, len(b), SignatureSize)
	}
	copy(sig[:], b)
	if _, err := sig.point(); err != nil {
		return Signature{}, err
	}
	return sig, nil
}

// String returns the signature in hexadecimal.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

func (s Signature) point() (bls12381.G1Affine, error) {
	var p bls12381.G1Affine
	if _, err := p.SetBytes(s[:]); err != nil { // checks the subgroup too
		return p, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if p.IsInfinity() {
		return p, fmt.Errorf("%w: it is the point at infinity", ErrSignature)
	}
	if p.Bytes() != s {
		return p, fmt.Errorf("%w: it is not in its canonical form", ErrSignature)
	}
	return p, nil
}

func hashToG1(msg []byte, dst string) bls12381.G1Affine {
	p, _ := bls12381.HashToG1(msg, []byte(dst)) // fails only for domains over 255 bytes
	return p
}

// Aggregate adds signatures up. It checks that each is a point of order r, but
// not that it is anybody's signature: verify the aggregate, and only if that
// fails look for the culprits with [BatchVerify].
func Aggregate(sigs []Signature) (Signature, error) {
	if len(sigs) == 0 {
		return Signature{}, fmt.Errorf("aggregate signatures: %w", ErrEmpty)
	}
	var sum bls12381.G1Jac
	for i := range sigs {
		p, err := sigs[i].point()
		if err != nil {
			return Signature{}, fmt.Errorf("aggregate signature %d: %w", i, err)
		}
		sum.AddMixed(&p)
	}
	var affine bls12381.G1Affine
	affine.FromJacobian(&sum)
	if affine.IsInfinity() {
		return Signature{}, fmt.Errorf("aggregate signatures: %w", ErrCancelled)
	}
	return affine.Bytes(), nil
}
