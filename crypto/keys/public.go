package keys

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"

	"github.com/starlingmesh/starling/crypto/curve"
)

// MaxPublicKeySize is the length in bytes of the longest encoded public key,
// that of RSA with 8192 bits.
const MaxPublicKeySize = 1 + 1062

// PublicKey verifies signatures. It is a small immutable value: equal keys are
// equal by ==, and it can be the key of a map. The zero value is no key and
// verifies nothing.
type PublicKey struct {
	enc   string      // kind byte, then the raw key
	point curve.Point // of a secp256k1 key, so that only parsing pays for the square root
}

// ParsePublicKey reads what [PublicKey.Bytes] writes and checks that it is a
// possible key: one kind byte, then
//
//	secp256k1, p256  33 bytes, compressed point (SEC 1, section 2.3.3)
//	ed25519          32 bytes, canonical and not of small order (RFC 8032)
//	rsa              PKIX DER, 2048 to 8192 bits, odd modulus, exponent 65537
//	multi            threshold and number of members, a byte each; then the members, no
//	                 rsa or multi among them, in the ascending order of their encodings
//
// Parsing a secp256k1 key takes a square root, about 4 us; where keys repeat,
// use a [Cache].
func ParsePublicKey(b []byte) (PublicKey, error) {
	if len(b) == 0 || len(b) > MaxPublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: it has %d bytes", ErrPublicKey, len(b))
	}
	kind, raw := Kind(b[0]), b[1:]
	key := PublicKey{enc: string(b)}
	var err error
	switch kind {
	case Secp256k1:
		key.point, err = curve.ParsePoint(raw)
	case Ed25519:
		err = checkEd25519(raw)
	case P256:
		_, err = parseP256(raw)
	case RSA:
		_, err = parseRSA(raw)
	case Multi:
		_, _, err = parseMulti(raw)
	default:
		err = fmt.Errorf("%w: %s", ErrKind, kind)
	}
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	return key, nil
}

// CheckForm refuses most of what [ParsePublicKey] would, in a fraction of the time: it does not see
// whether points are on their curves. It returns [ErrPublicKey].
func CheckForm(b []byte) error {
	if len(b) == 0 || len(b) > MaxPublicKeySize {
		return fmt.Errorf("%w: it has %d bytes", ErrPublicKey, len(b))
	}
	switch kind := Kind(b[0]); kind {
	case Secp256k1, P256, Ed25519:
		if len(b) != memberSize(kind) {
			return fmt.Errorf("%w: a %s key of %d bytes", ErrPublicKey, kind, len(b))
		}
	case RSA:
	case Multi:
		if _, _, err := cutMulti(b[1:]); err != nil {
			return fmt.Errorf("%w: %w", ErrPublicKey, err)
		}
	default:
		return fmt.Errorf("%w: %w: %s", ErrPublicKey, ErrKind, kind)
	}
	return nil
}

// Kind returns the key's kind, zero for the zero value.
func (k PublicKey) Kind() Kind {
	if k.enc == "" {
		return 0
	}
	return Kind(k.enc[0])
}

// IsZero reports whether k is the zero value.
func (k PublicKey) IsZero() bool { return k.enc == "" }

// Bytes returns the one encoding of the key, see [ParsePublicKey].
func (k PublicKey) Bytes() []byte { return []byte(k.enc) }

// Equal reports whether both are the same key, as == does.
func (k PublicKey) Equal(other PublicKey) bool { return k == other }

// String returns the kind and the raw key in hexadecimal.
func (k PublicKey) String() string {
	if k.IsZero() {
		return "none"
	}
	return k.Kind().String() + ":" + hex.EncodeToString([]byte(k.enc[1:]))
}

// Verify reports whether sig is the key's signature of msg, in the one valid
// form of its kind (see the package documentation).
func (k PublicKey) Verify(msg, sig []byte) bool {
	switch k.Kind() {
	case Secp256k1:
		return k.verifySecp(msg, sig)
	case Ed25519:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(ed25519.PublicKey(k.enc[1:]), msg, sig)
	case P256:
		return verifyP256([]byte(k.enc[1:]), msg, sig)
	case RSA:
		return verifyRSA([]byte(k.enc[1:]), msg, sig)
	case Multi:
		return k.verifyMulti(msg, sig)
	default:
		return false
	}
}
