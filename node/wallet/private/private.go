// Package private keeps an account's confidential outputs: it looks for them on the chain, spends
// them, and hides what is spent among others.
//
// Look at [Wallet]: [Open] reads what is known, [Wallet.Scan] looks further, [Wallet.Shield],
// [Wallet.Send] and [Wallet.Unshield] make transactions. Everything it knows follows from the
// keys and the chain; its file, which is encrypted, only spares looking again.
//
// The node that is asked does not learn which outputs are the wallet's: the wallet reads all of
// them, and with a ring it asks for all of its members.
package private

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/api"
)

// Node is what a wallet needs of the API; client.Client is one.
type Node interface {
	Status(ctx context.Context) (api.Status, error)
	Outputs(ctx context.Context, from uint64, limit int) (api.Outputs, error)
	OutputsAt(ctx context.Context, numbers []uint64) (api.Outputs, error)
	Submit(ctx context.Context, raw []byte, wait bool) (api.Tx, error)
}

var (
	// ErrFile means that a wallet's file of outputs cannot be read.
	ErrFile = errors.New("the file of found outputs cannot be read: remove it, and scan again")
	// ErrFunds means that the outputs that may be spent now do not suffice.
	ErrFunds = errors.New("not enough confidential coins")
	// ErrDecoys means that the chain has too few outputs to hide among.
	ErrDecoys = errors.New("too few confidential outputs on the chain to hide among")
	// ErrViewOnly means that the wallet sees and does not spend.
	ErrViewOnly = errors.New("this wallet only sees: it has no spend key")
)

// Addresses are how many addresses of a wallet are looked for.
const Addresses = 64

// Coin is an output that was found.
type Coin struct {
	Number  uint64       `json:"number"` // of the output
	Height  uint64       `json:"height"` // at which it came
	Amount  types.Drops  `json:"amount"`
	Address uint32       `json:"address"` // the number of the address that it was paid to
	Memo    []byte       `json:"memo,omitempty"`
	Mask    curve.Scalar `json:"mask"`
	Offset  curve.Scalar `json:"offset"`
	// Image is its key image, in hexadecimal; empty in a wallet that only sees.
	Image string `json:"image,omitempty"`
	// Spent is the height at which it was spent; 0 if it is not, or that is not known.
	Spent uint64 `json:"spent,omitempty"`
	// Reserved is until which height it waits in a transaction that was handed in.
	Reserved uint64 `json:"reserved,omitempty"`
}

// known is what the file holds.
type known struct {
	Chain   hash.Hash `json:"chain"`
	Next    uint64    `json:"next"`   // number of the first output not looked at
	Height  uint64    `json:"height"` // of the state that was looked at last
	Coins   []Coin    `json:"coins"`
	Heights heights   `json:"heights"`
	From    uint64    `json:"from,omitempty"` // outputs of lower heights were not tried
	Paid    []Paid    `json:"paid,omitempty"`
}

// Wallet is an account's confidential side. It has one caller at a time.
type Wallet struct {
	view    stealth.ViewKeys
	keys    *stealth.Keys // nil if it only sees
	proofs  hash.Hash
	path    string
	lock    *flock.Flock
	aead    cipher.AEAD
	scanner *stealth.Scanner
	known   known
}

// Open reads what a wallet found before, if anything. Close it: one process at a time uses the
// file. Keys are nil for a wallet that only sees. Errors are [ErrFile].
func Open(ctx context.Context, path string, view stealth.ViewKeys, keys *stealth.Keys, proofs hash.Hash) (*Wallet, error) {
	secret := hash.Sum("starling/private wallet/file", view.ViewBytes())
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		return nil, fmt.Errorf("open the outputs found: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("open the outputs found: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make wallet folder: %w", err)
	}
	w := &Wallet{view: view, keys: keys, proofs: proofs, path: path, lock: flock.New(path + ".lock"), aead: aead, scanner: stealth.NewScanner(&view, Addresses)}
	if ok, err := w.lock.TryLockContext(ctx, lockEvery); err != nil || !ok {
		return nil, fmt.Errorf("wait for another program that uses this wallet: %w", err)
	}
	if err := w.load(); err != nil {
		return nil, errors.Join(err, w.lock.Unlock())
	}
	return w, nil
}

// Close lets others use the file.
func (w *Wallet) Close() error { return w.lock.Unlock() }

func (w *Wallet) load() error {
	raw, err := os.ReadFile(w.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && len(raw) < w.aead.NonceSize() {
		err = errors.New("it is cut short")
	}
	if err == nil {
		n := w.aead.NonceSize()
		raw, err = w.aead.Open(nil, raw[:n], raw[n:], nil)
	}
	if err == nil {
		err = json.Unmarshal(raw, &w.known)
	}
	if err != nil {
		return fmt.Errorf("%w (%s): %w", ErrFile, w.path, err)
	}
	return nil
}

func (w *Wallet) save() error {
	raw, err := json.Marshal(&w.known)
	if err != nil {
		return fmt.Errorf("write the outputs found: %w", err)
	}
	nonce := make([]byte, w.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("write the outputs found: %w", err)
	}
	if err := renameio.WriteFile(w.path, w.aead.Seal(nonce, nonce, raw, nil), 0o600); err != nil {
		return fmt.Errorf("write the outputs found: %w", err)
	}
	return nil
}

// Balance is what a wallet holds.
type Balance struct {
	Total    types.Drops
	Ready    types.Drops // may be spent now
	Young    types.Drops // must age first
	Reserved types.Drops // waits in a transaction that was handed in
	Coins    int         // outputs that hold something
	Height   uint64      // of the state that was looked at last
	From     uint64      // outputs of lower heights were not looked for
}

// Balance sums up. A wallet that only sees counts what was spent as well.
func (w *Wallet) Balance() Balance {
	b := Balance{Height: w.known.Height, From: w.known.From}
	for _, c := range w.known.Coins {
		if c.Spent > 0 || c.Amount == 0 {
			continue
		}
		b.Coins++
		b.Total += c.Amount
		switch {
		case c.Reserved > w.known.Height:
			b.Reserved += c.Amount
		case !ripe(c.Height, w.known.Height):
			b.Young += c.Amount
		default:
			b.Ready += c.Amount
		}
	}
	return b
}

// Coins are all that was found, in the order of the chain.
func (w *Wallet) Coins() []Coin { return slices.Clone(w.known.Coins) }

// Address is the wallet's address of a number, 0 for the main one.
func (w *Wallet) Address(n uint32) stealth.Address { return w.view.Address(n) }

// spendable is a coin as a transaction takes it.
func (w *Wallet) spendable(c Coin) confidential.Coin {
	return confidential.Coin{
		Number: c.Number, Amount: c.Amount, Mask: c.Mask,
		Secret: w.keys.Secret(stealth.Received{Address: c.Address, Offset: c.Offset}),
	}
}
