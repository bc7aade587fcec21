package ledger

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/starlingmesh/starling/chain/types"
)

// Fault is a proven offence that a block carries; the proof was checked before.
type Fault struct {
	Offence types.Offence
	Epoch   types.Epoch
	Culprit types.ValidatorIndex
}

// Slash is what a fault came to.
type Slash struct {
	Fault
	Operator types.Address
	Name     string
	Amount   types.Drops // taken from the stake
	Reward   types.Drops // of it, paid to the operator of the block's proposer
}

// punish slashes and jails the culprits of a block. It returns what was burned.
func (l *Ledger) punish(o *overlay, in Block) ([]Slash, types.Drops, error) {
	var out []Slash
	var burned types.Drops
	for _, fault := range in.Faults {
		done, err := l.punishOne(o, in, fault)
		if err != nil {
			return nil, 0, err
		}
		if done != nil {
			out = append(out, *done)
			burned += done.Amount - done.Reward
		}
	}
	return out, burned, nil
}

// punishOne returns nil if the fault is punished already, or too old.
func (l *Ledger) punishOne(o *overlay, in Block, f Fault) (*Slash, error) {
	set, err := SetOf(o, f.Epoch)
	if errors.Is(err, ErrNoSet) {
		return nil, nil // its stake may be gone by now
	}
	if err != nil {
		return nil, err
	}
	if set.Power(f.Culprit) == 0 {
		return nil, nil
	}
	culprit := set.At(f.Culprit)
	operator, err := types.ParseAddress(culprit.Operator, l.genesis.AddressPrefix)
	if err != nil {
		return nil, fmt.Errorf("operator of %s: %w: %w", culprit.Name, ErrCorrupt, err) // the set was made from stakes
	}
	s, err := ReadStake(o, operator)
	if s == nil || err != nil {
		return nil, err
	}
	entry := s.punishment(f.Epoch)
	bit := uint64(1) << f.Offence
	if entry.Offences&bit != 0 {
		return nil, nil
	}
	amount := min(permilleUp(culprit.Bond, l.params.Staking.Share(f.Offence)), culprit.Bond-min(entry.Slashed, culprit.Bond))
	amount = s.take(amount, f.Epoch)
	entry.Offences |= bit
	entry.Slashed += amount
	s.Jailed, s.JailedUntil = true, max(s.JailedUntil, in.Epoch+types.Epoch(l.params.Staking.JailEpochs))
	o.set(types.StakeKey(operator), s.Encode())
	done := &Slash{Fault: f, Operator: operator, Name: culprit.Name, Amount: amount}
	done.Reward, err = l.reward(o, in, amount/2)
	return done, err
}

// punishment finds or makes the entry of an epoch.
func (s *Stake) punishment(e types.Epoch) *Punished {
	at, found := slices.BinarySearchFunc(s.Punished, e, func(p Punished, e types.Epoch) int { return int(int64(p.Epoch) - int64(e)) })
	if !found {
		s.Punished = slices.Insert(s.Punished, at, Punished{Epoch: e})
	}
	return &s.Punished[at]
}

// take removes up to an amount from what was bonded in the set of an epoch: the bond,
// then what was unbonded since the set was made, the latest first.
func (s *Stake) take(amount types.Drops, e types.Epoch) types.Drops {
	taken := min(amount, s.Bond)
	s.Bond -= taken
	for i := len(s.Unbonding) - 1; i >= 0; i-- {
		u := &s.Unbonding[i]
		if u.Since+1 < e { // the set of e was made at the end of e-2: these were gone
			break
		}
		part := min(amount-taken, u.Amount)
		u.Amount -= part
		taken += part
	}
	s.Unbonding = slices.DeleteFunc(s.Unbonding, func(u Unbonding) bool { return u.Amount == 0 })
	return taken
}

// reward pays the operator of the block's proposer, if that has an account.
func (l *Ledger) reward(o *overlay, in Block, amount types.Drops) (types.Drops, error) {
	set, err := SetOf(o, in.Epoch)
	if errors.Is(err, ErrNoSet) || err == nil && set.Power(in.Proposer) == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	operator, err := types.ParseAddress(set.At(in.Proposer).Operator, l.genesis.AddressPrefix)
	if err != nil {
		return 0, fmt.Errorf("operator of the proposer: %w: %w", ErrCorrupt, err)
	}
	account, err := ReadAccount(o, operator)
	if errors.Is(err, ErrNoAccount) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	account.Balance += amount
	o.set(types.AccountKey(operator), account.Encode())
	return amount, nil
}

// permilleUp is a share of an amount, rounded up: against the culprit.
func permilleUp(d types.Drops, permille uint64) types.Drops {
	hi, lo := bits.Mul64(uint64(d), permille)
	lo, carry := bits.Add64(lo, 999, 0)
	q, _ := bits.Div64(hi+carry, lo, 1000) // permille is at most 1000: the quotient fits
	return types.Drops(q)
}
