package apitest

import (
	"context"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node/api"
)

// Pass decides so many blocks, the first of them with what waits.
func (c *Chain) Pass(blocks int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range blocks {
		c.extend(nil)
	}
}

// Accuse decides a block that proves an offence in the present epoch. It reports
// whether a validator of that name is there to commit it.
func (c *Chain) Accuse(validator string, o types.Offence) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, v := range c.set(c.epoch()).All() {
		if v.Name == validator {
			c.extend([]ledger.Fault{{Offence: o, Epoch: c.epoch(), Culprit: i}})
			return true
		}
	}
	return false
}

// epoch is the one of the next block. The caller holds the lock.
func (c *Chain) epoch() types.Epoch {
	return c.genesis.Params.EpochOf(c.blocks[len(c.blocks)-1].Block.Height + 1)
}

// set is nil if the validators of an epoch are not known. The caller holds the lock.
func (c *Chain) set(e types.Epoch) *types.ValidatorSet {
	set, err := ledger.SetOf(c.state, e)
	if err != nil {
		return nil
	}
	return set
}

// Validators implements [api.Node].
func (c *Chain) Validators() []api.Validator {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.set(c.epoch())
	var out []api.Validator
	for i := range set.All() {
		v := api.NewValidator(set, i)
		v.Self, v.Connected, v.Leader = i == 0, true, i == 0
		if operator, err := types.ParseAddress(v.Operator, Prefix); err == nil {
			if s, err := ledger.ReadStake(c.state, operator); err == nil && s.Jailed {
				v.Jailed, v.JailedUntil = true, uint64(s.JailedUntil)
			}
		}
		out = append(out, v)
	}
	return out
}

// Stake implements [api.Staking].
func (c *Chain) Stake(_ context.Context, operator types.Address) (api.StakeRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := ledger.ReadStake(c.state, operator)
	if err == nil && s == nil {
		err = api.ErrNotFound
	}
	return api.StakeRecord{Operator: operator, Stake: s}, err
}

// Stakes implements [api.Staking].
func (c *Chain) Stakes(context.Context) (out []api.StakeRecord, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	stakers, err := ledger.Stakers(c.state)
	if err != nil {
		return nil, err
	}
	for _, operator := range stakers {
		s, err := ledger.ReadStake(c.state, operator)
		if err != nil {
			return nil, err
		}
		out = append(out, api.StakeRecord{Operator: operator, Stake: s})
	}
	return out, nil
}

// Epoch implements [api.Staking].
func (c *Chain) Epoch(context.Context) (api.EpochRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.epoch()
	return api.EpochRecord{
		Epoch: e, Height: c.blocks[len(c.blocks)-1].Block.Height,
		Sets: [3]*types.ValidatorSet{c.set(e), c.set(e + 1), c.set(e + 2)},
	}, nil
}
