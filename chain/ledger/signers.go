package ledger

import (
	"bytes"
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
)

var signersPrefix = []byte("w/")

// setSigners gives an account another key. The state keeps its address with the account, so that
// looking at a transaction takes no more than that, and the key itself beside it, for people.
type setSigners struct{}

func (setSigners) apply(v *view, tx *types.Tx) Code {
	key := tx.Body.(*types.SetSigners).Key
	if _, err := keys.ParsePublicKey(key); err != nil {
		return BadKey
	}
	account, _ := v.account(tx.Sender())
	if account.signs(tx.Sender(), types.AddressOf(key)) {
		return SameSigners
	}
	if account.Signer = types.AddressOf(key); account.Signer == tx.Sender() {
		account.Signer, key = types.Address{}, nil
	}
	v.setAccount(tx.Sender(), account)
	v.put(types.SignersKey(tx.Sender()), key)
	return Applied
}

func (setSigners) outlay(*types.Tx, types.Drops) types.Drops { return 0 }

// ReadSigners reads the key that signs for an account instead of its own; the zero key if none does.
func ReadSigners(r Reader, a types.Address) (keys.PublicKey, error) {
	raw, err := r.Get(types.SignersKey(a))
	if err != nil || raw == nil {
		return keys.PublicKey{}, err
	}
	key, err := keys.ParsePublicKey(raw)
	if err != nil {
		return key, fmt.Errorf("signers of %s: %w: %w", a, ErrCorrupt, err)
	}
	return key, nil
}

// signersAreTheSenders: a transaction changes who signs for no account but its sender's, for none
// without saying so, and the key that stands beside an account is the one of its signer's address.
type signersAreTheSenders struct {
	changed [][]byte // keys of what was touched
	signer  *types.Address
	key     *[]byte
}

func (s *signersAreTheSenders) visit(key, before, after []byte) {
	if _, was, is, ok := accountsIn(key, before, after); ok && was.Signer != is.Signer {
		s.changed, s.signer = append(s.changed, key), &is.Signer
	}
	if bytes.HasPrefix(key, signersPrefix) && !same(before, after) {
		s.changed, s.key = append(s.changed, key), &after
	}
}

func (s *signersAreTheSenders) finish(tx *types.Tx, did outcome) error {
	body, sets := tx.Body.(*types.SetSigners)
	if sets = sets && did.code == Applied; !sets {
		if len(s.changed) > 0 {
			return fmt.Errorf("signers: %q was changed by a %s (%s)", s.changed[0], tx.Body.Kind(), did.code)
		}
		return nil
	}
	for _, key := range s.changed {
		if !bytes.Equal(key, types.AccountKey(tx.Sender())) && !bytes.Equal(key, types.SignersKey(tx.Sender())) {
			return fmt.Errorf("signers: %q was changed by a transaction of %s", key, tx.Sender())
		}
	}
	want, key := types.AddressOf(body.Key), body.Key
	if want == tx.Sender() {
		want, key = types.Address{}, nil
	}
	if s.signer == nil || *s.signer != want || s.key == nil || !bytes.Equal(*s.key, key) {
		return fmt.Errorf("signers: %s did not get the key that was asked for", tx.Sender())
	}
	return nil
}

// signersAudit compares what accounts say of who signs with the keys that stand beside them.
type signersAudit map[types.Address][2]types.Address

func (s signersAudit) account(a types.Address, account Account) {
	if account.Signer != (types.Address{}) {
		s[a] = [2]types.Address{account.Signer, s[a][1]}
	}
}

func (s signersAudit) entry(key, value []byte) {
	if a, ok := bytes.CutPrefix(key, signersPrefix); ok && len(a) == len(types.Address{}) {
		s[types.Address(a)] = [2]types.Address{s[types.Address(a)][0], types.AddressOf(value)}
	}
}

func (s signersAudit) finish() error {
	for a, both := range s {
		if both[0] != both[1] {
			return fmt.Errorf("audit: account %s is signed for by %s, the key beside it is %s: %w", a, both[0], both[1], ErrCorrupt)
		}
	}
	return nil
}
