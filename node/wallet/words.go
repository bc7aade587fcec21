package wallet

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/hd"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/keystore"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// kindWords is the kind of files that hold words instead of a key.
const kindWords = "words"

// NewWords makes an account whose keys all follow from words, which are returned to be written
// down. See [hd.NewWords] for how many there may be.
func (w *Wallet) NewWords(name string, count int, passphrase []byte) (Account, string, error) {
	if err := w.free(name); err != nil {
		return Account{}, "", err
	}
	words, err := hd.NewWords(rand.Reader, count)
	if err != nil {
		return Account{}, "", err
	}
	a, err := w.ImportWords(name, words, passphrase)
	return a, words, err
}

// ImportWords makes an account of words, as a person typed them.
func (w *Wallet) ImportWords(name, typed string, passphrase []byte) (Account, error) {
	if len(passphrase) == 0 {
		return Account{}, fmt.Errorf("account %s: %w: it must not be empty", name, ErrPassphrase)
	}
	if err := w.free(name); err != nil {
		return Account{}, err
	}
	words, err := hd.Check(typed)
	if err != nil {
		return Account{}, err
	}
	h, err := hd.FromWords(words, "")
	if err != nil {
		return Account{}, err
	}
	key, err := h.Account(0)
	if err != nil {
		return Account{}, err
	}
	meta := keystore.Meta{Name: name, Kind: kindWords, Created: time.Now(), Label: hex.EncodeToString(key.Public().Bytes())}
	file, err := keystore.Seal([]byte(words), meta, passphrase, w.params, rand.Reader)
	if err != nil {
		return Account{}, fmt.Errorf("encrypt account %s: %w", name, err)
	}
	return w.store(name, file)
}

// ImportWeb3 makes an account of the secp256k1 key in a Web3 file, under the passphrase that it
// has.
func (w *Wallet) ImportWeb3(name string, file, passphrase []byte) (Account, error) {
	if err := w.free(name); err != nil {
		return Account{}, err
	}
	secret, err := keystore.OpenWeb3(file, passphrase)
	if errors.Is(err, keystore.ErrWrongPassphrase) {
		return Account{}, fmt.Errorf("import account %s: %w: it is not the one that the file was made with", name, ErrPassphrase)
	}
	if err != nil {
		return Account{}, fmt.Errorf("import account %s: %w", name, err)
	}
	defer clear(secret)
	key, err := keys.ParsePrivateKey(append([]byte{byte(keys.Secp256k1)}, secret...))
	if err != nil {
		return Account{}, fmt.Errorf("import account %s: %w", name, err)
	}
	return w.ImportKey(name, key, passphrase)
}

// Words decrypts the words of an account that was made of some.
func (w *Wallet) Words(name string, passphrase []byte) (string, error) {
	secret, meta, err := w.open(name, passphrase)
	if err != nil {
		return "", err
	}
	if meta.Kind != kindWords {
		return "", fmt.Errorf("account %s has a key of its own and no words; `starling wallet export` backs it up", name)
	}
	return string(secret), nil
}

// CoinsFile is where the account's confidential outputs are kept, encrypted; see package private.
func (a Account) CoinsFile() string { return strings.TrimSuffix(a.Path, keystore.Extension) + ".coins" }

// Private are an account's keys for private payments, and the seed by which these are proved. Of
// an account without words they follow from its key.
func (w *Wallet) Private(name string, passphrase []byte) (*stealth.Keys, hash.Hash, error) {
	secret, meta, err := w.open(name, passphrase)
	if err != nil {
		return nil, hash.Hash{}, err
	}
	if _, err := keyOf(name, secret, meta); err != nil {
		return nil, hash.Hash{}, err
	}
	if meta.Kind != kindWords {
		return stealth.DeriveKeys(secret)
	}
	h, err := hd.FromWords(string(secret), "")
	if err != nil {
		return nil, hash.Hash{}, fmt.Errorf("account %s: %w", name, err)
	}
	return h.Private(0)
}
