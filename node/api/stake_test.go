package api

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// answer decodes what a path answers.
func answer[T any](t *testing.T, r running, path string) (v T) {
	t.Helper()
	status, body := r.get(t, path)
	require.Equal(t, 200, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &v))
	return v
}

func TestStakeShowsCoinsOnTheirWayAndPunishments(t *testing.T) {
	r := start(t)
	s := answer[Stake](t, r, "/v1/stake/"+funded.Format("tst"))
	require.Equal(t, Stake{
		Operator: funded.Format("tst"), Name: "ada", Identity: "p1", Key: "01", Bond: "1500", BondDrops: "1500000000",
		Unbonding: []Unbonding{{Amount: "2.5", AmountDrops: "2500000", Since: 2, Release: 6, ReleaseHeight: 70}},
		Jailed:    true, JailedUntil: 5,
		Punished: []Punishment{{Epoch: 1, Offences: []string{"double-vote", "bad-certificate"}, Slashed: "90", SlashedDrops: "90000000"}},
	}, s)
	require.Equal(t, []Stake{s}, answer[[]Stake](t, r, "/v1/stakes"))
}

func TestValidatorsShowWhoseStakeGivesTheirPower(t *testing.T) {
	v := answer[[]Validator](t, start(t), "/v1/validators")[0]
	require.Equal(t, funded.Format("tst"), v.Operator)
	require.Equal(t, "1500", v.Bond)
	require.Equal(t, "1500000000", v.BondDrops)
	require.Equal(t, "25.00", v.Share)
}

func TestEpochCountsDownToItsLastBlock(t *testing.T) {
	e := answer[Epoch](t, start(t), "/v1/epoch")
	require.EqualValues(t, 3, e.Epoch)
	require.EqualValues(t, 31, e.First)
	require.EqualValues(t, 40, *e.Last)
	require.EqualValues(t, 7, *e.BlocksLeft)
	require.Equal(t, Member{Name: "ada", Operator: funded.Format("tst"), Power: 1, Share: "25.00", Bond: "1500", BondDrops: "1500000000"}, e.Validators[0])
	require.Len(t, e.Next, 4)
	require.Nil(t, e.AfterNext)
	require.EqualValues(t, 10, e.Rules.EpochBlocks)
	require.Equal(t, "1000", e.Rules.MinBond)
}

func TestEpochWithoutStakingNeverEnds(t *testing.T) {
	f := newFake(t)
	f.genesis.Params.EpochBlocks = 0
	e := renderer{genesis: f.genesis, set: f.set()}.epoch(EpochRecord{Height: 33, Sets: [3]*types.ValidatorSet{f.set()}})
	require.EqualValues(t, 1, e.First)
	require.Nil(t, e.Last)
	require.Nil(t, e.BlocksLeft)
	require.Nil(t, e.Next)
	require.Nil(t, e.Rules)
	require.Len(t, e.Validators, 4)
}

func TestEpochThatIsOverHasNoBlocksLeft(t *testing.T) {
	f := newFake(t)
	r := renderer{genesis: f.genesis, set: f.set()}
	for height, left := range map[types.Height]uint64{30: 10, 25: 10, 39: 1, 40: 0, 45: 0} {
		e := r.epoch(EpochRecord{Epoch: 3, Height: height, Sets: [3]*types.ValidatorSet{f.set()}})
		require.Equal(t, left, *e.BlocksLeft, "height %d", height)
	}
}

func TestShareIsRoundedDownAndNeverOverflows(t *testing.T) {
	for _, c := range []struct {
		part, total uint64
		want        string
	}{
		{1, 3, "33.33"},
		{2, 3, "66.66"},
		{1, 1, "100.00"},
		{0, 5, "0.00"},
		{1, 100_000, "0.00"},
		{types.MaxTotalPower / 2, types.MaxTotalPower, "50.00"},
		{0, 0, ""},
		{2, 1, ""},
	} {
		require.Equal(t, c.want, share(c.part, c.total))
	}
}

func TestBlockOfForgottenValidatorsNamesNobody(t *testing.T) {
	f := newFake(t)
	rec := f.record(f.blocks[7])
	rec.Validators = nil
	b := renderer{genesis: f.genesis, set: f.set()}.summary(rec)
	require.Empty(t, b.Proposer)
	require.Empty(t, b.Certificate.Signers)
	require.Zero(t, b.Certificate.Quorum)
	require.NotEmpty(t, b.Certificate.Bitmap)
}

func TestTransactionsOfStakeShowWhatTheyDo(t *testing.T) {
	f := newFake(t)
	r := renderer{genesis: f.genesis, set: f.set()}
	keys := types.ValidatorKeys{Name: "eve", Key: []byte{5}, Possession: []byte{6}, Identity: "p5"}
	shown := &ValidatorKeys{Name: "eve", Identity: "p5", Key: "05"}
	for _, c := range []struct {
		body types.Body
		want Tx
	}{
		{&types.Bond{Amount: 1_500_000, Keys: &keys}, Tx{Kind: "bond", Amount: "1.5", AmountDrops: "1500000", Validator: shown}},
		{&types.Bond{Amount: 1_500_000}, Tx{Kind: "bond", Amount: "1.5", AmountDrops: "1500000"}},
		{&types.Unbond{Amount: 7}, Tx{Kind: "unbond", Amount: "0.000007", AmountDrops: "7"}},
		{&types.Unbond{}, Tx{Kind: "unbond", All: true}},
		{&types.Rotate{Keys: keys}, Tx{Kind: "rotate", Validator: shown}},
		{&types.Unjail{}, Tx{Kind: "unjail"}},
		{&types.Data{Content: []byte("data")}, Tx{Kind: "data", Content: "64617461", ContentBytes: 4}},
	} {
		got := r.tx(TxRecord{ID: hash.Sum("x"), Status: TxPending, Tx: &types.Tx{Header: types.Header{Key: []byte("funded")}, Body: c.body}})
		require.Equal(t, c.want.Kind, got.Kind)
		require.Equal(t, c.want.Amount, got.Amount)
		require.Equal(t, c.want.AmountDrops, got.AmountDrops)
		require.Equal(t, c.want.All, got.All)
		require.Equal(t, c.want.Validator, got.Validator)
		require.Equal(t, c.want.Content, got.Content)
		require.Equal(t, c.want.ContentBytes, got.ContentBytes)
		require.Empty(t, got.To)
	}
}
