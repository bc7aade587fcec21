package hotstuff

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
)

func reputable(t *testing.T) *bench {
	b := newBench(t, ThreePhase{})
	b.cfg.Reputation = true
	b.restart()
	return b
}

// timeout is a validator's timeout in a view, with its vote for a block.
func (b *bench) timeout(view types.View, voter types.ValidatorIndex, high types.QC, voted *types.Block) types.Timeout {
	out := types.Timeout{View: view, Voter: voter, High: high}
	out.Signature = consensustest.Scheme{Self: voter}.Sign(types.TimeoutMessage(testDomain, view, high.View))
	if voted != nil {
		v := vote(voted, voter)
		out.Vote = &v
	}
	return out
}

// Validator 2 is down: it should have collected the votes of view 1 and proposed in
// view 2. The others need one timeout, not two, to go on without it.
func TestSilentCollectorCostsOneTimeout(t *testing.T) {
	b := reputable(t)
	b1 := b.block(1, b.genesis, "1")
	b.step(Proposal{b1})
	b.step(TimerFired{View: 1})
	b.step(TimeoutIn{b.timeout(1, 1, types.GenesisQC(testChain), b1)})
	effects := b.step(TimeoutIn{b.timeout(1, 3, types.GenesisQC(testChain), b1)})
	require.Equal(t, types.View(2), b.core.View())
	require.True(t, b.core.relief())
	require.NotEqual(t, types.ValidatorIndex(2), b.core.Leader())
	var began EnterView
	for _, e := range effects {
		if v, ok := e.(EnterView); ok {
			began = v
		}
	}
	require.True(t, began.TimedOut)
	require.Equal(t, types.ValidatorIndex(2), began.Failed)

	h := b.block(2, b1, "relief").BlockHeader
	h.Timeouts, h.Proposer = b.tc(1, types.GenesisQC(testChain)), b.core.Leader()
	relief, err := types.NewBlock(h, nil, consensustest.Scheme{Self: h.Proposer}.SignBlock)
	require.NoError(t, err)
	if h.Proposer != 0 {
		b.step(Proposal{relief})
		require.Equal(t, relief.Hash(), b.records[len(b.records)-1].Vote.Block)
	}
}

func TestNobodyButTheReliefMayTakeOver(t *testing.T) {
	b := reputable(t)
	b1 := b.block(1, b.genesis, "1")
	b.step(Proposal{b1})
	n := b.core.tree.Get(b1.Hash())
	right := b.core.leader(n, 2, true)
	for proposer := range types.ValidatorIndex(4) {
		h := b.block(2, b1, "2").BlockHeader
		h.Timeouts, h.Proposer = b.tc(1, types.GenesisQC(testChain)), proposer
		block, err := types.NewBlock(h, nil, consensustest.Scheme{Self: proposer}.SignBlock)
		require.NoError(t, err)
		require.Equal(t, proposer != right, has[Blame](b.step(Proposal{block})), "validator %d", proposer)
	}
}

func TestLeaderWhoFailedIsPassedOverUntilItIsHeardOf(t *testing.T) {
	set, err := types.NewValidatorSet([]types.Validator{{Power: 1}, {Power: 1}, {Power: 1}, {Power: 1}})
	require.NoError(t, err)
	block := func(view types.View, proposer types.ValidatorIndex, signers ...int) *types.Block {
		b := &types.Block{}
		b.View, b.Proposer, b.Justify = view, proposer, types.QC{View: view - 1, Signers: signersOf(signers...)}
		return b
	}
	s := Standing{}.after(block(3, 3, 0, 1, 3), []failure{{Leader: 2, View: 2}})
	require.Equal(t, []types.ValidatorIndex{2}, s.excluded(set, 4))
	require.Equal(t, []types.ValidatorIndex{2}, s.excluded(set, 4000), "silent for good: out for good")
	s = s.after(block(4, 0, 0, 1, 3), nil)
	heard := s.after(block(5, 1, 0, 1, 2), nil)
	require.Equal(t, []types.ValidatorIndex{2}, heard.excluded(set, 5), "heard of, but not forgiven at once")
	require.Empty(t, heard.excluded(set, 6))
	again := heard.after(block(8, 3, 0, 1, 3), []failure{{Leader: 2, View: 7}}).after(block(9, 0, 1, 2, 3), nil)
	require.NotEmpty(t, again.excluded(set, 14), "the second time it takes longer")
	require.Empty(t, again.excluded(set, 15))
	require.Empty(t, again.after(block(16, 2, 0, 1, 3), nil).failures, "it led: all is forgotten")
}

func signersOf(who ...int) []byte { return signers(who...) }

func TestNeverSoManyArePassedOverThatNobodyHonestMayBeLeft(t *testing.T) {
	set, err := types.NewValidatorSet([]types.Validator{{Power: 1}, {Power: 1}, {Power: 1}, {Power: 1}})
	require.NoError(t, err)
	b := &types.Block{}
	b.View, b.Proposer = 9, 0
	s := Standing{}.after(b, []failure{{Leader: 1, View: 6}, {Leader: 2, View: 7}, {Leader: 3, View: 8}})
	require.Equal(t, []types.ValidatorIndex{3}, s.excluded(set, 10), "the latest one")
}

func TestStandingSurvivesItsEncoding(t *testing.T) {
	s := Standing{[]failure{{Leader: 1, View: 5, Count: 2}, {Leader: 3, View: 9, Count: 1, Heard: true}}}
	again, err := DecodeStanding(s.Encode())
	require.NoError(t, err)
	require.Equal(t, s, again)
	none, err := DecodeStanding(Standing{}.Encode())
	require.NoError(t, err)
	require.Empty(t, none.failures)
	for _, bad := range [][]byte{{0xf6}, {1}, Standing{[]failure{{Leader: 3, Count: 1}, {Leader: 1, Count: 1}}}.Encode(), Standing{[]failure{{Leader: 3}}}.Encode()} {
		_, err := DecodeStanding(bad)
		require.ErrorIs(t, err, ErrStanding)
	}
}

func TestViewTimeoutFollowsBusyViews(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b.cfg.IdleInterval = 200 * time.Millisecond
	b.restart()
	c := b.core
	require.Equal(t, b.cfg.ViewTimeout, c.base(), "nothing was measured")
	for range 200 {
		c.pace.sample(10 * time.Millisecond)
	}
	fast := c.base()
	require.Equal(t, 400*time.Millisecond, fast, "never below a share of what is configured")
	for range 200 {
		c.pace.sample(400 * time.Millisecond)
	}
	require.Greater(t, c.base(), b.cfg.ViewTimeout, "a slow network gets more time")
	for range 200 {
		c.pace.sample(time.Hour)
	}
	require.Equal(t, b.cfg.MaxViewTimeout, c.base())
}
