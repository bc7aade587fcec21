package ledger

import (
	"crypto/rand"
	"fmt"
	"math/bits"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
)

const (
	coin        = types.DropsPerCoin
	epochLength = 10
	testBond    = 1000 * coin
)

// validatorKeys are made once: proofs of possession take a while to check.
var validatorKeys = sync.OnceValue(func() []types.ValidatorKeys {
	out := make([]types.ValidatorKeys, 12)
	for i := range out {
		vote, err := bls.Generate(rand.Reader)
		if err != nil {
			panic(err)
		}
		identity, _, _ := crypto.GenerateEd25519Key(rand.Reader)
		id, _ := peer.IDFromPrivateKey(identity)
		proof := vote.Prove()
		out[i] = types.ValidatorKeys{Name: fmt.Sprintf("v%d", i), Key: vote.Public().Bytes(), Possession: proof[:], Identity: id.String()}
	}
	return out
})

// stakeNet is a network of four bonded validators, persons 0 to 3, and four more
// people with coins.
func stakeNet(t testing.TB) *testNet {
	g := &types.Genesis{Network: "test", AddressPrefix: "t", Params: types.Params{
		MinFee: testMinFee, Reserve: testReserve, MaxExpiry: 10_000, EpochBlocks: epochLength, Staking: types.DefaultStaking(),
	}}
	g.Params.Staking.MinBond = 100 * coin
	powers := []uint64{1000, 1000, 1000, 1000}
	types.CapPowers(powers, g.Params.Staking.MaxShare)
	for i := range 8 {
		a := address(person(i)).Format("t")
		g.Accounts = append(g.Accounts, types.GenesisAccount{Address: a, Balance: 5000 * coin})
		if k := validatorKeys()[i]; i < 4 {
			g.Validators = append(g.Validators, types.Validator{
				Name: k.Name, Key: k.Key, Possession: k.Possession, Identity: k.Identity, Operator: a, Bond: testBond, Power: powers[i],
			})
		}
	}
	n := &testNet{t: t, ledger: New(g), state: memory{}}
	changes, err := n.ledger.GenesisChanges()
	require.NoError(t, err)
	n.state.apply(changes)
	_, err = n.ledger.Audit(n.state.all)
	require.NoError(t, err)
	return n
}

func (n *testNet) tx(from string, body types.Body) *types.Tx {
	account, err := ReadAccount(n.state, address(from))
	require.NoError(n.t, err)
	h := types.Header{Chain: n.ledger.Chain(), Key: typedKey(from), Sequence: account.Sequence, Fee: testMinFee, Expiry: n.height + 50}
	tx, err := types.SignTx(h, body, anySignature{})
	require.NoError(n.t, err)
	return tx
}

// block executes a block with the faults that it proves, and audits.
func (n *testNet) block(faults []Fault, txs ...*types.Tx) Result {
	n.height++
	r, err := n.ledger.Execute(Block{Height: n.height, Txs: txs, Epoch: n.ledger.params.EpochOf(n.height), Proposer: 1, Faults: faults}, n.state)
	require.NoError(n.t, err)
	require.Empty(n.t, r.Defects)
	n.state.apply(r.Changes)
	totals, err := n.ledger.Audit(n.state.all)
	require.NoError(n.t, err)
	require.Equal(n.t, totals, r.Totals)
	return r
}

// do executes one transaction alone and returns its code.
func (n *testNet) do(from string, body types.Body) Code {
	return n.block(nil, n.tx(from, body)).Receipts[0].Code
}

// untilEndOf runs empty blocks until an epoch is over.
func (n *testNet) untilEndOf(e types.Epoch) {
	for n.height < n.ledger.params.LastOf(e) {
		n.block(nil)
	}
}

func (n *testNet) set(e types.Epoch) (names []string) {
	set, err := SetOf(n.state, e)
	require.NoError(n.t, err)
	for _, v := range set.All() {
		names = append(names, v.Name)
	}
	return names
}

func (n *testNet) stakeOf(i int) *Stake {
	s, err := ReadStake(n.state, address(person(i)))
	require.NoError(n.t, err)
	return s
}

func TestWhoBondsMostValidatesTwoEpochsLater(t *testing.T) {
	n := stakeNet(t)
	require.Equal(t, Applied, n.do(person(5), &types.Bond{Amount: 2000 * coin, Keys: &validatorKeys()[5]}))
	require.Len(t, n.set(1), 4)
	n.untilEndOf(0)
	require.Equal(t, "v5", n.set(2)[0], "the largest bond first")
	require.Len(t, n.set(2), 5)
	require.NotContains(t, n.set(1), "v5", "the set of the next epoch was made before")
	set, err := SetOf(n.state, 2)
	require.NoError(t, err)
	require.EqualValues(t, 1714, set.Power(0), "30%% of 5714")
}

func TestUnbondedStakeLeavesTheSetAndIsPaidOutLater(t *testing.T) {
	n := stakeNet(t)
	require.Equal(t, Applied, n.do(person(5), &types.Bond{Amount: testBond, Keys: &validatorKeys()[5]}))
	before := n.balance(person(2))
	require.Equal(t, Applied, n.do(person(2), &types.Unbond{}))
	require.Equal(t, before-testMinFee, n.balance(person(2)))
	n.untilEndOf(0)
	require.NotContains(t, n.set(2), "v2")
	n.untilEndOf(3)
	require.Equal(t, before-testMinFee, n.balance(person(2)), "not before the delay is over")
	n.untilEndOf(4)
	require.Equal(t, before-testMinFee+testBond, n.balance(person(2)))
	require.Equal(t, Applied, n.do(person(2), &types.Bond{Amount: testBond}), "its keys are still its own")
	n.untilEndOf(5)
	require.Contains(t, n.set(7), "v2")
}

func TestSetNeverShrinksBelowTheLeast(t *testing.T) {
	n := stakeNet(t)
	require.Equal(t, Applied, n.do(person(0), &types.Unbond{}))
	n.untilEndOf(0)
	require.Equal(t, n.set(1), n.set(2), "three are too few: the set stays")
	require.Equal(t, Applied, n.do(person(6), &types.Bond{Amount: testBond, Keys: &validatorKeys()[6]}))
	n.untilEndOf(1)
	require.ElementsMatch(t, []string{"v1", "v2", "v3", "v6"}, n.set(3))
}

func TestStakeTransactionsAreRefusedWithAReason(t *testing.T) {
	n := stakeNet(t)
	k := validatorKeys()
	for _, c := range []struct {
		name string
		who  int
		body types.Body
		want Code
	}{
		{"first bond without keys", 5, &types.Bond{Amount: testBond}, NoValidator},
		{"keys again", 0, &types.Bond{Amount: coin, Keys: &k[5]}, ValidatorExists},
		{"too small", 5, &types.Bond{Amount: coin, Keys: &k[5]}, BondTooSmall},
		{"more than there is", 5, &types.Bond{Amount: 9000 * coin, Keys: &k[5]}, Underfunded},
		{"another's keys", 5, &types.Bond{Amount: testBond, Keys: &k[0]}, KeysTaken},
		{"rotation to another's keys", 1, &types.Rotate{Keys: k[0]}, KeysTaken},
		{"nothing to unbond", 5, &types.Unbond{}, NoValidator},
		{"more than bonded", 0, &types.Unbond{Amount: 5000 * coin}, Underfunded},
		{"little left", 0, &types.Unbond{Amount: testBond - coin}, BondTooSmall},
		{"not jailed", 0, &types.Unjail{}, NotJailed},
		{"no validator to free", 5, &types.Unjail{}, NoValidator},
		{"no validator to rotate", 5, &types.Rotate{Keys: k[5]}, NoValidator},
	} {
		require.Equal(t, c.want, n.do(person(c.who), c.body), c.name)
	}
	for range maxUnbonding {
		require.Equal(t, Applied, n.do(person(0), &types.Unbond{Amount: coin}))
	}
	require.Equal(t, TooManyUnbonding, n.do(person(0), &types.Unbond{Amount: coin}))
}

func TestKeysStayClaimedAfterARotation(t *testing.T) {
	n := stakeNet(t)
	k := validatorKeys()
	require.Equal(t, Applied, n.do(person(0), &types.Rotate{Keys: k[7]}))
	require.Equal(t, KeysTaken, n.do(person(5), &types.Bond{Amount: testBond, Keys: &k[0]}), "what they signed may still come to light")
	require.Equal(t, Applied, n.do(person(0), &types.Rotate{Keys: k[0]}), "back")
}

func TestStakeKindsAreUnknownWhereTheSetNeverChanges(t *testing.T) {
	n := newNet(t, map[string]types.Drops{person(0): 5000 * coin})
	require.Equal(t, UnknownKind, n.run(n.tx(person(0), &types.Unbond{})).Receipts[0].Code)
}

func TestOffenceCostsAShareOfTheBondAndJails(t *testing.T) {
	n := stakeNet(t)
	supply := n.block(nil).Totals.Supply
	reward := n.balance(person(1)) // operator of the proposer
	r := n.block([]Fault{{types.DoubleVote, 0, 3}})
	require.Len(t, r.Slashed, 1)
	share := testBond / 20
	require.Equal(t, share, r.Slashed[0].Amount)
	require.Equal(t, reward+share/2, n.balance(person(1)))
	require.Equal(t, supply-share/2, r.Totals.Supply, "the other half is burned")
	s := n.stakeOf(3)
	require.Equal(t, testBond-share, s.Bond)
	require.True(t, s.Jailed)

	require.Empty(t, n.block([]Fault{{types.DoubleVote, 0, 3}, {types.DoubleVote, 0, 3}}).Slashed, "once")
	require.Len(t, n.block([]Fault{{types.DoubleProposal, 0, 3}}).Slashed, 1, "another offence")
	require.Equal(t, StillJailed, n.do(person(3), &types.Unjail{}))
	require.Equal(t, Applied, n.do(person(5), &types.Bond{Amount: testBond, Keys: &validatorKeys()[5]}))
	n.untilEndOf(0)
	require.NotContains(t, n.set(2), "v3")
	n.untilEndOf(1)
	require.Equal(t, Applied, n.do(person(3), &types.Unjail{}))
	n.untilEndOf(2)
	require.Contains(t, n.set(4), "v3")
}

func TestUnbondingStakeIsSlashedToo(t *testing.T) {
	n := stakeNet(t)
	require.Equal(t, Applied, n.do(person(2), &types.Unbond{}))
	r := n.block([]Fault{{types.DoubleVote, 0, 2}})
	require.Equal(t, testBond/20, r.Slashed[0].Amount)
	require.Equal(t, testBond-testBond/20, n.stakeOf(2).Unbonding[0].Amount)
}

func TestWhatWasUnbondedBeforeTheFaultIsNotSlashed(t *testing.T) {
	n := stakeNet(t)
	require.Equal(t, Applied, n.do(person(2), &types.Unbond{Amount: 500 * coin}))
	n.untilEndOf(1)
	require.Equal(t, Applied, n.do(person(2), &types.Unbond{}))
	n.untilEndOf(2)
	s := n.stakeOf(2)
	require.Len(t, s.Unbonding, 2) // since epochs 0 and 2
	require.Equal(t, 500*coin, s.take(5000*coin, 3), "the set of epoch 3, made at the end of 1, knew the latter only")
	require.Zero(t, s.take(5000*coin, 2))
	require.Equal(t, 500*coin, s.take(5000*coin, 1), "the set of epoch 1 knew all")
}

func TestOldOffencesAreForgottenWithTheirSet(t *testing.T) {
	n := stakeNet(t)
	n.untilEndOf(7)
	require.Empty(t, n.block([]Fault{{types.DoubleVote, 0, 3}}).Slashed)
	require.Len(t, n.block([]Fault{{types.DoubleVote, 3, 3}}).Slashed, 1)
	require.Empty(t, n.block([]Fault{{types.DoubleVote, 3, 77}, {types.DoubleVote, 99, 0}}).Slashed)
}

// Whatever people bond, unbond and prove against each other, coins add up (block
// audits), nobody pays more than was bonded when the fault happened, and every set
// keeps its rules.
func TestRandomStakingKeepsTheBooks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := stakeNet(t)
		paid := map[[2]uint64]types.Drops{} // by epoch and culprit
		keys := 4
		for range rapid.IntRange(1, 60).Draw(rt, "blocks") {
			var txs []*types.Tx
			who := rapid.IntRange(0, 7).Draw(rt, "who")
			amount := types.Drops(rapid.Uint64Range(0, 3000).Draw(rt, "coins")) * coin
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				b := &types.Bond{Amount: max(amount, 1)}
				if n.stakeOf(who) == nil && keys < len(validatorKeys()) {
					b.Keys = &validatorKeys()[keys]
					keys++
				}
				txs = append(txs, n.tx(person(who), b))
			case 2:
				txs = append(txs, n.tx(person(who), &types.Unbond{Amount: amount}))
			case 3:
				txs = append(txs, n.tx(person(who), &types.Unjail{}))
			}
			var faults []Fault
			now := uint64(n.ledger.params.EpochOf(n.height + 1))
			for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(rt, "faults") {
				faults = append(faults, Fault{
					types.Offence(rapid.IntRange(1, 4).Draw(rt, "offence")),
					types.Epoch(now - min(now, rapid.Uint64Range(0, 8).Draw(rt, "ago"))), types.ValidatorIndex(rapid.IntRange(0, 5).Draw(rt, "culprit")),
				})
			}
			for _, s := range n.block(faults, txs...).Slashed {
				set, err := SetOf(n.state, s.Epoch)
				require.NoError(rt, err)
				at := [2]uint64{uint64(s.Epoch), uint64(s.Culprit)}
				paid[at] += s.Amount
				require.LessOrEqual(rt, paid[at], set.At(s.Culprit).Bond)
				require.LessOrEqual(rt, 2*s.Reward, s.Amount)
			}
			n.untilEndOf(n.ledger.params.EpochOf(n.height + types.Height(rapid.IntRange(0, 2).Draw(rt, "skip"))))
			checkSet(rt, n, n.ledger.params.EpochOf(n.height)+1)
		}
	})
}

func checkSet(rt *rapid.T, n *testNet, e types.Epoch) {
	set, err := SetOf(n.state, e)
	require.NoError(rt, err)
	require.GreaterOrEqual(rt, set.Len(), 4)
	var total uint64
	for _, v := range set.All() {
		total += v.Power
	}
	for i, v := range set.All() {
		require.LessOrEqual(rt, v.Power, max(total*30/100, (total+uint64(set.Len())-1)/uint64(set.Len())))
		require.GreaterOrEqual(rt, v.Bond, 100*coin)
		for j, w := range set.All() {
			require.True(rt, i == j || v.Identity != w.Identity && string(v.Key) != string(w.Key))
		}
	}
}

func TestCappedPowersKeepTheirOrderAndTheCap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		powers := rapid.SliceOfN(rapid.Uint64Range(1, 1<<42), 1, 40).Draw(rt, "powers")
		share := rapid.Uint64Range(1, 100).Draw(rt, "share")
		capped := append([]uint64{}, powers...)
		types.CapPowers(capped, share)
		var total uint64
		for i := range capped {
			require.LessOrEqual(rt, capped[i], powers[i])
			require.NotZero(rt, capped[i])
			total += capped[i]
			for j := range capped {
				require.False(rt, powers[i] < powers[j] && capped[i] > capped[j])
			}
		}
		hi, lo := bits.Mul64(total, share)
		limit, _ := bits.Div64(hi, lo, 100)
		for _, p := range capped {
			require.LessOrEqual(rt, p, max(limit, (total+uint64(len(capped))-1)/uint64(len(capped))))
		}
	})
}

func FuzzDecodeStake(f *testing.F) {
	f.Add((&Stake{Keys: types.ValidatorKeys{Key: []byte{}, Possession: []byte{}}}).Encode())
	f.Add((&Stake{Keys: validatorKeys()[0], Bond: 7, Unbonding: []Unbonding{{Amount: 3, Since: 1, Release: 5}}, Jailed: true, Punished: []Punished{{Epoch: 2, Offences: 6, Slashed: 1}}}).Encode())
	f.Add([]byte{0xf6})
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := DecodeStake(raw)
		if err == nil {
			require.Equal(t, raw, s.Encode())
		}
	})
}
