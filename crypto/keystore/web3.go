package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/crypto/scrypt"
	"golang.org/x/crypto/sha3"
)

// Bounds on what a Web3 file may ask of this machine: twice what such files are written with, in
// memory and in time.
const (
	maxWeb3Memory = 512 << 20 // bytes of scrypt
	maxWeb3Passes = 1 << 22   // of PBKDF2
	maxWeb3File   = 64 << 10
)

// web3File is version 3 of the Web3 Secret Storage Definition. Addresses and identifiers in it
// are not looked at.
type web3File struct {
	Version int
	Crypto  struct {
		Cipher       string
		CipherParams struct{ IV web3Bytes }
		CipherText   web3Bytes
		KDF          string
		KDFParams    struct {
			DKLen, N, R, P, C int
			PRF               string
			Salt              web3Bytes
		}
		MAC web3Bytes
	}
}

type web3Bytes []byte

// UnmarshalText implements [encoding.TextUnmarshaler].
func (b *web3Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	return err
}

// IsWeb3 reports whether a file looks like one of the Web3 Secret Storage Definition.
func IsWeb3(file []byte) bool {
	var f struct {
		Version int
		Crypto  json.RawMessage
	}
	return len(file) <= maxWeb3File && json.Unmarshal(file, &f) == nil && f.Version > 0 && len(f.Crypto) > 0
}

// OpenWeb3 decrypts a file of the Web3 Secret Storage Definition, version 3, as Ethereum's wallets
// write them: scrypt or PBKDF2-HMAC-SHA256, AES-128-CTR, and a Keccak-256 MAC. The secret is what
// it is there, a secp256k1 scalar of 32 bytes. Errors are [ErrFormat], and [ErrWrongPassphrase].
func OpenWeb3(file, passphrase []byte) ([]byte, error) {
	var f web3File
	if len(file) > maxWeb3File {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, len(file))
	}
	if err := json.Unmarshal(file, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	c := &f.Crypto
	switch {
	case f.Version != 3:
		return nil, fmt.Errorf("%w: version %d of Web3 files, only 3 is read", ErrFormat, f.Version)
	case c.Cipher != "aes-128-ctr" || len(c.CipherParams.IV) != aes.BlockSize:
		return nil, fmt.Errorf("%w: cipher %q is not aes-128-ctr with its initial vector", ErrFormat, c.Cipher)
	case c.KDFParams.DKLen != 32 || len(c.CipherText) != 32 || len(c.MAC) != 32:
		return nil, fmt.Errorf("%w: the key, the secret and the MAC have 32 bytes each", ErrFormat)
	}
	key, err := f.derive(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	mac := sha3.NewLegacyKeccak256()
	mac.Write(key[16:])
	mac.Write(c.CipherText)
	if subtle.ConstantTimeCompare(mac.Sum(nil), c.MAC) != 1 {
		return nil, ErrWrongPassphrase
	}
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return nil, fmt.Errorf("decrypt the file: %w", err)
	}
	secret := make([]byte, len(c.CipherText))
	cipher.NewCTR(block, c.CipherParams.IV).XORKeyStream(secret, c.CipherText)
	return secret, nil
}

// derive makes the key from the passphrase. A file must not ask for more than this machine has.
func (f *web3File) derive(passphrase []byte) (key []byte, err error) {
	k := &f.Crypto.KDFParams
	switch f.Crypto.KDF {
	case "scrypt":
		if k.N < 2 || k.N > maxWeb3Memory || k.R < 1 || k.R > 64 || k.P < 1 || k.P > 64 || 128*k.N*k.R > maxWeb3Memory {
			return nil, fmt.Errorf("%w: scrypt with n %d, r %d and p %d takes too much", ErrFormat, k.N, k.R, k.P)
		}
		key, err = scrypt.Key(passphrase, k.Salt, k.N, k.R, k.P, k.DKLen)
	case "pbkdf2":
		if k.PRF != "hmac-sha256" || k.C < 1 || k.C > maxWeb3Passes {
			return nil, fmt.Errorf("%w: PBKDF2 with %q and %d passes", ErrFormat, k.PRF, k.C)
		}
		key, err = pbkdf2.Key(sha256.New, string(passphrase), k.Salt, k.C, k.DKLen)
	default:
		return nil, fmt.Errorf("%w: key derivation %q is not known", ErrFormat, f.Crypto.KDF)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return key, nil
}
