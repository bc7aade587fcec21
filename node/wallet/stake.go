package wallet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node/api"
)

// StakeNode is what [Look] needs of the API; client.Client is one.
type StakeNode interface {
	Stake(ctx context.Context, address string) (api.Stake, error)
	Stakes(ctx context.Context) ([]api.Stake, error)
	Epoch(ctx context.Context) (api.Epoch, error)
}

// Standing is how an account stands as a staker, at one moment.
type Standing struct {
	Stake  *api.Stake // nil if it never bonded
	Others []api.Stake
	Epoch  api.Epoch
}

// Look asks a node how an account stands.
func Look(ctx context.Context, node StakeNode, address string) (Standing, error) {
	var s Standing
	var err error
	if s.Epoch, err = node.Epoch(ctx); err != nil {
		return s, err
	}
	if s.Others, err = node.Stakes(ctx); err != nil {
		return s, err
	}
	own, err := node.Stake(ctx, address)
	switch {
	case err == nil:
		s.Stake = &own
	case !errors.Is(err, api.ErrNotFound):
		return s, err
	}
	return s, nil
}

// Check finds what the ledger would refuse for a stake's sake; the refusal wraps
// [ErrRefused] and tells what to do. The ledger may still refuse: it sees a later
// state.
func (s Standing) Check(body types.Body) error {
	rules := s.Epoch.Rules
	if rules == nil {
		return fmt.Errorf("%w: the validators of this network never change, so there is nothing to stake for", ErrRefused)
	}
	least, err := drops(rules.MinBondDrops)
	if err != nil {
		return fmt.Errorf("rules: min_bond_drops: %w", err)
	}
	if b, ok := body.(*types.Bond); ok && s.Stake == nil {
		return s.checkFirst(b, least)
	}
	if s.Stake == nil {
		return fmt.Errorf("%w: the account has no validator; `starling stake bond` makes one", ErrRefused)
	}
	bond, err := drops(s.Stake.BondDrops)
	if err != nil {
		return fmt.Errorf("stake: bond_drops: %w", err)
	}
	switch b := body.(type) {
	case *types.Bond:
		return s.checkMore(b, bond, least)
	case *types.Unbond:
		return s.checkUnbond(b, bond, least)
	case *types.Rotate:
		return s.checkKeys(&b.Keys)
	case *types.Unjail:
		return s.checkUnjail(bond, least)
	default:
		return nil
	}
}

func (s Standing) checkFirst(b *types.Bond, least types.Drops) error {
	switch {
	case b.Keys == nil:
		return fmt.Errorf("%w: the account has no validator yet: its first bond must name the validator and its keys", ErrRefused)
	case b.Amount < least:
		return fmt.Errorf("%w: a validator needs a bond of at least %s coins", ErrRefused, least)
	}
	return s.checkKeys(b.Keys)
}

func (s Standing) checkMore(b *types.Bond, bond, least types.Drops) error {
	switch {
	case b.Keys != nil:
		return fmt.Errorf("%w: the account has the validator %s already: add to its bond without keys, or give it others with `starling stake rotate`", ErrRefused, s.Stake.Name)
	case b.Amount < least && bond+b.Amount < least:
		return fmt.Errorf("%w: the bond of %s is %s coins and must become at least %s: add %s or more", ErrRefused, s.Stake.Name, bond, least, least-bond)
	}
	return nil
}

func (s Standing) checkUnbond(b *types.Unbond, bond, least types.Drops) error {
	switch {
	case bond == 0:
		return fmt.Errorf("%w: nothing is bonded behind %s", ErrRefused, s.Stake.Name)
	case b.Amount > bond:
		return fmt.Errorf("%w: %s coins cannot be unbonded: %s are bonded behind %s", ErrRefused, b.Amount, bond, s.Stake.Name)
	case b.Amount > 0 && b.Amount < bond && bond-b.Amount < least:
		return fmt.Errorf("%w: %s coins would stay bonded, less than the least of %s: unbond at most %s, or everything (--all)",
			ErrRefused, bond-b.Amount, least, bond-min(bond, least))
	}
	return nil
}

func (s Standing) checkKeys(k *types.ValidatorKeys) error {
	key := hex.EncodeToString(k.Key)
	if s.Stake != nil && s.Stake.Key == key && s.Stake.Identity == k.Identity && s.Stake.Name == k.Name {
		return fmt.Errorf("%w: %s has these keys already: make others in a new home with `starling init --validator --home NEW`", ErrRefused, k.Name)
	}
	for _, other := range s.Others {
		if (s.Stake == nil || other.Operator != s.Stake.Operator) && (other.Key == key || other.Identity == k.Identity) {
			return fmt.Errorf("%w: the validator %s of %s has the same key or identity: make others in a new home with `starling init --validator --home NEW`",
				ErrRefused, other.Name, other.Operator)
		}
	}
	return nil
}

func (s Standing) checkUnjail(bond, least types.Drops) error {
	switch {
	case !s.Stake.Jailed:
		return fmt.Errorf("%w: %s is not in jail", ErrRefused, s.Stake.Name)
	case s.Epoch.Epoch < s.Stake.JailedUntil:
		return fmt.Errorf("%w: the jail of %s can be ended from epoch %d on, which begins with block %d; this is epoch %d",
			ErrRefused, s.Stake.Name, s.Stake.JailedUntil, s.Stake.JailedUntil*s.Epoch.Rules.EpochBlocks+1, s.Epoch.Epoch)
	case bond < least:
		return fmt.Errorf("%w: the bond of %s is %s coins and must be at least %s: bond %s or more first", ErrRefused, s.Stake.Name, bond, least, least-bond)
	}
	return nil
}
