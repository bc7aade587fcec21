package hotstuff

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

var (
	testChain  = hash.Sum("test")
	testDomain = types.EpochDomain(testChain, 0)
	testStart  = time.UnixMilli(1_000_000)
)

// bench is one replica on a test bench: validator 0 of four, whose leaders take
// turns: view v is led by validator v%4.
type bench struct {
	*testing.T
	core    *Core
	cfg     Config
	genesis *types.Block
	records []Record
	last    []Effect
}

func newBench(t *testing.T, rule Rule) *bench {
	set, err := types.NewValidatorSet([]types.Validator{{Power: 1}, {Power: 1}, {Power: 1}, {Power: 1}})
	require.NoError(t, err)
	self := types.ValidatorIndex(0)
	b := &bench{T: t, genesis: types.GenesisBlock(testChain, testStart.UnixMilli()), cfg: Config{
		Chain: testChain, Validators: set, Schedule: NewRoundRobin(set), Rule: rule, Scheme: consensustest.Scheme{}, Self: &self,
		ViewTimeout: time.Second, MaxViewTimeout: 10 * time.Second, MaxDrift: time.Minute,
	}}
	b.restart()
	return b
}

func (b *bench) restart() {
	var err error
	b.core, err = New(b.cfg, Restored{Root: b.genesis, Cert: types.GenesisQC(testChain), Records: b.records})
	require.NoError(b, err)
	b.step(Start{})
}

func (b *bench) step(ev Event) []Effect {
	b.last = append([]Effect{}, b.core.Step(testStart.Add(time.Second), ev)...)
	for _, e := range b.last {
		if p, ok := e.(Persist); ok {
			b.records = append(b.records, p.Record)
		}
	}
	return b.last
}

func signers(who ...int) bls.Bitmap {
	m := bls.NewBitmap(4)
	for _, i := range who {
		m.Set(i)
	}
	return m
}

func (b *bench) qc(block *types.Block) types.QC {
	return b.signedQC(block, 1, 2, 3)
}

func (b *bench) signedQC(block *types.Block, who ...int) types.QC {
	if block.View == 0 {
		return types.GenesisQC(testChain)
	}
	message := types.VoteMessage(testDomain, block.View, block.Hash())
	var sigs [][]byte
	for _, i := range who {
		sigs = append(sigs, consensustest.Scheme{Self: types.ValidatorIndex(i)}.Sign(message))
	}
	agg, err := consensustest.Scheme{}.Merge(sigs)
	require.NoError(b, err)
	return types.QC{View: block.View, Block: block.Hash(), Signers: signers(who...), Signature: agg}
}

// tc is a timeout certificate by validators 1, 2, 3 who had all seen high.
func (b *bench) tc(view types.View, high types.QC) *types.TC {
	message := types.TimeoutMessage(testDomain, view, high.View)
	var sigs [][]byte
	for i := 1; i <= 3; i++ {
		sigs = append(sigs, consensustest.Scheme{Self: types.ValidatorIndex(i)}.Sign(message))
	}
	agg, _ := consensustest.Scheme{}.Merge(sigs)
	return &types.TC{View: view, Groups: []types.TCGroup{{High: high.View, Signers: signers(1, 2, 3)}}, Signature: agg, High: high}
}

// block makes the proposal of a view on a parent, with the TC that it needs.
func (b *bench) block(view types.View, parent *types.Block, tag string) *types.Block {
	h := types.BlockHeader{
		Chain: testChain, Height: parent.Height + 1, View: view, Proposer: b.cfg.Schedule.Leader(view),
		Time: parent.Time + 1, Justify: b.qc(parent),
	}
	if parent.View+1 != view {
		h.Timeouts = b.tc(view-1, h.Justify)
	}
	block, err := types.NewBlock(h, [][]byte{[]byte(tag)}, consensustest.Scheme{Self: h.Proposer}.SignBlock)
	require.NoError(b, err)
	return block
}

func votes(effects []Effect) (out []types.Vote) {
	for _, e := range effects {
		if v, ok := e.(SendVote); ok {
			out = append(out, v.Vote)
		}
	}
	return out
}

func decided(effects []Effect) (out []*types.Block) {
	for _, e := range effects {
		if d, ok := e.(Decided); ok {
			out = append(out, d.Block)
		}
	}
	return out
}

func has[T Effect](effects []Effect) bool {
	for _, e := range effects {
		if _, ok := e.(T); ok {
			return true
		}
	}
	return false
}

func eachRule(t *testing.T, f func(t *testing.T, rule Rule)) {
	for _, rule := range []Rule{ThreePhase{}, TwoPhase{}} {
		t.Run(rule.Name(), func(t *testing.T) { f(t, rule) })
	}
}

func TestReplicaVotesOnceInAView(t *testing.T) {
	eachRule(t, func(t *testing.T, rule Rule) {
		b := newBench(t, rule)
		require.Len(t, votes(b.step(Proposal{b.block(1, b.genesis, "a")})), 1)
		require.Empty(t, votes(b.step(Proposal{b.block(1, b.genesis, "b")})))
	})
}

func TestRestartedReplicaKeepsItsPromises(t *testing.T) {
	eachRule(t, func(t *testing.T, rule Rule) {
		b := newBench(t, rule)
		b.step(Proposal{b.block(1, b.genesis, "a")})
		b.restart()
		require.Empty(t, votes(b.step(Proposal{b.block(1, b.genesis, "b")})), "after a vote")
		b.step(TimerFired{View: b.core.View()})
		view := b.core.View()
		b.restart()
		require.Equal(t, view, b.core.View())
		require.Empty(t, votes(b.step(Proposal{b.block(view, b.genesis, "c")})), "after a timeout")
	})
}

func TestReplicaThatGaveUpAViewDoesNotVoteInIt(t *testing.T) {
	eachRule(t, func(t *testing.T, rule Rule) {
		b := newBench(t, rule)
		require.True(t, has[BroadcastTimeout](b.step(TimerFired{View: 1})))
		require.Empty(t, votes(b.step(Proposal{b.block(1, b.genesis, "a")})))
	})
}

func TestPromisesAreWrittenDownBeforeTheyAreShown(t *testing.T) {
	b := newBench(t, ThreePhase{})
	for _, effects := range [][]Effect{
		b.step(Proposal{b.block(1, b.genesis, "a")}),
		b.step(TimerFired{View: 1}),
	} {
		written := false
		for _, e := range effects {
			switch e.(type) {
			case Persist:
				written = true
			case SendVote, BroadcastTimeout, Broadcast:
				require.True(t, written, "%T", e)
			}
		}
		require.True(t, written)
	}
}

func TestThreeConsecutiveViewsDecide(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b1 := b.block(1, b.genesis, "1")
	b2 := b.block(2, b1, "2")
	b3 := b.block(3, b2, "3")
	b5 := b.block(5, b3, "5")
	for _, block := range []*types.Block{b1, b2, b3} {
		require.Empty(t, decided(b.step(Proposal{block})))
	}
	effects := b.step(Proposal{b5})
	require.Equal(t, []*types.Block{b1}, decided(effects), "b5 brings the third certificate")
	for _, e := range effects {
		if d, ok := e.(Decided); ok {
			require.Equal(t, b2.Justify, d.Cert)
			require.False(t, d.Passage.Prepare.IsZero() || d.Passage.Precommit.IsZero() || d.Passage.Commit.IsZero() || d.Passage.Decide.IsZero())
		}
	}
	b6 := b.block(6, b5, "6")
	b7 := b.block(7, b6, "7")
	require.Empty(t, decided(b.step(Proposal{b6})), "views 2 3 5 are not consecutive")
	require.Empty(t, decided(b.step(Proposal{b7})), "views 3 5 6 are not consecutive")
	require.Equal(t, []*types.Block{b2, b3, b5}, decided(b.step(Proposal{b.block(8, b7, "8")})))
}

func TestTwoConsecutiveViewsDecideByTheTwoPhaseRule(t *testing.T) {
	b := newBench(t, TwoPhase{})
	b1 := b.block(1, b.genesis, "1")
	b2 := b.block(2, b1, "2")
	b4 := b.block(4, b2, "4")
	require.Empty(t, decided(b.step(Proposal{b1})))
	require.Empty(t, decided(b.step(Proposal{b2})))
	require.Equal(t, []*types.Block{b1}, decided(b.step(Proposal{b4})))
	require.Empty(t, decided(b.step(Proposal{b.block(5, b4, "5")})), "views 2 4 are not consecutive")
}

func TestLockedReplicaRefusesConflictingProposal(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b1 := b.block(1, b.genesis, "1")
	b2 := b.block(2, b1, "2")
	b3 := b.block(3, b2, "3") // its certificate for b2 locks b1's child: b1 is justified by view 1
	for _, block := range []*types.Block{b1, b2, b3} {
		b.step(Proposal{block})
	}
	low := b.block(5, b.genesis, "conflict")
	require.Empty(t, votes(b.step(Proposal{low})), "justified below the lock")
	high := b.block(6, b2, "extends the lock")
	require.Len(t, votes(b.step(Proposal{high})), 1)
}

func TestTwoPhaseProposalMustExtendTheHighestCertificateOfTheTimeout(t *testing.T) {
	b := newBench(t, TwoPhase{})
	b1 := b.block(1, b.genesis, "1")
	b.step(Proposal{b1})
	h := b.block(3, b.genesis, "hides view 1").BlockHeader
	h.Timeouts = b.tc(2, b.qc(b1))
	hiding, err := types.NewBlock(h, nil, consensustest.Scheme{}.SignBlock)
	require.NoError(t, err)
	require.Empty(t, votes(b.step(Proposal{hiding})))
	require.Equal(t, types.View(3), b.core.View(), "its timeout certificate counts all the same")
	honest := b.block(3, b1, "honest")
	b.step(Proposal{honest})
	require.Equal(t, honest.Hash(), b.records[len(b.records)-1].Vote.Block)
}

func TestBadCertificatesAreBlamed(t *testing.T) {
	spoil := map[string]func(b *bench, h *types.BlockHeader){
		"signature":        func(_ *bench, h *types.BlockHeader) { h.Justify.Signature = []byte("forged!!") },
		"too few signers":  func(b *bench, h *types.BlockHeader) { h.Justify = b.signedQC(b.blockOf(h), 1, 2) },
		"signer claimed":   func(_ *bench, h *types.BlockHeader) { h.Justify.Signers = signers(0, 1, 2) },
		"long bitmap":      func(_ *bench, h *types.BlockHeader) { h.Justify.Signers = append(h.Justify.Signers, 0) },
		"stray bits":       func(_ *bench, h *types.BlockHeader) { h.Justify.Signers = bls.Bitmap{0xfe} },
		"not the leader":   func(_ *bench, h *types.BlockHeader) { h.Proposer++ },
		"foreign chain":    func(_ *bench, h *types.BlockHeader) { h.Chain[0]++ },
		"view skipped":     func(_ *bench, h *types.BlockHeader) { h.View++; h.Proposer++ },
		"needless timeout": func(b *bench, h *types.BlockHeader) { h.Timeouts = b.tc(1, types.GenesisQC(testChain)) },
		"no genesis":       func(_ *bench, h *types.BlockHeader) { h.Justify = types.QC{Block: hash.Sum("x")} },
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, ThreePhase{})
			b1 := b.block(1, b.genesis, "1")
			b.step(Proposal{b1})
			h := b.block(2, b1, "2").BlockHeader
			f(b, &h)
			bad, err := types.NewBlock(h, nil, consensustest.Scheme{}.SignBlock)
			require.NoError(t, err)
			effects := b.step(Proposal{bad})
			require.True(t, has[Blame](effects))
			require.Empty(t, votes(effects))
		})
	}
}

// blockOf finds the block that a header's certificate is for.
func (b *bench) blockOf(h *types.BlockHeader) *types.Block {
	block, ok := b.core.Block(h.Justify.Block)
	require.True(b, ok)
	return block
}

// lead brings the bench to the point where it leads view 4 and collects votes
// for the block of view 3.
func (b *bench) lead() (third *types.Block) {
	parent := b.genesis
	for view := types.View(1); view <= 3; view++ {
		parent = b.block(view, parent, "x")
		b.step(Proposal{parent})
	}
	return parent
}

func vote(block *types.Block, voter types.ValidatorIndex) types.Vote {
	sig := consensustest.Scheme{Self: voter}.Sign(types.VoteMessage(testDomain, block.View, block.Hash()))
	return types.Vote{View: block.View, Block: block.Hash(), Voter: voter, Signature: sig}
}

func TestForgedVotesDoNotPreventACertificate(t *testing.T) {
	b := newBench(t, ThreePhase{})
	third := b.lead() // its own vote is counted already
	forged := vote(third, 2)
	forged.Signature = []byte("forged!!")
	require.False(t, has[BuildPayload](b.step(VoteIn{forged})))
	effects := b.step(VoteIn{vote(third, 1)})
	require.True(t, has[Blame](effects), "the culprit is found")
	require.False(t, has[BuildPayload](effects))
	require.True(t, has[BuildPayload](b.step(VoteIn{vote(third, 2)})), "the genuine vote still counts")
}

func TestForgedVoteInAnothersNameDoesNotTakeItsPlace(t *testing.T) {
	b := newBench(t, ThreePhase{})
	third := b.lead()
	b.step(VoteIn{vote(third, 1)})
	effects := b.step(VoteIn{vote(third, 2)})
	require.True(t, has[BuildPayload](effects))
}

func TestDuplicateVotesCountOnce(t *testing.T) {
	b := newBench(t, ThreePhase{})
	third := b.lead()
	for range 5 {
		require.False(t, has[BuildPayload](b.step(VoteIn{vote(third, 1)})))
	}
}

func TestLeaderProposesOnceAndVotesForItself(t *testing.T) {
	b := newBench(t, ThreePhase{})
	third := b.lead()
	b.step(VoteIn{vote(third, 1)})
	b.step(VoteIn{vote(third, 2)})
	effects := b.step(Payload{View: 4, Parent: third.Hash(), Content: types.Payload{Txs: [][]byte{{1}}}})
	require.True(t, has[Broadcast](effects))
	require.Len(t, votes(effects), 1)
	require.False(t, has[Broadcast](b.step(Payload{View: 4, Parent: third.Hash()})))
	b.restart()
	require.False(t, has[Broadcast](b.step(Payload{View: 4, Parent: third.Hash()})), "nor after a restart")
}

func TestTimeoutsCarryTheVotesThatACrashedLeaderWouldHaveCollected(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b1 := b.block(1, b.genesis, "1") // its votes go to validator 2, who is down
	b.step(Proposal{b1})
	b.step(TimerFired{View: 1})
	for voter := types.ValidatorIndex(1); voter <= 3; voter += 2 {
		v := vote(b1, voter)
		high := types.GenesisQC(testChain)
		sig := consensustest.Scheme{Self: voter}.Sign(types.TimeoutMessage(testDomain, 1, 0))
		b.step(TimeoutIn{types.Timeout{View: 1, Voter: voter, Signature: sig, High: high, Vote: &v}})
	}
	require.Equal(t, types.View(1), b.core.High().View)
	require.Equal(t, types.View(2), b.core.View())
}

func TestMissingAncestorsAreFetchedAndThenVotedOn(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b1 := b.block(1, b.genesis, "1")
	b2 := b.block(2, b1, "2")
	b3 := b.block(3, b2, "3")
	effects := b.step(Proposal{b3})
	require.Contains(t, effects, Fetch{Block: b2.Hash(), Above: 0, Holders: signers(1, 2, 3)})
	require.Len(t, votes(b.step(Blocks{Blocks: []*types.Block{b1, b2}})), 0, "its next leader is the replica itself")
	require.Equal(t, b3.Hash(), b.records[len(b.records)-1].Vote.Block)
}

func TestServedRubbishIsBlamedOnWhoServedIt(t *testing.T) {
	b := newBench(t, ThreePhase{})
	h := b.block(2, b.block(1, b.genesis, "1"), "2").BlockHeader
	b.step(Proposal{b.block(1, b.genesis, "1")})
	h.Justify.Signature = []byte("forged!!")
	bad, err := types.NewBlock(h, nil, consensustest.Scheme{}.SignBlock)
	require.NoError(t, err)
	effects := b.step(Blocks{From: "mallory", Blocks: []*types.Block{bad}})
	require.Len(t, effects, 1)
	require.Equal(t, "mallory", effects[0].(Blame).From)
}

func TestFutureBlocksGetNoVote(t *testing.T) {
	b := newBench(t, ThreePhase{})
	h := b.block(1, b.genesis, "1").BlockHeader
	h.Time = testStart.Add(b.cfg.MaxDrift + time.Hour).UnixMilli()
	block, err := types.NewBlock(h, nil, consensustest.Scheme{}.SignBlock)
	require.NoError(t, err)
	require.Empty(t, votes(b.step(Proposal{block})))
}

func TestTurnsAreSharedByPower(t *testing.T) {
	set, err := types.NewValidatorSet([]types.Validator{{Power: 300}, {Power: 100}, {Power: 200}})
	require.NoError(t, err)
	r := NewRoundRobin(set)
	turns := map[types.ValidatorIndex]int{}
	for v := range types.View(600) {
		turns[r.Leader(v)]++
	}
	require.Equal(t, map[types.ValidatorIndex]int{0: 300, 1: 100, 2: 200}, turns)
}

func TestRecordsSurviveTheirEncoding(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b.lead()
	b.step(TimerFired{View: b.core.View()})
	require.Len(t, b.records, 4)
	for _, r := range b.records {
		data, err := r.Encode()
		require.NoError(t, err)
		again, err := DecodeRecord(data)
		require.NoError(t, err)
		twice, err := again.Encode()
		require.NoError(t, err)
		require.Equal(t, data, twice)
		require.Equal(t, r.View(), again.View())
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range []Record{
		{Timeout: &types.Timeout{View: 3, Signature: []byte{1}, High: types.GenesisQC(testChain)}, Locked: types.GenesisQC(testChain), High: types.GenesisQC(testChain)},
	} {
		data, _ := r.Encode()
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}
