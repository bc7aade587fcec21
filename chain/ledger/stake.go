package ledger

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
)

// Caps on what stakes may grow to.
const (
	maxStakers   = 4096 // accounts with a stake
	maxUnbonding = 8    // releases that one stake waits for
)

// Stake is what an account has behind its validator.
type Stake struct {
	_           struct{} `cbor:",toarray"`
	Keys        types.ValidatorKeys
	Bond        types.Drops
	Unbonding   []Unbonding // ascending by Release
	Jailed      bool
	JailedUntil types.Epoch // the first epoch in which the jail may be ended
	Punished    []Punished  // ascending by Epoch, as long as they can matter
}

// Unbonding are coins on their way back to the account.
type Unbonding struct {
	_       struct{} `cbor:",toarray"`
	Amount  types.Drops
	Since   types.Epoch
	Release types.Epoch // released when this epoch ends
}

// Punished is what a validator paid for its offences in an epoch.
type Punished struct {
	_        struct{} `cbor:",toarray"`
	Epoch    types.Epoch
	Offences uint64 // bit set of types.Offence
	Slashed  types.Drops
}

// Coins are the bonded and unbonding ones together.
func (s *Stake) Coins() types.Drops {
	sum := s.Bond
	for _, u := range s.Unbonding {
		sum += u.Amount
	}
	return sum
}

// Encode returns the canonical encoding.
func (s *Stake) Encode() []byte {
	out := *s
	if out.Unbonding == nil {
		out.Unbonding = []Unbonding{}
	}
	if out.Punished == nil {
		out.Punished = []Punished{}
	}
	return canon.MustMarshal(out)
}

// DecodeStake decodes what [Stake.Encode] wrote and refuses every other form.
func DecodeStake(raw []byte) (*Stake, error) {
	s := &Stake{}
	if err := canon.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("stake: %w: %w", ErrEncoding, err)
	}
	if s.Unbonding == nil || s.Punished == nil || s.Keys.Key == nil || s.Keys.Possession == nil || len(s.Unbonding) > maxUnbonding {
		return nil, fmt.Errorf("stake: %w", ErrEncoding)
	}
	var sum sum128
	sum.add(s.Bond)
	for _, u := range s.Unbonding {
		sum.add(u.Amount)
	}
	if sum.hi > 0 || sum.lo > uint64(types.MaxSupply) {
		return nil, fmt.Errorf("stake: %w: more coins than there can be", ErrEncoding)
	}
	return s, nil
}

// ReadStake reads an account's stake; nil if it has none.
func ReadStake(r Reader, operator types.Address) (*Stake, error) {
	raw, err := r.Get(types.StakeKey(operator))
	if raw == nil || err != nil {
		return nil, err
	}
	s, err := DecodeStake(raw)
	if err != nil {
		return nil, fmt.Errorf("read stake of %s: %w: %w", operator, ErrCorrupt, err)
	}
	return s, nil
}

// Stakers lists the accounts that have a stake, ascending.
func Stakers(r Reader) ([]types.Address, error) {
	raw, err := r.Get(types.StakersKey())
	if raw == nil || err != nil {
		return nil, err
	}
	stakers, err := decodeStakers(raw)
	if err != nil {
		return nil, fmt.Errorf("read stakers: %w: %w", ErrCorrupt, err)
	}
	return stakers, nil
}

func decodeStakers(raw []byte) ([]types.Address, error) {
	var list []types.Address
	if err := canon.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("stakers: %w: %w", ErrEncoding, err)
	}
	if list == nil || len(list) > maxStakers || !slices.IsSortedFunc(list, compareAddresses) {
		return nil, fmt.Errorf("stakers: %w", ErrEncoding)
	}
	return list, nil
}

func encodeStakers(list []types.Address) []byte {
	if list == nil {
		list = []types.Address{}
	}
	return canon.MustMarshal(list)
}

func compareAddresses(a, b types.Address) int { return bytes.Compare(a[:], b[:]) }

// SetOf reads the validators of an epoch. The error wraps [ErrNoSet] if they are not
// decided yet, or not kept any more.
func SetOf(r Reader, e types.Epoch) (*types.ValidatorSet, error) {
	raw, err := r.Get(types.SetKey(e))
	if err != nil {
		return nil, err
	}
	if raw == nil {
		return nil, fmt.Errorf("validators of epoch %d: %w", e, ErrNoSet)
	}
	set, err := decodeSet(raw)
	if err != nil {
		return nil, fmt.Errorf("validators of epoch %d: %w: %w", e, ErrCorrupt, err)
	}
	return set, nil
}

func decodeSet(raw []byte) (*types.ValidatorSet, error) {
	var members []types.Validator
	if err := canon.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("validator set: %w: %w", ErrEncoding, err)
	}
	return types.NewValidatorSet(members)
}

func encodeSet(set *types.ValidatorSet) []byte {
	members := make([]types.Validator, 0, set.Len())
	for _, v := range set.All() {
		members = append(members, v)
	}
	return canon.MustMarshal(members)
}
