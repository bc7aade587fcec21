package types

import (
	"fmt"

	"github.com/starlingmesh/starling/crypto/keys"
)

// KindSetSigners changes who signs for an account.
const KindSetSigners Kind = 10

// SetSigners gives the sender's account another key: from the next transaction on, that signs for
// it, and no other. Its address stays. With a key of several members (keys.NewMulti) some of these
// must sign. Who is named is not asked: a key that nobody has locks the account for ever.
type SetSigners struct {
	_   struct{} `cbor:",toarray"`
	Key []byte   // typed public key
}

// Kind implements [Body].
func (*SetSigners) Kind() Kind { return KindSetSigners }

// Check implements [Body]. Whether the key is one, and not only looks like one, takes longer and is
// found out when the transaction is executed.
func (s *SetSigners) Check() error {
	if err := keys.CheckForm(s.Key); err != nil {
		return fmt.Errorf("set signers: %w", err)
	}
	return nil
}

// Access implements [Body].
func (*SetSigners) Access() Access { return Access{Signers: true} }

// SignersKey is the state key of the key that signs for an account, if that was ever changed.
func SignersKey(a Address) []byte { return append([]byte("w/"), a[:]...) }

// signatures is how many a transaction of a key takes.
func signatures(typedKey []byte) Drops {
	if len(typedKey) > 1 && keys.Kind(typedKey[0]) == keys.Multi {
		return max(1, Drops(typedKey[1]))
	}
	return 1
}
