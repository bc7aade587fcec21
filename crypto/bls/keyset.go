package bls

import (
	"fmt"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// KeySet is the list of a validator set's keys with their sum, so that the key
// of a large quorum is found by subtracting those who are missing. It does not
// change after [NewKeySet].
type KeySet struct {
	keys []*PublicKey
	all  bls12381.G2Jac
}

// NewKeySet takes the keys of a validator set in the order of their indexes.
func NewKeySet(keys []*PublicKey) (*KeySet, error) {
	s := &KeySet{keys: append([]*PublicKey(nil), keys...)}
	for i, k := range s.keys {
		if k == nil {
			return nil, fmt.Errorf("key set: member %d: %w", i, ErrKey)
		}
		s.all.AddMixed(&k.point)
	}
	return s, nil
}

// Len returns the number of keys.
func (s *KeySet) Len() int { return len(s.keys) }

// Key returns the key of member i, nil if there is none.
func (s *KeySet) Key(i int) *PublicKey {
	if i < 0 || i >= len(s.keys) {
		return nil
	}
	return s.keys[i]
}

// Sum returns the aggregated key of the signers, for [Verify] or a [Group]. It
// takes about 1 us for each signer or for each member missing, whichever are
// fewer. The bitmap must be canonical for the set and not empty.
func (s *KeySet) Sum(signers Bitmap) (*PublicKey, error) {
	if err := signers.Validate(len(s.keys)); err != nil {
		return nil, err
	}
	n := signers.Count()
	if n == 0 {
		return nil, fmt.Errorf("sum keys: %w", ErrEmpty)
	}
	var sum bls12381.G2Jac
	if n <= len(s.keys)/2 {
		for i := range signers.All() {
			sum.AddMixed(&s.keys[i].point)
		}
	} else {
		for i, k := range s.keys {
			if !signers.Has(i) {
				sum.AddMixed(&k.point)
			}
		}
		sum.Neg(&sum)
		sum.AddAssign(&s.all)
	}
	var affine bls12381.G2Affine
	affine.FromJacobian(&sum)
	if affine.IsInfinity() {
		return nil, fmt.Errorf("sum keys: %w", ErrCancelled)
	}
	return newPublicKey(affine), nil
}
