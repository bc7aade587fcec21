package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"

	decred "github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/starlingmesh/starling/crypto/hash"
)

const (
	scalarSize = 32
	// MinSeedSize is the least length of the seed for [FromSeed] in bytes.
	MinSeedSize = 32
	// maxPrivateKeySize bounds an encoded private key; RSA-8192 takes 4.7 KB.
	maxPrivateKeySize = 5120
)

// PrivateKey signs for an account. Its only valid values come from [Generate],
// [FromSeed] and [ParsePrivateKey]; the zero value signs nothing. Printing or
// logging one shows no secret.
type PrivateKey struct {
	half *secretHalf // behind a pointer so that no %v of an outer struct reaches it
}

type secretHalf struct {
	public PublicKey
	raw    []byte
	key    crypto.PrivKey
}

// Generate makes a key from rand, which is crypto/rand.Reader outside of tests.
// RSA keys get 2048 bits, and the standard library takes its own randomness for
// them.
func Generate(kind Kind, rand io.Reader) (PrivateKey, error) {
	switch kind {
	case Secp256k1, Ed25519, P256:
		return firstValid(kind, func(raw []byte, _ byte) error {
			_, err := io.ReadFull(rand, raw)
			return err
		})
	case RSA:
		key, err := rsa.GenerateKey(rand, MinRSABits)
		if err != nil {
			return PrivateKey{}, fmt.Errorf("generate an rsa key: %w", err)
		}
		return parsePrivate(RSA, x509.MarshalPKCS1PrivateKey(key))
	default:
		return PrivateKey{}, fmt.Errorf("generate a key: %w: %s", ErrKind, kind)
	}
}

// FromSeed derives a key from a secret seed of 32 bytes or more, always the same
// one; the seed must be as hard to guess as a key. RSA is not supported.
func FromSeed(kind Kind, seed []byte) (PrivateKey, error) {
	if len(seed) < MinSeedSize {
		return PrivateKey{}, fmt.Errorf("derive a key: %w: the seed has %d bytes, give at least %d", ErrPrivateKey, len(seed), MinSeedSize)
	}
	switch kind {
	case Secp256k1, Ed25519, P256:
		return firstValid(kind, func(raw []byte, try byte) error {
			h := hash.Sum("starling/key-seed", []byte{byte(kind), try}, seed)
			copy(raw, h[:])
			return nil
		})
	default:
		return PrivateKey{}, fmt.Errorf("derive a key: %w: %s", ErrKind, kind)
	}
}

// firstValid draws 32 bytes until they are a valid scalar. A draw fails with
// probability 2^-32 or less, so eight failures mean that the source is broken.
func firstValid(kind Kind, draw func(raw []byte, try byte) error) (PrivateKey, error) {
	var raw [scalarSize]byte
	defer clear(raw[:])
	for try := range byte(8) {
		if err := draw(raw[:], try); err != nil {
			return PrivateKey{}, fmt.Errorf("read randomness for a key: %w", err)
		}
		candidate := raw[:]
		if kind == Ed25519 {
			candidate = ed25519.NewKeyFromSeed(candidate)
		}
		if key, err := parsePrivate(kind, candidate); err == nil {
			return key, nil
		}
	}
	return PrivateKey{}, fmt.Errorf("generate a key: %w: the randomness is broken", ErrPrivateKey)
}

// ParsePrivateKey reads what [PrivateKey.Bytes] writes: one kind byte, then
//
//	secp256k1, p256  32 bytes, the scalar, big-endian, in [1, n)
//	ed25519          64 bytes, the seed and the public key that belongs to it
//	rsa              PKCS #1 DER, two primes
func ParsePrivateKey(b []byte) (PrivateKey, error) {
	if len(b) == 0 || len(b) > maxPrivateKeySize {
		return PrivateKey{}, fmt.Errorf("%w: it has %d bytes", ErrPrivateKey, len(b))
	}
	return parsePrivate(Kind(b[0]), b[1:])
}

func parsePrivate(kind Kind, raw []byte) (PrivateKey, error) {
	key, public, err := loadPrivate(kind, raw)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %s: %w", ErrPrivateKey, kind, err)
	}
	parsed, err := ParsePublicKey(append([]byte{byte(kind)}, public...))
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrPrivateKey, err)
	}
	return PrivateKey{&secretHalf{public: parsed, raw: bytes.Clone(raw), key: key}}, nil
}

var errScalar = errors.New("the secret is not 32 bytes, zero, or not below the group order")

// loadPrivate returns the key and its raw public half.
func loadPrivate(kind Kind, raw []byte) (crypto.PrivKey, []byte, error) {
	switch kind {
	case Secp256k1:
		var scalar decred.ModNScalar
		if len(raw) != scalarSize || scalar.SetByteSlice(raw) || scalar.IsZero() {
			return nil, nil, errScalar
		}
		key := decred.NewPrivateKey(&scalar)
		return (*crypto.Secp256k1PrivateKey)(key), key.PubKey().SerializeCompressed(), nil
	case Ed25519:
		if len(raw) != ed25519.PrivateKeySize {
			return nil, nil, fmt.Errorf("it has %d bytes, want %d", len(raw), ed25519.PrivateKeySize)
		}
		if !bytes.Equal(ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize]), raw) {
			return nil, nil, errors.New("the public half does not belong to the secret half")
		}
		key, err := crypto.UnmarshalEd25519PrivateKey(bytes.Clone(raw))
		return key, raw[ed25519.SeedSize:], err
	case P256:
		std, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			return nil, nil, errScalar
		}
		key, _, err := crypto.ECDSAKeyPairFromKey(std)
		return key, elliptic.MarshalCompressed(std.Curve, std.X, std.Y), err
	case RSA:
		std, err := parseRSAPrivate(raw)
		if err != nil {
			return nil, nil, err
		}
		key, err := crypto.UnmarshalRsaPrivateKey(raw)
		if err != nil {
			return nil, nil, err
		}
		public, err := x509.MarshalPKIXPublicKey(&std.PublicKey)
		return key, public, err
	default:
		return nil, nil, ErrKind
	}
}

// IsZero reports whether k is the zero value.
func (k PrivateKey) IsZero() bool { return k.half == nil }

// Kind returns the key's kind, zero for the zero value.
func (k PrivateKey) Kind() Kind { return k.Public().Kind() }

// Public returns the public half, the zero key for the zero value.
func (k PrivateKey) Public() PublicKey {
	if k.half == nil {
		return PublicKey{}
	}
	return k.half.public
}

// Bytes returns the secret itself, see [ParsePrivateKey]; nil for the zero value.
func (k PrivateKey) Bytes() []byte {
	if k.half == nil {
		return nil
	}
	return append([]byte{byte(k.Kind())}, k.half.raw...)
}

// Libp2p returns the key as libp2p knows it, for a host's identity; nil for the
// zero value.
func (k PrivateKey) Libp2p() crypto.PrivKey {
	if k.half == nil {
		return nil
	}
	return k.half.key
}

// Sign signs a message of any length. The same key and message always give the
// same signature.
func (k PrivateKey) Sign(msg []byte) ([]byte, error) {
	if k.half == nil {
		return nil, fmt.Errorf("sign: %w: the key is empty", ErrPrivateKey)
	}
	switch key := k.half.key.(type) {
	case *crypto.Secp256k1PrivateKey:
		return signSecp((*decred.PrivateKey)(key), msg), nil
	case *crypto.ECDSAPrivateKey:
		std, err := crypto.PrivKeyToStdKey(key)
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		p256, ok := std.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("sign: %w: %T", ErrKind, std)
		}
		return signP256(p256, msg)
	default:
		sig, err := key.Sign(msg)
		if err != nil {
			return nil, fmt.Errorf("sign with a key of kind %s: %w", k.Kind(), err)
		}
		return sig, nil
	}
}

// String names the key by its kind and public half.
func (k PrivateKey) String() string { return "private(" + k.Public().String() + ")" }

// Format implements [fmt.Formatter]: every verb prints [PrivateKey.String].
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue implements [slog.LogValuer] with [PrivateKey.String].
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses: a secret must not slip into a JSON document.
func (k PrivateKey) MarshalText() ([]byte, error) {
	return nil, fmt.Errorf("%w: private keys are not marshalled, call Bytes", ErrPrivateKey)
}
