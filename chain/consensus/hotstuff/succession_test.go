package hotstuff

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

var nextSet = hash.Sum("next set")

// ending is a bench whose epoch ends with height 2, with the blocks up to there and the
// proof that it did.
type endingBench struct {
	*bench
	first, last *types.Block
	handover    types.Handover
}

func newEnding(t *testing.T) *endingBench {
	b := newBench(t, TwoPhase{})
	b.cfg.Last = 2
	b.restart()
	b.step(NextSet{nextSet})
	e := &endingBench{bench: b, first: b.block(1, b.genesis, "1")}
	e.last = b.named(2, e.first)
	pad := b.named(3, e.last)
	signed, err := pad.Signed()
	require.NoError(t, err)
	e.handover = types.Handover{Headers: []canon.Raw{signed.Header}, Cert: b.qc(pad)}
	return e
}

// named is an empty block at the end of the epoch, which names the next set.
func (b *bench) named(view types.View, parent *types.Block) *types.Block {
	h := types.BlockHeader{
		Chain: testChain, Height: parent.Height + 1, View: view, Proposer: b.cfg.Schedule.Leader(view), Time: parent.Time + 1,
		Justify: b.qc(parent), NextSet: nextSet,
	}
	block, err := types.NewBlock(h, nil, consensustest.Scheme{Self: h.Proposer}.SignBlock)
	require.NoError(b, err)
	return block
}

// timeout is what a validator says of a view.
func timeout(e types.Epoch, view types.View, voter types.ValidatorIndex, high types.QC) types.Timeout {
	message := types.TimeoutMessage(types.EpochDomain(testChain, e), view, high.View)
	return types.Timeout{Epoch: e, View: view, Voter: voter, High: high, Signature: consensustest.Scheme{Self: voter}.Sign(message)}
}

func spoilt(qc types.QC) types.QC {
	qc.Signature = append([]byte{}, qc.Signature...)
	qc.Signature[0] ^= 1
	return qc
}

func TestShownProofEndsTheEpoch(t *testing.T) {
	e := newEnding(t)
	e.step(Proposal{e.first})
	e.step(Proposal{e.last})
	effects := e.step(EndingIn{types.Ending{Last: e.last.Hash(), Handover: e.handover}})
	require.Equal(t, []*types.Block{e.first, e.last}, decided(effects))
	require.True(t, has[EpochEnded](effects))
}

func TestBadProofEndsNothing(t *testing.T) {
	for name, spoil := range map[string]func(*types.Ending){
		"spoilt certificate": func(s *types.Ending) { s.Handover.Cert = spoilt(s.Handover.Cert) },
		"no headers":         func(s *types.Ending) { s.Handover.Headers = nil },
		"another block":      func(s *types.Ending) { s.Last = hash.Sum("another") },
		"another epoch":      func(s *types.Ending) { s.Epoch = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnding(t)
			e.step(Proposal{e.first})
			e.step(Proposal{e.last})
			shown := types.Ending{Last: e.last.Hash(), Handover: e.handover}
			spoil(&shown)
			require.Empty(t, decided(e.step(EndingIn{shown})))
		})
	}
}

func TestLastBlockIsKeptWithTheCertificateThatAQuorumChecked(t *testing.T) {
	e := newEnding(t)
	e.step(Proposal{e.first})
	e.step(Proposal{e.last})
	told := timeout(1, 9, 1, spoilt(e.qc(e.last)))
	told.Handover = &e.handover
	for _, effect := range e.step(TimeoutIn{told}) {
		if d, ok := effect.(Decided); ok {
			authority := consensus.Authority{Chain: testChain, Validators: e.cfg.Validators, Scheme: e.cfg.Scheme}
			require.NoError(t, authority.CheckQC(d.Cert), "block %d", d.Block.Height)
		}
	}
	require.True(t, has[EpochEnded](e.bench.last))
}

func TestProofInTheLogEndsAnEpochWhoseBlocksWereLost(t *testing.T) {
	e := newEnding(t)
	e.step(Proposal{e.first})
	e.step(Proposal{e.last})
	e.step(EndingIn{types.Ending{Last: e.last.Hash(), Handover: e.handover}})
	e.restart() // what was decided had not been executed
	e.step(Blocks{Blocks: []*types.Block{e.first, e.last}})
	require.True(t, e.core.ended)
}

func TestWhoIsStillInTheEpochBeforeIsShownItsEndNowAndThen(t *testing.T) {
	e := newEnding(t)
	prior := &consensus.Authority{Chain: testChain, Validators: e.cfg.Validators, Scheme: e.cfg.Scheme}
	cfg := e.cfg
	cfg.Epoch, cfg.Last, cfg.Prior, cfg.Handover, cfg.Self = 1, 4, prior, &e.handover, nil
	core, err := New(cfg, Restored{Root: e.last, Cert: e.qc(e.last)})
	require.NoError(t, err)
	now := testStart
	core.Step(now, Start{})
	late := TimeoutIn{timeout(0, 5, 1, e.qc(e.last))}
	now = now.Add(cfg.ViewTimeout)
	effects := core.Step(now, late)
	require.True(t, has[ShowEnding](effects))
	require.False(t, has[ShowEnding](core.Step(now, late)), "but not again and again")
	require.True(t, has[ShowEnding](core.Step(now.Add(cfg.ViewTimeout), late)))
}

func TestVoteBesideATimeoutIsTheVotersOwnOrIsNotTaken(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b1 := b.block(1, b.genesis, "1")
	b.step(Proposal{b1})
	forged := vote(b1, 1)
	forged.Signature = []byte("forged!!")
	told := timeout(0, 1, 1, types.GenesisQC(testChain))
	told.Vote = &forged
	b.step(TimeoutIn{told})
	require.Empty(t, b.core.votes[1][b1.Hash()], "whoever passed the timeout on may have put it there")
	honest := vote(b1, 1)
	told.Vote = &honest
	b.step(TimeoutIn{told})
	require.Len(t, b.core.votes[1][b1.Hash()], 1)
}

func TestTimeoutWithASpoiltCertificateIsNotTakenHoweverOldItIs(t *testing.T) {
	eachRule(t, func(t *testing.T, rule Rule) {
		b := newBench(t, rule)
		parent := b.genesis
		for v := types.View(1); v <= 4; v++ {
			parent = b.block(v, parent, "x")
			b.step(Proposal{parent})
		}
		root := b.core.Root()
		require.Positive(t, root.View)
		b.step(TimeoutIn{timeout(0, 5, 1, spoilt(b.qc(root)))})
		require.Empty(t, b.core.timeouts, "a certificate made of it would be this replica's lie")
		b.step(TimeoutIn{timeout(0, 5, 1, b.qc(root))})
		require.Len(t, b.core.timeouts, 1)
	})
}
