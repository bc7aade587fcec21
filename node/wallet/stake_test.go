package wallet

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/apitest"
)

const coin = types.DropsPerCoin

// validator is a validator's keys, the same for a seed; their identity is nobody's.
func validator(t testing.TB, seed byte) *types.ValidatorKeys {
	t.Helper()
	ikm := make([]byte, 32)
	ikm[0] = seed
	vote, err := bls.KeyGen(ikm)
	require.NoError(t, err)
	proof := vote.Prove()
	return &types.ValidatorKeys{
		Name: "alice", Key: vote.Public().Bytes(), Possession: proof[:],
		Identity: "12D3KooWHFmyeYfQj36M835WPfm9ymsQXhYQfcsD1VpjFMBFdKK3",
	}
}

func TestStakeIsBondedAndComesBack(t *testing.T) {
	chain, node := network(t)
	alice := key(t, "alice")
	s := NewSender(node, hash.Hash{}, "")
	self := address(alice).Format("tst")
	for _, body := range []types.Body{
		&types.Bond{Amount: 200 * coin, Keys: validator(t, 1)}, &types.Bond{Amount: 50 * coin}, &types.Unbond{Amount: 150 * coin},
		&types.Rotate{Keys: *validator(t, 2)}, &types.Unbond{},
	} {
		at, err := Look(t.Context(), node, self)
		require.NoError(t, err)
		require.NoError(t, at.Check(body))
		tx, err := s.Send(t.Context(), alice, Order{Body: body}, true)
		require.NoError(t, err)
		require.True(t, *tx.Success, tx.Code)
		require.Equal(t, body.Kind().String(), tx.Kind)
	}
	chain.Pass(5 * apitest.EpochBlocks)
	account, err := node.Balance(t.Context(), self)
	require.NoError(t, err)
	require.Equal(t, "999.99995", account.Balance, "all but five fees")
}

func TestHopelessOrderIsNotSent(t *testing.T) {
	_, node := network(t)
	s := NewSender(node, hash.Hash{}, "")
	for name, c := range map[string]struct {
		from string
		o    Order
		want string
	}{
		"bond of the reserve":    {"alice", Order{Body: &types.Bond{Amount: 999*coin + 1}}, "cannot be bonded: the account holds 1000, of which 1 must stay, so at most 999"},
		"bond of nothing":        {"alice", Order{Body: &types.Bond{}}, "more than 0"},
		"unbond without account": {"bob", Order{Body: &types.Unbond{}}, "holds nothing yet"},
		"fee beyond means":       {"alice", Order{Body: &types.Unjail{}, Fee: 1001 * coin}, "the fee is 1001 coins"},
		"keys that prove nothing": {
			"alice", Order{Body: &types.Rotate{Keys: types.ValidatorKeys{Name: "x", Key: make([]byte, 96), Possession: make([]byte, 48)}}}, "key",
		},
	} {
		_, err := s.Send(t.Context(), key(t, c.from), c.o, true)
		require.ErrorIs(t, err, ErrRefused, name)
		require.ErrorContains(t, err, c.want, name)
	}
}

func TestStandingRefusesWhatTheLedgerWould(t *testing.T) {
	rules := &api.StakingRules{EpochBlocks: 10, MinBondDrops: "100000000"}
	at := func(change func(*Standing)) Standing {
		s := Standing{
			Stake: &api.Stake{Operator: "a", Name: "alice", BondDrops: "150000000"},
			Epoch: api.Epoch{Epoch: 3, Rules: rules},
			Others: []api.Stake{
				{Operator: "a", Name: "alice"}, {Operator: "b", Name: "bob", Identity: validator(t, 1).Identity},
			},
		}
		change(&s)
		return s
	}
	same := func(*Standing) {}
	none := func(s *Standing) { s.Stake = nil }
	jailed := func(s *Standing) { s.Stake.Jailed, s.Stake.JailedUntil = true, 5 }
	slashed := func(s *Standing) { s.Stake.Jailed, s.Stake.BondDrops = true, "90000000" }
	for name, c := range map[string]struct {
		at   Standing
		body types.Body
		want string // empty: it may go
	}{
		"no staking":             {at(func(s *Standing) { s.Epoch.Rules = nil }), &types.Unjail{}, "nothing to stake for"},
		"first without keys":     {at(none), &types.Bond{Amount: 500 * coin}, "must name the validator"},
		"first too small":        {at(none), &types.Bond{Amount: 99 * coin, Keys: validator(t, 1)}, "at least 100 coins"},
		"keys of another":        {at(none), &types.Bond{Amount: 100 * coin, Keys: validator(t, 1)}, "validator bob of b has the same key"},
		"unbond of none":         {at(none), &types.Unbond{}, "has no validator"},
		"keys twice":             {at(same), &types.Bond{Amount: coin, Keys: validator(t, 1)}, "alice already"},
		"more":                   {at(same), &types.Bond{Amount: 1}, ""},
		"too little more":        {at(slashed), &types.Bond{Amount: 9 * coin}, "add 10 or more"},
		"enough more":            {at(slashed), &types.Bond{Amount: 10 * coin}, ""},
		"unbond too much":        {at(same), &types.Unbond{Amount: 151 * coin}, "150 are bonded"},
		"unbond below the least": {at(same), &types.Unbond{Amount: 51 * coin}, "at most 50, or everything"},
		"unbond to the least":    {at(same), &types.Unbond{Amount: 50 * coin}, ""},
		"unbond all":             {at(same), &types.Unbond{Amount: 150 * coin}, ""},
		"unbond all of nothing":  {at(func(s *Standing) { s.Stake.BondDrops = "0" }), &types.Unbond{}, "nothing is bonded"},
		"rotate to another's":    {at(same), &types.Rotate{Keys: *validator(t, 1)}, "bob"},
		"unjail the free":        {at(same), &types.Unjail{}, "not in jail"},
		"unjail too early":       {at(jailed), &types.Unjail{}, "from epoch 5 on, which begins with block 51; this is epoch 3"},
		"unjail below the least": {at(slashed), &types.Unjail{}, "bond 10 or more first"},
		"unjail in time":         {at(func(s *Standing) { s.Stake.Jailed, s.Stake.JailedUntil = true, 3 }), &types.Unjail{}, ""},
		"liar's bond":            {at(func(s *Standing) { s.Stake.BondDrops = "x" }), &types.Unjail{}, "no amount"},
	} {
		err := c.at.Check(c.body)
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
		if name != "liar's bond" {
			require.ErrorIs(t, err, ErrRefused, name)
		}
	}
}
