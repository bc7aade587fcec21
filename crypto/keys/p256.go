package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

const p256SignatureSize = 64

var errP256Point = errors.New("not a compressed point of P-256")

func parseP256(raw []byte) (*ecdsa.PublicKey, error) {
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), raw)
	if x == nil {
		return nil, errP256Point
	}
	return &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}, nil
}

func halfP256Order() *big.Int { return new(big.Int).Rsh(elliptic.P256().Params().N, 1) }

func verifyP256(raw, msg, sig []byte) bool {
	key, err := parseP256(raw)
	if err != nil || len(sig) != p256SignatureSize {
		return false
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(elliptic.P256().Params().N) >= 0 || s.Cmp(halfP256Order()) > 0 {
		return false
	}
	digest := sha256.Sum256(msg)
	return ecdsa.Verify(key, digest[:], r, s)
}

// signP256 signs with the nonce of RFC 6979 and takes the lower of s and n-s.
func signP256(key *ecdsa.PrivateKey, msg []byte) ([]byte, error) {
	digest := sha256.Sum256(msg)
	der, err := key.Sign(nil, digest[:], crypto.SHA256) // no randomness: deterministic
	if err != nil {
		return nil, fmt.Errorf("sign with a p256 key: %w", err)
	}
	var parts struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		return nil, fmt.Errorf("sign with a p256 key: %w", err)
	}
	if parts.S.Cmp(halfP256Order()) > 0 {
		parts.S.Sub(key.Params().N, parts.S)
	}
	sig := make([]byte, p256SignatureSize)
	parts.R.FillBytes(sig[:32])
	parts.S.FillBytes(sig[32:])
	return sig, nil
}
