package store

import (
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
)

// ErrForged means that an item's signature is not its signer's.
var ErrForged = errors.New("the signature does not belong to the signer")

// Verifier checks signatures, each once. It is safe for concurrent use.
type Verifier struct {
	network Network
	keys    *keys.Cache
	checked *lru.Cache[hash.Hash, struct{}]
}

// verified is how many signatures are remembered.
const verified = 1 << 14

// NewVerifier makes a verifier for one network.
func NewVerifier(n Network) (*Verifier, error) {
	parsed, err := keys.NewCache(1024)
	if err != nil {
		return nil, err
	}
	checked, err := lru.New[hash.Hash, struct{}](verified)
	if err != nil {
		return nil, fmt.Errorf("remember signatures: %w", err)
	}
	return &Verifier{n, parsed, checked}, nil
}

// Verify returns [ErrForged] unless an item was signed by who it says.
func (v *Verifier) Verify(it *Item) error {
	if it.made {
		return nil
	}
	msg := v.network.signed(it)
	sum := hash.Sum("starling/dht/verified", msg, it.Sig, it.Signer)
	if _, ok := v.checked.Get(sum); ok {
		return nil
	}
	key, err := v.keys.Parse(it.Signer)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrForged, err)
	}
	if key.Kind() == keys.Multi || !key.Verify(msg, it.Sig) { // who has signatures to spare could make many items of one
		return fmt.Errorf("item %s: %w", it.id.Short(), ErrForged)
	}
	v.checked.Add(sum, struct{}{})
	return nil
}
