package hotstuff

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
)

func proofs(effects []Effect) (out []types.Evidence) {
	for _, e := range effects {
		if b, ok := e.(Blame); ok && b.Evidence != nil {
			out = append(out, *b.Evidence)
		}
	}
	return out
}

// convinces checks a proof as somebody does who knows the validators only.
func (b *bench) convinces(ev types.Evidence, o types.Offence, culprit types.ValidatorIndex, place uint64) {
	authority := consensus.Authority{Chain: testChain, Validators: b.cfg.Validators, Scheme: consensustest.Scheme{}}
	at, err := authority.CheckEvidence(&ev)
	require.NoError(b, err)
	require.Equal(b, place, at)
	require.Equal(b, o, ev.Offence)
	require.Equal(b, culprit, ev.Culprit)
}

func TestTwoProposalsInAViewAreProven(t *testing.T) {
	b := newBench(t, ThreePhase{})
	require.Empty(t, proofs(b.step(Proposal{b.block(1, b.genesis, "a")})))
	require.Empty(t, proofs(b.step(Proposal{b.block(1, b.genesis, "a")})), "a repetition is none")
	found := proofs(b.step(Proposal{b.block(1, b.genesis, "b")}))
	require.Len(t, found, 1)
	b.convinces(found[0], types.DoubleProposal, 1, 1)
}

func TestTwoVotesInAViewAreProven(t *testing.T) {
	b := newBench(t, ThreePhase{})
	third := b.lead()
	other := b.block(3, b.genesis, "other")
	require.Empty(t, proofs(b.step(VoteIn{vote(third, 2)})))
	require.Empty(t, proofs(b.step(VoteIn{vote(third, 2)})))
	found := proofs(b.step(VoteIn{vote(other, 2)}))
	require.Len(t, found, 1)
	b.convinces(found[0], types.DoubleVote, 2, 3)
}

func TestForgedVoteProvesNothing(t *testing.T) {
	b := newBench(t, ThreePhase{})
	third := b.lead()
	forged := vote(b.block(3, b.genesis, "other"), 2)
	forged.Signature = []byte("forged!!")
	require.Empty(t, proofs(b.step(VoteIn{forged})))
	require.Empty(t, proofs(b.step(VoteIn{vote(third, 2)})))
	genuine := vote(b.block(3, b.genesis, "other"), 2)
	require.Len(t, proofs(b.step(VoteIn{genuine})), 1, "the forgery did not hide the genuine one")
}

func TestProposalWithAForgedCertificateIsProven(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b1 := b.block(1, b.genesis, "1")
	b.step(Proposal{b1})
	h := b.block(2, b1, "2").BlockHeader
	h.Justify.Signature = []byte("forged!!")
	bad, err := types.NewBlock(h, nil, consensustest.Scheme{Self: h.Proposer}.SignBlock)
	require.NoError(t, err)
	found := proofs(b.step(Proposal{bad}))
	require.Len(t, found, 1)
	b.convinces(found[0], types.BadCertificate, 2, 2)
}

// Everything that is wrong with evidence must keep it from convincing: an honest
// validator cannot be framed.
func TestEvidenceThatProvesNothingIsRefused(t *testing.T) {
	b := newBench(t, ThreePhase{})
	authority := consensus.Authority{Chain: testChain, Validators: b.cfg.Validators, Scheme: consensustest.Scheme{}}
	one, two, later := vote(b.block(1, b.genesis, "1"), 2), vote(b.block(1, b.genesis, "2"), 2), vote(b.block(2, b.genesis, "3"), 2)
	mk := func(x, y types.Vote) types.Evidence { return consensus.NewEvidence(types.DoubleVote, 0, 2, x, y) }
	good := mk(one, two)
	_, err := authority.CheckEvidence(&good)
	require.NoError(t, err)
	swapped := good
	swapped.First, swapped.Second = good.Second, good.First
	forged := two
	forged.Signature = append([]byte{}, two.Signature...)
	forged.Signature[0]++
	another := two
	another.Voter = 3
	signed, err := b.block(1, b.genesis, "1").Signed()
	require.NoError(t, err)
	for name, ev := range map[string]types.Evidence{
		"same vote twice":      {Offence: types.DoubleVote, Culprit: 2, First: good.First, Second: good.First},
		"different views":      mk(one, later),
		"out of order":         swapped,
		"forged signature":     mk(one, forged),
		"another's vote":       mk(one, another),
		"another culprit":      {Offence: types.DoubleVote, Culprit: 1, First: good.First, Second: good.Second},
		"unknown validator":    {Offence: types.DoubleVote, Culprit: 9, First: good.First, Second: good.Second},
		"another epoch":        {Offence: types.DoubleVote, Epoch: 1, Culprit: 2, First: good.First, Second: good.Second},
		"another offence":      {Offence: types.DoubleProposal, Culprit: 2, First: good.First, Second: good.Second},
		"unknown offence":      {Offence: 77, Culprit: 2, First: good.First, Second: good.Second},
		"one statement":        {Offence: types.DoubleVote, Culprit: 2, First: good.First, Second: []byte{}},
		"null":                 {Offence: types.DoubleVote, Culprit: 2},
		"rubbish":              {Offence: types.DoubleVote, Culprit: 2, First: []byte{1}, Second: []byte{2}},
		"good certificates":    consensus.NewEvidence(types.BadCertificate, 0, 1, signed),
		"too long":             {Offence: types.DoubleVote, Culprit: 2, First: make([]byte, types.MaxEvidenceBytes), Second: []byte{1}},
		"proposal as its twin": {Offence: types.DoubleProposal, Culprit: 1, First: good.First, Second: good.Second},
	} {
		_, err := authority.CheckEvidence(&ev)
		require.ErrorIs(t, err, types.ErrEvidence, name)
	}
}

func FuzzCheckEvidence(f *testing.F) {
	set, err := types.NewValidatorSet([]types.Validator{{Power: 1}, {Power: 1}, {Power: 1}, {Power: 1}})
	require.NoError(f, err)
	authority := consensus.Authority{Chain: testChain, Validators: set, Scheme: consensustest.Scheme{}}
	f.Add(uint8(1), uint16(2), []byte{1}, []byte{2})
	f.Add(uint8(2), uint16(0), []byte{0x82, 0x40, 0x40}, []byte{0x82, 0x40, 0x41, 1})
	f.Add(uint8(3), uint16(0), []byte{0x82, 0x40, 0x40}, []byte{0x82, 0x40, 0x41, 1})
	f.Add(uint8(4), uint16(3), []byte{0x82, 0x40, 0x40}, []byte{})
	f.Fuzz(func(t *testing.T, offence uint8, culprit uint16, first, second []byte) {
		ev := types.Evidence{Offence: types.Offence(offence), Culprit: types.ValidatorIndex(culprit), First: first, Second: second}
		_, err := authority.CheckEvidence(&ev)
		require.Error(t, err, "without a signature nothing is proven")
	})
}
