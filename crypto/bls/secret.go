package bls

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"math/big"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
)

// SecretKeySize is the length of an encoded secret key in bytes.
const SecretKeySize = fr.Bytes

// MinSeedSize is the least length of the seed for [KeyGen] in bytes.
const MinSeedSize = 32

// SecretKey signs votes. Its only valid values come from [Generate], [KeyGen]
// and [ParseSecretKey]. Printing or logging one shows no secret.
type SecretKey struct {
	scalar *fr.Element // in [1, r); behind a pointer so that no %v of an outer struct reaches it
	public *PublicKey
}

// Generate makes a key from 32 bytes of rand, which is crypto/rand.Reader
// outside of tests.
func Generate(rand io.Reader) (*SecretKey, error) {
	var seed [MinSeedSize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("read randomness for a BLS key: %w", err)
	}
	defer clear(seed[:])
	return KeyGen(seed[:])
}

// KeyGen derives a key from a secret seed of 32 bytes or more, which must hold
// 256 bits of entropy (draft-irtf-cfrg-bls-signature-05, section 2.3, with the
// salt that earlier drafts and EIP-2333 fix).
func KeyGen(seed []byte) (*SecretKey, error) {
	if len(seed) < MinSeedSize {
		return nil, fmt.Errorf("%w: the seed has %d bytes, give at least %d", ErrKey, len(seed), MinSeedSize)
	}
	const size = 48 // ceil(1.5 * ceil(log2 r) / 8)
	input := append(append(make([]byte, 0, len(seed)+1), seed...), 0)
	defer clear(input)
	salt := sha256.Sum256([]byte("BLS-SIG-KEYGEN-SALT-"))
	for {
		okm, err := hkdf.Key(sha256.New, input, salt[:], "\x00\x30", size)
		if err != nil {
			return nil, fmt.Errorf("derive a BLS key: %w", err)
		}
		var scalar fr.Element
		scalar.SetBytes(okm) // reduces modulo r
		clear(okm)
		if !scalar.IsZero() {
			return newSecretKey(scalar), nil
		}
		salt = sha256.Sum256(salt[:])
	}
}

// ParseSecretKey reads what [SecretKey.Bytes] writes: 32 bytes, big-endian, in
// [1, r). Everything else is [ErrKey].
func ParseSecretKey(b []byte) (*SecretKey, error) {
	if len(b) != SecretKeySize {
		return nil, fmt.Errorf("%w: a secret key has %d bytes, here are %d", ErrKey, SecretKeySize, len(b))
	}
	var scalar fr.Element
	if err := scalar.SetBytesCanonical(b); err != nil || scalar.IsZero() {
		return nil, fmt.Errorf("%w: the secret key is zero or not below the group order", ErrKey)
	}
	return newSecretKey(scalar), nil
}

func newSecretKey(scalar fr.Element) *SecretKey {
	var point bls12381.G2Affine
	point.ScalarMultiplicationBase(scalar.BigInt(new(big.Int)))
	return &SecretKey{scalar: &scalar, public: newPublicKey(point)}
}

// Bytes returns the secret itself: 32 bytes, big-endian.
func (k *SecretKey) Bytes() []byte {
	b := k.scalar.Bytes()
	return b[:]
}

// Public returns the public half.
func (k *SecretKey) Public() *PublicKey { return k.public }

// Sign signs a message of any length. The same key and message always give the
// same signature.
func (k *SecretKey) Sign(msg []byte) Signature { return k.sign(msg, voteDST) }

// Prove makes the proof of possession: a signature over the public key in a
// domain of its own, so that a vote never passes as a proof or the reverse.
func (k *SecretKey) Prove() Signature { return k.sign(k.public.enc[:], proofDST) }

func (k *SecretKey) sign(msg []byte, dst string) Signature {
	point := hashToG1(msg, dst)
	point.ScalarMultiplication(&point, k.scalar.BigInt(new(big.Int)))
	return point.Bytes()
}

// String names the key by its public half.
func (k *SecretKey) String() string { return "bls-secret(" + k.public.Short() + ")" }

// Format implements [fmt.Formatter]: every verb prints [SecretKey.String].
func (k *SecretKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue implements [slog.LogValuer] with [SecretKey.String].
func (k *SecretKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses: a secret must not slip into a JSON document.
func (k *SecretKey) MarshalText() ([]byte, error) {
	return nil, fmt.Errorf("%w: secret keys are not marshalled, call Bytes", ErrKey)
}
