package ledger

import (
	"bytes"
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/curve"
)

// Entries ranges over a whole state in any order. It stops when yield returns an
// error, and returns it.
type Entries func(yield func(key, value []byte) error) error

// Audit recounts every account and compares the sum with the running totals and
// with the genesis supply. It is independent of [Ledger.Execute] on purpose. The
// error wraps [ErrCorrupt] if the books do not balance.
func (l *Ledger) Audit(all Entries) (Totals, error) {
	var held sum128
	var outputs types.Drops
	signers := signersAudit{}
	totals := map[string]types.Drops{}
	err := all(func(key, value []byte) error {
		switch a, isAccount := AddressOfKey(key); {
		case isAccount:
			account, err := DecodeAccount(value)
			if err != nil {
				return fmt.Errorf("audit account %s: %w: %w", a, ErrCorrupt, err)
			}
			held.add(account.Balance)
			signers.account(a, account)
		case bytes.Equal(key, supplyKey), bytes.Equal(key, burnedKey), bytes.Equal(key, shieldedKey), bytes.Equal(key, outputsKey):
			d, ok := decodeDrops(value)
			if !ok {
				return fmt.Errorf("audit %s: %w", key, ErrCorrupt)
			}
			totals[string(key)] = d
		case bytes.HasPrefix(key, []byte("s/")):
			if _, err := decodeSet(value); err != nil {
				return fmt.Errorf("audit %q: %w: %w", key, ErrCorrupt, err)
			}
		case bytes.HasPrefix(key, []byte("o/")):
			if _, err := DecodeOutput(value); err != nil {
				return fmt.Errorf("audit %q: %w: %w", key, ErrCorrupt, err)
			}
			outputs++
		case checkEntry(key, value) == nil:
			coins, _ := coinsIn(key, value) // it decodes
			held.add(coins)
			signers.entry(key, value)
		default:
			return fmt.Errorf("audit: key %q is of no known type: %w", key, ErrCorrupt)
		}
		return nil
	})
	if err != nil {
		return Totals{}, err
	}
	t := Totals{Supply: totals[string(supplyKey)], Burned: totals[string(burnedKey)], Shielded: totals[string(shieldedKey)]}
	if count := totals[string(outputsKey)]; count != outputs {
		return t, fmt.Errorf("audit: %d outputs, the books say %d: %w", outputs, count, ErrCorrupt)
	}
	if err := signers.finish(); err != nil {
		return t, err
	}
	held.add(t.Shielded)
	var want sum128
	want.add(t.Supply)
	if held != want {
		return t, fmt.Errorf("audit: accounts, stakes and the pool hold %d:%d drops, the books say %d: %w", held.hi, held.lo, t.Supply, ErrCorrupt)
	}
	want.add(t.Burned)
	if want != (sum128{lo: uint64(l.supply)}) {
		return t, fmt.Errorf("audit: supply %s and burned %s do not make the genesis supply %s: %w", t.Supply, t.Burned, l.supply, ErrCorrupt)
	}
	return t, nil
}

// Accounts returns the accounts that the block changed, for those who follow
// sequences and balances.
func (r Result) Accounts() map[types.Address]Account {
	out := make(map[types.Address]Account, len(r.Changes))
	for _, c := range r.Changes {
		if a, isAccount := AddressOfKey(c.Key); isAccount {
			if account, err := DecodeAccount(c.Value); err == nil { // always: wellFormed has looked
				out[a] = account
			}
		}
	}
	return out
}

// Images are the key images that the block showed, for those who follow what may still be spent.
func (r Result) Images() (out []curve.Point) {
	for _, c := range r.Changes {
		if enc, ok := bytes.CutPrefix(c.Key, []byte("i/")); ok {
			if image, err := curve.ParsePoint(enc); err == nil { // always: they were points
				out = append(out, image)
			}
		}
	}
	return out
}
