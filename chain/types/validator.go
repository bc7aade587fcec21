package types

import (
	"fmt"
	"iter"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ValidatorIndex is a validator's place in the [ValidatorSet].
type ValidatorIndex uint16

// MaxValidators bounds a set.
const MaxValidators = 1024

// MaxTotalPower bounds the sum of a set's voting power, so that products with
// small factors fit 64 bits.
const MaxTotalPower = 1 << 60

// Validator is one member of the set that decides blocks.
type Validator struct {
	_     struct{} `cbor:",toarray"`
	Name  string   `json:"name"`
	Power uint64   `json:"power"` // voting power, at least 1
	// Key is the BLS key that votes (96 bytes), Possession the proof that
	// whoever registered it holds the secret half (48 bytes): without it a
	// rogue key could cancel others out of an aggregate.
	Key        HexBytes `json:"key"`
	Possession HexBytes `json:"possession"`
	// Identity is the libp2p peer id of the validator's node. Its Ed25519 key
	// signs the validator's proposals.
	Identity string `json:"identity"`
	// Operator is the bech32m address of the account that bonded the stake and
	// may change the validator; empty where the set never changes.
	Operator string `json:"operator,omitempty"`
	// Bond is the stake behind the validator when the set was made.
	Bond Drops `json:"bond_drops,omitempty"`
}

// PeerID returns the peer id of the validator's node.
func (v Validator) PeerID() (peer.ID, error) {
	id, err := peer.Decode(v.Identity)
	if err != nil {
		return "", fmt.Errorf("validator %s: identity %q: %w", v.Name, v.Identity, err)
	}
	return id, nil
}

// ValidatorSet is an ordered set of validators. It is immutable.
type ValidatorSet struct {
	members []Validator
	total   uint64
}

// NewValidatorSet checks sizes and powers; keys are checked with the genesis.
func NewValidatorSet(members []Validator) (*ValidatorSet, error) {
	if len(members) == 0 || len(members) > MaxValidators {
		return nil, fmt.Errorf("validator set of %d members: want 1 to %d", len(members), MaxValidators)
	}
	s := &ValidatorSet{members: members}
	for _, v := range members {
		if v.Power == 0 || v.Power > MaxTotalPower-s.total {
			return nil, fmt.Errorf("validator %s: power %d: want at least 1, and at most %d in all", v.Name, v.Power, uint64(MaxTotalPower))
		}
		s.total += v.Power
	}
	return s, nil
}

// Hash identifies the set: what [BlockHeader.NextSet] names.
func (s *ValidatorSet) Hash() hash.Hash {
	return hash.Sum("starling/validators", canon.MustMarshal(s.members))
}

// Len is the number of members.
func (s *ValidatorSet) Len() int { return len(s.members) }

// At returns a member; i must be below Len.
func (s *ValidatorSet) At(i ValidatorIndex) Validator { return s.members[i] }

// All ranges over the members in order.
func (s *ValidatorSet) All() iter.Seq2[ValidatorIndex, Validator] {
	return func(yield func(ValidatorIndex, Validator) bool) {
		for i, v := range s.members {
			if !yield(ValidatorIndex(i), v) {
				return
			}
		}
	}
}

// Power is the voting power of one member, 0 if there is no such member.
func (s *ValidatorSet) Power(i ValidatorIndex) uint64 {
	if int(i) >= len(s.members) {
		return 0
	}
	return s.members[i].Power
}

// PowerOf sums the power of the signers in a bitmap over this set.
func (s *ValidatorSet) PowerOf(signers bls.Bitmap) uint64 {
	var sum uint64
	for i := range s.members {
		if signers.Has(i) {
			sum += s.members[i].Power
		}
	}
	return sum
}

// Quorum is the least power that is more than two thirds of the total: any two
// quorums share an honest validator while less than a third is faulty.
func (s *ValidatorSet) Quorum() uint64 { return s.total*2/3 + 1 }

// Minority is the least power that is more than a third of the total, and so
// holds an honest validator.
func (s *ValidatorSet) Minority() uint64 { return s.total/3 + 1 }

// IndexOf finds a member by its node's peer id.
func (s *ValidatorSet) IndexOf(id peer.ID) (ValidatorIndex, bool) {
	text := id.String()
	for i, v := range s.members {
		if v.Identity == text {
			return ValidatorIndex(i), true
		}
	}
	return 0, false
}
