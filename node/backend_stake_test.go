package node

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/node/api"
)

// newExecuted makes a node without network or engine: the state of height 0 of a
// network of four, on disk.
func newExecuted(t *testing.T, epochBlocks uint64) backend {
	t.Helper()
	g := &types.Genesis{Network: "test", AddressPrefix: "t", Engine: "hotstuff", Rule: "three-phase", Params: types.DefaultParams()}
	g.Params.EpochBlocks = epochBlocks
	var own Keys
	for i := range 4 {
		k := freshKeys(t)
		v, err := k.Validator(fmt.Sprintf("v%d", i), 1)
		require.NoError(t, err)
		if epochBlocks > 0 {
			v.Operator, v.Bond, v.Power = operator(i).Format("t"), 2000*types.DropsPerCoin, 2000
		}
		g.Validators = append(g.Validators, v)
		own = k
	}
	require.NoError(t, g.Validate())
	n := backend{&Node{genesis: g, chain: g.ChainID(), ledger: ledger.New(g)}}
	n.epochs = newEpochs(n.Node, own)
	db, err := state.OpenDB(t.TempDir(), state.DBOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	n.state, err = state.Open(db, state.Options{Chain: n.chain[:]})
	require.NoError(t, err)
	changes, err := n.ledger.GenesisChanges()
	require.NoError(t, err)
	_, err = n.state.Commit(0, changes, nil)
	require.NoError(t, err)
	n.lastBlock.Store(&lastBlock{})
	return n
}

func freshKeys(t *testing.T) Keys {
	t.Helper()
	vote, err := bls.Generate(rand.Reader)
	require.NoError(t, err)
	identity, _, err := crypto.GenerateEd25519Key(rand.Reader)
	require.NoError(t, err)
	return Keys{Identity: identity, Vote: vote}
}

func operator(i int) types.Address { return types.AddressOf([]byte{byte(i)}) }

// execute runs empty blocks up to a height, the first of them with faults.
func execute(t *testing.T, n backend, to types.Height, faults ...ledger.Fault) {
	t.Helper()
	for h := types.Height(n.state.Version()) + 1; h <= to; h++ {
		done, err := n.ledger.Execute(ledger.Block{Height: h, Epoch: n.genesis.Params.EpochOf(h), Faults: faults}, n.state)
		require.NoError(t, err)
		_, err = n.state.Commit(uint64(h), done.Changes, nil)
		require.NoError(t, err)
		n.lastBlock.Store(&lastBlock{height: h})
		faults = nil
	}
}

func TestStakesAreThoseOfTheExecutedState(t *testing.T) {
	b := newExecuted(t, 10)
	execute(t, b, 12, ledger.Fault{Offence: types.DoubleVote, Culprit: 2})
	stakes, err := b.Stakes(t.Context())
	require.NoError(t, err)
	require.Len(t, stakes, 4)
	for _, s := range stakes {
		one, err := b.Stake(t.Context(), s.Operator)
		require.NoError(t, err)
		require.Equal(t, s, one)
		require.Equal(t, s.Operator == operator(2), s.Stake.Jailed)
	}
	culprit, err := b.Stake(t.Context(), operator(2))
	require.NoError(t, err)
	require.Equal(t, 1900*types.DropsPerCoin, culprit.Stake.Bond, "5% are gone")

	_, err = b.Stake(t.Context(), operator(9))
	require.ErrorIs(t, err, api.ErrNotFound)
	require.ErrorContains(t, err, "never bonded")
}

func TestEpochFollowsTheExecutedBlocks(t *testing.T) {
	b := newExecuted(t, 10)
	execute(t, b, 9)
	e, err := b.Epoch(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 0, e.Epoch)
	require.EqualValues(t, 9, e.Height)
	require.NotNil(t, e.Sets[1], "the genesis decides two epochs")
	require.Nil(t, e.Sets[2], "made with the epoch's last block")

	execute(t, b, 10)
	e, err = b.Epoch(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, e.Epoch, "the next block's")
	require.Equal(t, 4, e.Sets[1].Len())
	require.Nil(t, e.Sets[2])
}

func TestJailShowsAmongTheMembersOfTheSet(t *testing.T) {
	b := newExecuted(t, 10)
	execute(t, b, 1, ledger.Fault{Offence: types.DoubleProposal, Culprit: 1})
	set := b.epochs.present().Set()
	var members []api.Validator
	for i := range set.All() {
		members = append(members, api.NewValidator(set, i))
	}
	b.jail(members)
	for i, m := range members {
		require.Equal(t, i == 1, m.Jailed)
	}
	require.EqualValues(t, 2, members[1].JailedUntil)
}

func TestNetworkWithoutStakingHasOneEndlessEpoch(t *testing.T) {
	b := newExecuted(t, 0)
	execute(t, b, 30)
	e, err := b.Epoch(t.Context())
	require.NoError(t, err)
	require.Zero(t, e.Epoch)
	require.Equal(t, 4, e.Sets[0].Len())
	require.Nil(t, e.Sets[1])
	stakes, err := b.Stakes(t.Context())
	require.NoError(t, err)
	require.Empty(t, stakes)
	_, err = b.Stake(t.Context(), operator(0))
	require.ErrorIs(t, err, api.ErrNotFound)
	require.ErrorContains(t, err, "never change")
}
