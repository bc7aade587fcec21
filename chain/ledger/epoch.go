package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/chain/types"
)

// endEpoch releases what was unbonded, and makes the set of the epoch after the
// next: its validators have a whole epoch to execute so far, and to be connected.
func (l *Ledger) endEpoch(o *overlay, e types.Epoch) error {
	stakers, err := Stakers(o)
	if err != nil {
		return err
	}
	var kept []types.Address
	var able []candidate
	for _, operator := range stakers {
		s, err := ReadStake(o, operator)
		if err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("%w: staker %s has no stake", ErrCorrupt, operator)
		}
		if err := l.release(o, operator, s, e); err != nil {
			return err
		}
		if s.Coins() > 0 {
			kept = append(kept, operator)
		}
		if !s.Jailed && s.Bond >= l.params.Staking.MinBond {
			able = append(able, candidate{operator, s})
		}
	}
	if len(kept) != len(stakers) {
		o.set(types.StakersKey(), encodeStakers(kept))
	}
	if err := l.electSet(o, e, able); err != nil {
		return err
	}
	if old := l.params.Staking.UnbondEpochs + 2; uint64(e) >= old {
		o.set(types.SetKey(e-types.Epoch(old)), nil)
	}
	return nil
}

// release pays out what is due at the end of epoch e. A validator that has nothing
// left keeps its record: its keys stay claimed and may bond again.
func (l *Ledger) release(o *overlay, operator types.Address, s *Stake, e types.Epoch) error {
	changed := false
	for len(s.Unbonding) > 0 && s.Unbonding[0].Release <= e {
		account, err := ReadAccount(o, operator)
		if err != nil {
			return fmt.Errorf("release stake: %w", err)
		}
		account.Balance += s.Unbonding[0].Amount
		o.set(types.AccountKey(operator), account.Encode())
		s.Unbonding, changed = s.Unbonding[1:], true
	}
	oldest := types.Epoch(l.params.Staking.UnbondEpochs) + 2
	for len(s.Punished) > 0 && s.Punished[0].Epoch+oldest < e {
		s.Punished, changed = s.Punished[1:], true
	}
	if changed {
		o.set(types.StakeKey(operator), s.Encode())
	}
	return nil
}

type candidate struct {
	operator types.Address
	stake    *Stake
}

// electSet writes the set of epoch e+2: the candidates with the largest bonds. With
// fewer than the least number of candidates the set of epoch e+1 stays: a network
// whose validators mostly left must not fall into the hands of the few that did
// not. Those that left can then still be slashed as long as they unbond.
func (l *Ledger) electSet(o *overlay, e types.Epoch, able []candidate) error {
	rules := l.params.Staking
	slices.SortFunc(able, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.stake.Bond, a.stake.Bond), compareAddresses(a.operator, b.operator))
	})
	able = able[:min(uint64(len(able)), rules.MaxValidators)]
	if uint64(len(able)) < min(rules.MinValidators, uint64(len(l.genesis.Validators))) {
		raw, err := o.get(types.SetKey(e + 1))
		if err != nil || raw == nil {
			return fmt.Errorf("validators of epoch %d: %w: %w", e+1, ErrCorrupt, err)
		}
		o.set(types.SetKey(e+2), raw)
		return nil
	}
	powers := make([]uint64, len(able))
	for i, c := range able {
		powers[i] = types.PowerOf(c.stake.Bond)
	}
	types.CapPowers(powers, rules.MaxShare)
	members := make([]types.Validator, len(able))
	for i, c := range able {
		k := c.stake.Keys
		members[i] = types.Validator{
			Name: k.Name, Power: powers[i], Key: k.Key, Possession: k.Possession, Identity: k.Identity,
			Operator: c.operator.Format(l.genesis.AddressPrefix), Bond: c.stake.Bond,
		}
	}
	set, err := types.NewValidatorSet(members)
	if err != nil {
		return fmt.Errorf("validators of epoch %d: %w: %w", e+2, ErrCorrupt, err)
	}
	o.set(types.SetKey(e+2), encodeSet(set))
	return nil
}

// genesisStakes are the stakes that the genesis names.
func (l *Ledger) genesisStakes(put func(key, value []byte)) error {
	var stakers []types.Address
	for _, v := range l.genesis.Validators {
		operator, err := types.ParseAddress(v.Operator, l.genesis.AddressPrefix)
		if err != nil {
			return fmt.Errorf("genesis validator %s: %w", v.Name, err)
		}
		s := Stake{Keys: types.ValidatorKeys{Name: v.Name, Key: v.Key, Possession: v.Possession, Identity: v.Identity}, Bond: v.Bond}
		put(types.StakeKey(operator), s.Encode())
		put(types.ClaimKey(v.Key), operator[:])
		put(types.ClaimKey([]byte(v.Identity)), operator[:])
		stakers = append(stakers, operator)
	}
	slices.SortFunc(stakers, compareAddresses)
	put(types.StakersKey(), encodeStakers(stakers))
	set, err := l.genesis.Set()
	if err != nil {
		return err
	}
	put(types.SetKey(0), encodeSet(set))
	put(types.SetKey(1), encodeSet(set))
	return nil
}
