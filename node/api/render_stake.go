package api

import (
	"encoding/hex"
	"fmt"
	"math/bits"

	"github.com/starlingmesh/starling/chain/types"
)

// NewValidator shows what a set knows of its member i, which must be in it. What
// the node sees of it, and its jail, are left to the backend.
func NewValidator(set *types.ValidatorSet, i types.ValidatorIndex) Validator {
	v := set.At(i)
	return Validator{
		Index: int(i), Name: v.Name, Power: v.Power, Identity: v.Identity, Key: hex.EncodeToString(v.Key),
		Operator: v.Operator, Bond: v.Bond.String(), BondDrops: dropsText(v.Bond), Share: share(v.Power, totalPower(set)),
	}
}

func totalPower(set *types.ValidatorSet) (sum uint64) {
	for _, v := range set.All() {
		sum += v.Power // at most types.MaxTotalPower
	}
	return sum
}

// share is part of total in percent with two decimals, rounded down.
func share(part, total uint64) string {
	if part > total || total == 0 {
		return ""
	}
	hi, lo := bits.Mul64(part, 100_00)
	q, _ := bits.Div64(hi, lo, total) // part is at most total: the quotient fits
	return fmt.Sprintf("%d.%02d", q/100, q%100)
}

func validatorKeys(k *types.ValidatorKeys) *ValidatorKeys {
	return &ValidatorKeys{Name: k.Name, Identity: k.Identity, Key: hex.EncodeToString(k.Key)}
}

func (r renderer) stake(rec StakeRecord) Stake {
	s := rec.Stake
	v := Stake{
		Operator: rec.Operator.Format(r.genesis.AddressPrefix),
		Name:     s.Keys.Name, Identity: s.Keys.Identity, Key: hex.EncodeToString(s.Keys.Key),
		Bond: s.Bond.String(), BondDrops: dropsText(s.Bond),
		Unbonding: []Unbonding{}, Jailed: s.Jailed, Punished: []Punishment{},
	}
	if s.Jailed {
		v.JailedUntil = uint64(s.JailedUntil)
	}
	for _, u := range s.Unbonding {
		v.Unbonding = append(v.Unbonding, Unbonding{
			Amount: u.Amount.String(), AmountDrops: dropsText(u.Amount), Since: uint64(u.Since),
			Release: uint64(u.Release), ReleaseHeight: uint64(r.genesis.Params.LastOf(u.Release)),
		})
	}
	for _, p := range s.Punished {
		v.Punished = append(v.Punished, Punishment{
			Epoch: uint64(p.Epoch), Offences: offences(p.Offences), Slashed: p.Slashed.String(), SlashedDrops: dropsText(p.Slashed),
		})
	}
	return v
}

// offences names the members of a bit set of types.Offence.
func offences(set uint64) []string {
	out := []string{}
	for i := range types.Offence(64) {
		if set&(1<<i) != 0 {
			out = append(out, i.String())
		}
	}
	return out
}

func (r renderer) epoch(rec EpochRecord) Epoch {
	params := r.genesis.Params
	v := Epoch{
		Epoch: uint64(rec.Epoch), Height: uint64(rec.Height), First: 1,
		Validators: members(rec.Sets[0]), Next: members(rec.Sets[1]), AfterNext: members(rec.Sets[2]),
	}
	if params.EpochBlocks == 0 {
		return v
	}
	if rec.Epoch > 0 {
		v.First = uint64(params.LastOf(rec.Epoch-1)) + 1
	}
	last := uint64(params.LastOf(rec.Epoch))
	left := last - min(last, max(v.Height, v.First-1))
	v.Last, v.BlocksLeft, v.Rules = &last, &left, stakingRules(r.genesis)
	return v
}

func stakingRules(g *types.Genesis) *StakingRules {
	p, s := g.Params, g.Params.Staking
	return &StakingRules{
		EpochBlocks: p.EpochBlocks, MinBond: s.MinBond.String(), MinBondDrops: dropsText(s.MinBond),
		MaxValidators: s.MaxValidators, MinValidators: min(s.MinValidators, uint64(len(g.Validators))), MaxShare: s.MaxShare,
		UnbondEpochs: s.UnbondEpochs, JailEpochs: s.JailEpochs, DoublePermille: s.SlashDouble, BadPermille: s.SlashInvalid,
	}
}

// members is nil, which JSON shows as null, for a set that is not decided.
func members(set *types.ValidatorSet) []Member {
	if set == nil {
		return nil
	}
	out, total := make([]Member, 0, set.Len()), totalPower(set)
	for _, v := range set.All() {
		out = append(out, Member{
			Name: v.Name, Operator: v.Operator, Power: v.Power, Share: share(v.Power, total),
			Bond: v.Bond.String(), BondDrops: dropsText(v.Bond),
		})
	}
	return out
}
