package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
)

// ErrSealed means that a record can only be read by others.
var ErrSealed = errors.New("the record is sealed for others")

const (
	sealKeySize = 32
	boxSize     = sealKeySize + 16 // AES-GCM's tag
	nonceSize   = 12
)

// Envelope holds the key of a sealed record for one reader: an ephemeral X25519 key, and the
// record's key under AES-256-GCM with what HKDF makes of the shared secret.
type Envelope struct {
	_         struct{} `cbor:",toarray"`
	Reader    [32]byte // X25519 public key
	Ephemeral [32]byte
	Box       []byte
}

// ReaderKey is with what an account opens sealed records: an X25519 key made of its private
// key.
func ReaderKey(k keys.PrivateKey) (*ecdh.PrivateKey, error) {
	seed := hash.Sum("starling/dht/reader", k.Bytes())
	key, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("make a reader's key: %w", err)
	}
	return key, nil
}

// address makes an envelope for a reader. rand is crypto/rand.Reader outside of tests.
func address(rand io.Reader, secret []byte, reader *ecdh.PublicKey, ref Ref) (e Envelope, err error) {
	ephemeral, err := ecdh.X25519().GenerateKey(rand)
	if err != nil {
		return e, fmt.Errorf("address an envelope: %w", err)
	}
	copy(e.Reader[:], reader.Bytes())
	copy(e.Ephemeral[:], ephemeral.PublicKey().Bytes())
	gcm, err := envelopeCipher(ephemeral, reader, e, ref)
	if err != nil {
		return e, err
	}
	e.Box = gcm.Seal(nil, make([]byte, nonceSize), secret, nil) // the key is used once
	return e, nil
}

// open takes the record's key out of an envelope that is addressed to a reader.
func (e Envelope) open(reader *ecdh.PrivateKey, ref Ref) ([]byte, error) {
	ephemeral, err := ecdh.X25519().NewPublicKey(e.Ephemeral[:])
	if err != nil {
		return nil, fmt.Errorf("open an envelope: %w", err)
	}
	gcm, err := envelopeCipher(reader, ephemeral, e, ref)
	if err != nil {
		return nil, err
	}
	secret, err := gcm.Open(nil, make([]byte, nonceSize), e.Box, nil)
	if err != nil || len(secret) != sealKeySize {
		return nil, fmt.Errorf("open an envelope: %w", ErrSealed)
	}
	return secret, nil
}

func envelopeCipher(own *ecdh.PrivateKey, other *ecdh.PublicKey, e Envelope, ref Ref) (cipher.AEAD, error) {
	shared, err := own.ECDH(other)
	if err != nil {
		return nil, fmt.Errorf("agree on a key: %w", err)
	}
	place := ref.Key()
	info := "starling/dht/envelope" + string(e.Reader[:]) + string(e.Ephemeral[:]) + string(place[:])
	key, err := hkdf.Key(sha256.New, shared, nil, info, sealKeySize)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return newGCM(key)
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// bound is what a sealed body is bound to: it cannot be shown as another part's.
func (p *Part) bound() []byte {
	b := append([]byte("starling/dht/body"), p.Key[:]...)
	b = append(b, p.Replica[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Seq)
	return binary.BigEndian.AppendUint32(b, p.Seal)
}

// sealBody encrypts a part's body, whose other fields are set.
func (p *Part) sealBody(rand io.Reader, secret, plain []byte) error {
	gcm, err := newGCM(secret)
	if err != nil {
		return err
	}
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return fmt.Errorf("seal a value: %w", err)
	}
	p.Body = gcm.Seal(nonce, nonce, plain, p.bound())
	return nil
}

// openBody decrypts a part's body.
func (p *Part) openBody(secret []byte) ([]byte, error) {
	gcm, err := newGCM(secret)
	if err != nil {
		return nil, err
	}
	if len(p.Body) < nonceSize {
		return nil, fmt.Errorf("open a sealed value: %w", ErrItem)
	}
	plain, err := gcm.Open(nil, p.Body[:nonceSize], p.Body[nonceSize:], p.bound())
	if err != nil {
		return nil, fmt.Errorf("open a sealed value: %w", ErrItem)
	}
	return plain, nil
}
