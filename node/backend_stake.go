package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node/api"
)

// Stake implements api.Staking.
func (b backend) Stake(_ context.Context, operator types.Address) (api.StakeRecord, error) {
	snapshot := b.state.Latest()
	defer snapshot.Close()
	s, err := ledger.ReadStake(snapshot, operator)
	if err == nil && s == nil {
		err = b.noStake()
	}
	return api.StakeRecord{Operator: operator, Stake: s}, err
}

func (b backend) noStake() error {
	if b.genesis.Params.EpochBlocks == 0 {
		return fmt.Errorf("%w: the validators of this network never change, so nothing can be bonded", api.ErrNotFound)
	}
	return fmt.Errorf("%w: this account never bonded anything; a bond that names a validator's keys makes a stake", api.ErrNotFound)
}

// Stakes implements api.Staking.
func (b backend) Stakes(context.Context) ([]api.StakeRecord, error) {
	snapshot := b.state.Latest()
	defer snapshot.Close()
	stakers, err := ledger.Stakers(snapshot)
	if err != nil {
		return nil, err
	}
	out := make([]api.StakeRecord, 0, len(stakers))
	for _, operator := range stakers {
		s, err := ledger.ReadStake(snapshot, operator)
		if err == nil && s == nil {
			err = fmt.Errorf("staker %s has no stake: %w", operator, ledger.ErrCorrupt)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, api.StakeRecord{Operator: operator, Stake: s})
	}
	return out, nil
}

// Epoch implements api.Staking.
func (b backend) Epoch(context.Context) (api.EpochRecord, error) {
	seat := b.epochs.present()
	snapshot := b.state.Latest()
	defer snapshot.Close()
	rec := api.EpochRecord{Epoch: seat.authority.Epoch, Height: types.Height(snapshot.Version())}
	rec.Sets[0] = seat.Set()
	if b.genesis.Params.EpochBlocks == 0 {
		return rec, nil
	}
	for i := range rec.Sets[1:] {
		set, err := ledger.SetOf(snapshot, rec.Epoch+types.Epoch(i)+1)
		if err != nil && !errors.Is(err, ledger.ErrNoSet) {
			return rec, err
		}
		rec.Sets[i+1] = set
	}
	return rec, nil
}

// jail tells which of a set's members are in jail by now. What cannot be read is
// left out: the executor stops the node over it.
func (b backend) jail(members []api.Validator) {
	snapshot := b.state.Latest()
	defer snapshot.Close()
	for i := range members {
		operator, err := types.ParseAddress(members[i].Operator, b.genesis.AddressPrefix)
		if err != nil {
			continue // without epochs there are no operators
		}
		if s, err := ledger.ReadStake(snapshot, operator); err == nil && s != nil && s.Jailed {
			members[i].Jailed, members[i].JailedUntil = true, uint64(s.JailedUntil)
		}
	}
}
