package keys

import "fmt"

// Kind is the kind of a key, and the first byte of its encoding.
type Kind uint8

// The kinds of key. Zero is none.
const (
	Secp256k1 Kind = 1 // the default
	Ed25519   Kind = 2
	P256      Kind = 3
	RSA       Kind = 4 // 2048 to 8192 bits, exponent 65537
	Multi     Kind = 5 // several keys of which some sign; see [NewMulti]
)

var kindNames = [...]string{Secp256k1: "secp256k1", Ed25519: "ed25519", P256: "p256", RSA: "rsa", Multi: "multi"}

// Kinds lists the kinds that have a private half.
func Kinds() []Kind { return []Kind{Secp256k1, Ed25519, P256, RSA} }

// String returns the kind's lower-case name.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// ParseKind reads what [Kind.String] writes.
func ParseKind(s string) (Kind, error) {
	for _, k := range Kinds() {
		if k.String() == s {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%w: %q, choose secp256k1, ed25519, p256 or rsa", ErrKind, s)
}
