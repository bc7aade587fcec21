// Package hd derives a wallet's keys from words that a person writes down.
//
// Look at [NewWords] and [FromWords]. Words are of BIP-39 (English), keys are derived from their
// seed by BIP-32 along paths as BIP-44 lays them out:
//
//	m/44'/5461068'/account'/0/0    the secp256k1 key of an account of the ledger
//	m/44'/5461068'/account'/2'/0'  the secret that sees private payments
//	m/44'/5461068'/account'/2'/1'  the secret that spends them
//	m/44'/5461068'/account'/2'/2'  the seed by which payments are proved
//
// 5461068 spells STL; it is not registered (SLIP-44). The private branches are hardened: who
// learns one secret of a wallet, and its public keys, learns no other. The same words give the
// same keys for ever, on every machine; the words and the passphrase are all of the backup.
//
// The package imports nothing of the project but crypto/curve, crypto/hash, crypto/keys and
// crypto/stealth.
package hd

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/decred/dcrd/hdkeychain/v3"
	"github.com/tyler-smith/go-bip39"
	"golang.org/x/text/unicode/norm"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// CoinType is the network's number in paths.
const CoinType = 5461068

// MaxAccount is the highest number of an account.
const MaxAccount = 1<<31 - 1

// ErrWords means that words are not a backup: one is unknown, their number is not possible, or
// the checksum in the last one is wrong.
var ErrWords = errors.New("not the words of a wallet")

// NewWords draws words: 12, 15, 18, 21 or 24 of them.
func NewWords(rand io.Reader, count int) (string, error) {
	if count < 12 || count > 24 || count%3 != 0 {
		return "", fmt.Errorf("%w: %d of them, want 12, 15, 18, 21 or 24", ErrWords, count)
	}
	entropy := make([]byte, count/3*4)
	defer clear(entropy)
	if _, err := io.ReadFull(rand, entropy); err != nil {
		return "", fmt.Errorf("draw words: %w", err)
	}
	words, err := bip39.NewMnemonic(entropy)
	if err != nil {
		return "", fmt.Errorf("draw words: %w", err)
	}
	return words, nil
}

// Check brings words that a person typed into their one form: single spaces, lower case. It
// returns [ErrWords] and says what is wrong with them.
func Check(typed string) (string, error) {
	words := strings.Fields(strings.ToLower(norm.NFKD.String(typed)))
	if n := len(words); n < 12 || n > 24 || n%3 != 0 {
		return "", fmt.Errorf("%w: there are %d, want 12, 15, 18, 21 or 24", ErrWords, n)
	}
	list := bip39.GetWordList()
	for i, w := range words {
		if _, known := slices.BinarySearch(list, w); !known {
			return "", fmt.Errorf("%w: the %s, %q, is not on the list", ErrWords, ordinal(i+1), w)
		}
	}
	joined := strings.Join(words, " ")
	if !bip39.IsMnemonicValid(joined) {
		return "", fmt.Errorf("%w: each is on the list, but together they do not fit; look for a wrong or exchanged one", ErrWords)
	}
	return joined, nil
}

func ordinal(n int) string {
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		return fmt.Sprint(n, "st")
	case n%10 == 2:
		return fmt.Sprint(n, "nd")
	case n%10 == 3:
		return fmt.Sprint(n, "rd")
	}
	return fmt.Sprint(n, "th")
}

// Wallet derives keys. Printing one shows no secret.
type Wallet struct{ master *hdkeychain.ExtendedKey }

// String implements [fmt.Stringer].
func (*Wallet) String() string { return "wallet (its seed is not shown)" }

// FromWords makes a wallet of words and a passphrase, which may be empty. Another passphrase
// makes another wallet: there is no wrong one. It returns [ErrWords].
func FromWords(typed, passphrase string) (*Wallet, error) {
	words, err := Check(typed)
	if err != nil {
		return nil, err
	}
	seed := bip39.NewSeed(words, norm.NFKD.String(passphrase))
	defer clear(seed)
	return fromSeed(seed)
}

// network is what extended keys would begin with if they were written as text, which they never
// are.
type network struct{}

func (network) HDPrivKeyVersion() [4]byte { return [4]byte{} }
func (network) HDPubKeyVersion() [4]byte  { return [4]byte{} }

func fromSeed(seed []byte) (*Wallet, error) {
	master, err := hdkeychain.NewMaster(seed, network{})
	if err != nil {
		return nil, fmt.Errorf("derive the master key: %w", err)
	}
	return &Wallet{master}, nil
}

const hardened = hdkeychain.HardenedKeyStart

// derive follows a path from the master key. A child that is no key exists with probability
// 2^-127.
func (w *Wallet) derive(path ...uint32) (*hdkeychain.ExtendedKey, error) {
	at := w.master
	for _, n := range path {
		next, err := at.ChildBIP32Std(n)
		if err != nil {
			return nil, fmt.Errorf("derive a key: %w", err)
		}
		at = next
	}
	return at, nil
}

// secret is what stands at the end of a path in an account.
func (w *Wallet) secret(account uint32, path ...uint32) ([]byte, error) {
	if account > MaxAccount {
		return nil, fmt.Errorf("account %d: at most %d", account, MaxAccount)
	}
	key, err := w.derive(append([]uint32{hardened + 44, hardened + CoinType, hardened + account}, path...)...)
	if err != nil {
		return nil, err
	}
	secret, err := key.SerializedPrivKey()
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return secret, nil
}

// Account is the key of an account of the ledger.
func (w *Wallet) Account(n uint32) (keys.PrivateKey, error) {
	s, err := w.secret(n, 0, 0)
	if err != nil {
		return keys.PrivateKey{}, err
	}
	defer clear(s)
	return keys.ParsePrivateKey(append([]byte{byte(keys.Secp256k1)}, s...))
}

// Private are an account's keys for private payments, and the seed by which those that it makes
// are proved.
func (w *Wallet) Private(n uint32) (*stealth.Keys, hash.Hash, error) {
	var secrets [3]curve.Scalar
	for i := range secrets {
		s, err := w.secret(n, hardened+2, hardened+uint32(i))
		if err != nil {
			return nil, hash.Hash{}, err
		}
		secrets[i] = curve.ReduceScalar(s)
		clear(s)
	}
	k, err := stealth.NewKeys(secrets[0], secrets[1])
	proofs := secrets[2].Bytes()
	return k, hash.Sum("starling/hd/payment proofs", proofs[:]), err
}
