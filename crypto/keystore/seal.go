package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"io"
)

// Seal encrypts a secret of 1 to [MaxSecretSize] bytes under a passphrase and
// returns the content of the file. rand is crypto/rand.Reader outside of tests;
// salt and nonce are drawn from it, and the salt makes the cipher's key new for
// every file. Whether a passphrase is strong enough, or may be empty, is for the
// caller to say.
func Seal(secret []byte, meta Meta, passphrase []byte, params Params, rand io.Reader) ([]byte, error) {
	if len(secret) < 1 || len(secret) > MaxSecretSize {
		return nil, fmt.Errorf("seal key %q: %w: %d bytes", meta.Name, ErrSecret, len(secret))
	}
	var fresh [saltSize + nonceSize]byte
	if _, err := io.ReadFull(rand, fresh[:]); err != nil {
		return nil, fmt.Errorf("seal key %q: read randomness: %w", meta.Name, err)
	}
	salt, nonce := fresh[:saltSize], fresh[saltSize:]
	d, err := newDocument(meta, params, salt, nonce)
	if err != nil {
		return nil, fmt.Errorf("seal key %q: %w", meta.Name, err)
	}
	aead, err := newAEAD(params, passphrase, salt)
	if err != nil {
		return nil, fmt.Errorf("seal key %q: %w", meta.Name, err)
	}
	d.Secret = hex.EncodeToString(aead.Seal(nil, nonce, secret, d.header()))
	return d.encode(), nil
}

// Open decrypts the content of a file. It returns [ErrDamaged], [ErrVersion],
// [ErrParams] or [ErrWrongPassphrase]. It takes the time and the memory that the
// file's [Params] ask for, at most 1 GiB.
func Open(file, passphrase []byte) ([]byte, Meta, error) {
	d, err := decode(file)
	if err != nil {
		return nil, Meta{}, err
	}
	meta, err := d.meta()
	if err != nil {
		return nil, Meta{}, err
	}
	params := d.params()
	if err := params.check(); err != nil {
		return nil, Meta{}, fmt.Errorf("open key %q: %w", meta.Name, err)
	}
	salt, err := unhex(d.KDF.Salt, saltSize, saltSize)
	if err != nil {
		return nil, Meta{}, err
	}
	nonce, err := unhex(d.Cipher.Nonce, nonceSize, nonceSize)
	if err != nil {
		return nil, Meta{}, err
	}
	sealed, err := unhex(d.Secret, 1+tagSize, MaxSecretSize+tagSize)
	if err != nil {
		return nil, Meta{}, err
	}
	aead, err := newAEAD(params, passphrase, salt)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("open key %q: %w", meta.Name, err)
	}
	secret, err := aead.Open(nil, nonce, sealed, d.header())
	if err != nil {
		return nil, Meta{}, fmt.Errorf("open key %q: %w", meta.Name, ErrWrongPassphrase)
	}
	return secret, meta, nil
}

// Inspect returns the description in a file without opening it. Only the checksum
// vouches for it, which anybody can make.
func Inspect(file []byte) (Meta, error) {
	d, err := decode(file)
	if err != nil {
		return Meta{}, err
	}
	return d.meta()
}

func newAEAD(params Params, passphrase, salt []byte) (cipher.AEAD, error) {
	key, err := params.derive(passphrase, salt)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
