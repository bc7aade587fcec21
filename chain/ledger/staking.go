package ledger

import (
	"slices"

	"github.com/starlingmesh/starling/chain/types"
)

// stake reads the sender's stake in a view; nil if there is none.
func (v *view) stake(operator types.Address) *Stake {
	raw := v.get(types.StakeKey(operator))
	if raw == nil {
		return nil
	}
	s, err := DecodeStake(raw)
	if err != nil {
		v.err = err
		return nil
	}
	return s
}

func (v *view) setStake(operator types.Address, s *Stake) {
	v.put(types.StakeKey(operator), s.Encode())
}

// claim takes keys for a validator. It is false if another has them, or had them:
// keys are never free again, since what they signed may still come to light.
func (v *view) claim(operator types.Address, k *types.ValidatorKeys) bool {
	for _, key := range [][]byte{types.ClaimKey(k.Key), types.ClaimKey([]byte(k.Identity))} {
		holder := v.get(key)
		if holder != nil && string(holder) != string(operator[:]) {
			return false
		}
		v.put(key, operator[:])
	}
	return true
}

// bond puts coins behind a validator.
type bond struct{ l *Ledger }

func (b bond) apply(v *view, tx *types.Tx) Code {
	body, sender := tx.Body.(*types.Bond), tx.Sender()
	if b.outlay(tx, balanceBefore(v, tx)) == 0 {
		return Underfunded
	}
	s := v.stake(sender)
	switch {
	case s == nil && body.Keys == nil:
		return NoValidator
	case s != nil && body.Keys != nil:
		return ValidatorExists
	case s == nil:
		if body.Amount < b.l.params.Staking.MinBond {
			return BondTooSmall
		}
		if !v.claim(sender, body.Keys) {
			return KeysTaken
		}
		s = &Stake{Keys: *body.Keys}
	case s.Bond+body.Amount < b.l.params.Staking.MinBond:
		return BondTooSmall
	}
	if !v.enlist(sender) { // again, if it had nothing left
		return TooManyStakers
	}
	account, _ := v.account(sender)
	account.Balance -= body.Amount
	v.setAccount(sender, account)
	s.Bond += body.Amount // within the supply, else an invariant speaks up
	v.setStake(sender, s)
	return Applied
}

// balanceBefore is the sender's balance as before the fee was taken.
func balanceBefore(v *view, tx *types.Tx) types.Drops {
	account, _ := v.account(tx.Sender())
	return account.Balance + tx.Fee
}

// outlay implements [transactor].
func (b bond) outlay(tx *types.Tx, balance types.Drops) types.Drops {
	amount := tx.Body.(*types.Bond).Amount
	if balance < amount || balance-amount < max(b.l.params.Reserve, tx.Fee) {
		return 0
	}
	return amount
}

// enlist adds an account to the list of those with a stake. It is false if the list
// is full.
func (v *view) enlist(operator types.Address) bool {
	list := []types.Address{}
	if raw := v.get(types.StakersKey()); raw != nil {
		var err error
		if list, err = decodeStakers(raw); err != nil {
			v.err = err
			return false
		}
	}
	at, found := slices.BinarySearchFunc(list, operator, compareAddresses)
	if found {
		return true
	}
	if len(list) >= maxStakers {
		return false
	}
	v.put(types.StakersKey(), encodeStakers(slices.Insert(list, at, operator)))
	return true
}

// unbond takes coins back, after a delay in which they can still be slashed.
type unbond struct{ l *Ledger }

func (u unbond) apply(v *view, tx *types.Tx) Code {
	sender := tx.Sender()
	s := v.stake(sender)
	if s == nil || s.Bond == 0 {
		return NoValidator
	}
	amount := tx.Body.(*types.Unbond).Amount
	if amount == 0 {
		amount = s.Bond
	}
	least := u.l.params.Staking.MinBond
	switch {
	case amount > s.Bond:
		return Underfunded
	case amount < s.Bond && s.Bond-amount < least:
		return BondTooSmall
	case len(s.Unbonding) >= maxUnbonding:
		return TooManyUnbonding
	}
	s.Bond -= amount
	release := v.epoch + types.Epoch(u.l.params.Staking.UnbondEpochs)
	s.Unbonding = append(s.Unbonding, Unbonding{Amount: amount, Since: v.epoch, Release: release})
	v.setStake(sender, s)
	return Applied
}

func (unbond) outlay(*types.Tx, types.Drops) types.Drops { return 0 }

// rotate gives a validator other keys.
type rotate struct{}

func (rotate) apply(v *view, tx *types.Tx) Code {
	body, sender := tx.Body.(*types.Rotate), tx.Sender()
	s := v.stake(sender)
	if s == nil {
		return NoValidator
	}
	if !v.claim(sender, &body.Keys) {
		return KeysTaken
	}
	s.Keys = body.Keys
	v.setStake(sender, s)
	return Applied
}

func (rotate) outlay(*types.Tx, types.Drops) types.Drops { return 0 }

// unjail ends a jail whose time is over.
type unjail struct{ l *Ledger }

func (u unjail) apply(v *view, tx *types.Tx) Code {
	sender := tx.Sender()
	s := v.stake(sender)
	switch {
	case s == nil:
		return NoValidator
	case !s.Jailed:
		return NotJailed
	case v.epoch < s.JailedUntil:
		return StillJailed
	case s.Bond < u.l.params.Staking.MinBond:
		return BondTooSmall
	}
	s.Jailed = false
	v.setStake(sender, s)
	return Applied
}

func (unjail) outlay(*types.Tx, types.Drops) types.Drops { return 0 }
