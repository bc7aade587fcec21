package keys

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// The sizes of RSA moduli that are accepted, in bits.
const (
	MinRSABits = 2048
	MaxRSABits = 8192
)

// rsaExponent is the only public exponent accepted: larger ones would let a
// sender buy slow verification at the price of a fast one.
const rsaExponent = 65537

var errRSAForm = errors.New("not in its one DER form")

func parseRSA(der []byte) (*rsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the DER holds a %T", ErrKind, parsed)
	}
	if err := checkRSA(key); err != nil {
		return nil, err
	}
	again, err := x509.MarshalPKIXPublicKey(key)
	if err != nil || !bytes.Equal(again, der) {
		return nil, errRSAForm
	}
	return key, nil
}

func checkRSA(key *rsa.PublicKey) error {
	n := key.N.BitLen()
	switch {
	case n < MinRSABits || n > MaxRSABits:
		return fmt.Errorf("the modulus has %d bits, want %d to %d", n, MinRSABits, MaxRSABits)
	case key.N.Bit(0) == 0:
		return errors.New("the modulus is even")
	case key.E != rsaExponent:
		return fmt.Errorf("the public exponent is %d, want %d", key.E, rsaExponent)
	}
	return nil
}

func verifyRSA(der, msg, sig []byte) bool {
	key, err := parseRSA(der)
	if err != nil {
		return false
	}
	digest := sha256.Sum256(msg)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig) == nil
}

func parseRSAPrivate(der []byte) (*rsa.PrivateKey, error) {
	key, err := x509.ParsePKCS1PrivateKey(der) // checks that the halves belong together
	if err != nil {
		return nil, err
	}
	if len(key.Primes) != 2 {
		return nil, fmt.Errorf("it has %d primes, want 2", len(key.Primes))
	}
	if err := checkRSA(&key.PublicKey); err != nil {
		return nil, err
	}
	if !bytes.Equal(x509.MarshalPKCS1PrivateKey(key), der) {
		return nil, errRSAForm
	}
	return key, nil
}
