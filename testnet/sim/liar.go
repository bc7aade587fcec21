package sim

import (
	"time"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// credulous is a rule that votes for anything: a liar's, and the proof that the
// checks of this package bite when everyone has it.
type credulous struct{ hotstuff.Rule }

// Safe implements [hotstuff.Rule] wrongly.
func (credulous) Safe(*types.Block, types.QC) bool { return true }

// liar is what a lying replica does beside running a core. Liars hear what their
// replica hears, and share their keys.
type liar struct {
	*replica
	heard []hotstuff.Event // the latest, a ring
	next  int
	qcs   []types.QC // genuine ones of the past, oldest first
	tcs   []*types.TC
}

// memory is how many events, and how many certificates, a liar remembers.
const memory = 48

func (l *liar) has(t Tricks) bool { return l.w.Tricks.Has(t) }

// chance is true once in n.
func (l *liar) chance(n int) bool { return l.w.rand.IntN(n) == 0 }

// hear remembers what came in, and votes for it again.
func (l *liar) hear(ev hotstuff.Event) {
	switch e := ev.(type) {
	case hotstuff.Proposal:
		l.learn(e.Block.Justify, e.Block.Timeouts)
		if l.has(DoubleVote) {
			l.voteFor(e.Block)
		}
	case hotstuff.TimeoutIn:
		l.learn(e.Timeout.High, e.Timeout.Last)
		if l.has(Tamper) && l.chance(8) {
			l.tamper(e.Timeout)
		}
	default:
		return // votes of others cannot be sent as if they were the sender's
	}
	l.remember(ev)
}

func (l *liar) remember(ev hotstuff.Event) {
	if len(l.heard) < memory {
		l.heard = append(l.heard, ev)
		return
	}
	l.heard[l.next%memory] = ev
	l.next++
}

func (l *liar) learn(qc types.QC, tc *types.TC) {
	if n := len(l.qcs); qc.View > 0 && (n == 0 || qc.View > l.qcs[n-1].View) {
		l.qcs = append(l.qcs[max(0, n-memory+1):], qc)
	}
	if n := len(l.tcs); tc != nil && (n == 0 || tc.View > l.tcs[n-1].View) {
		l.tcs = append(l.tcs[max(0, n-memory+1):], tc)
	}
}

// enter is the beginning of a view: mischief follows while it lasts.
func (l *liar) enter(v types.View) {
	for _, act := range []struct {
		trick Tricks
		do    func(types.View)
	}{{Replay, l.replay}, {Forge, l.forge}, {Usurp, l.usurp}} {
		if l.has(act.trick) && l.chance(2) {
			wait := time.Duration(l.w.rand.Int64N(int64(l.w.ViewTimeout)))
			l.w.at(l.w.now+wait, func() {
				if l.core != nil {
					act.do(v)
				}
			})
		}
	}
}

// someone draws a replica.
func (l *liar) someone() *replica { return l.w.replicas[l.w.rand.IntN(len(l.w.replicas))] }

// propose broadcasts a proposal. The liar may show half of the others a second
// one, on an older certificate if a timeout certificate lets it, and vote for
// both; or may keep it from some or all.
func (l *liar) propose(b *types.Block) {
	second := b
	if l.has(Equivocate) && l.chance(2) {
		second = l.second(b)
	}
	hide := l.has(Withhold) && l.chance(2)
	if hide && l.chance(2) {
		return
	}
	for _, other := range l.w.replicas {
		shown := b
		if l.chance(2) {
			shown = second
		}
		if !hide || l.chance(2) {
			l.w.send(l.replica, other, hotstuff.Proposal{Block: shown})
		}
	}
	if second != b {
		l.voteFor(second)
	}
}

// second makes a different block for the same view: beside the parent if a lost
// view gives the excuse, else beside b.
func (l *liar) second(b *types.Block) *types.Block {
	h := b.BlockHeader
	h.Time++
	for range l.w.rand.IntN(4) {
		parent, known := l.core.Block(h.Justify.Block)
		if h.Timeouts == nil || !known || parent.Height == 0 {
			break
		}
		h.Justify, h.Height = parent.Justify, parent.Height
	}
	return l.build(h, b.Txs)
}

// build signs a block of the liar's.
func (l *liar) build(h types.BlockHeader, txs [][]byte) *types.Block {
	b, err := types.NewBlock(h, txs, consensustest.Scheme{Self: h.Proposer}.SignBlock)
	if err != nil {
		panic(err) // the stand-in scheme signs everything
	}
	return b
}

// voteFor sends a vote, whatever was voted for before.
func (l *liar) voteFor(b *types.Block) {
	v := types.Vote{View: b.View, Block: b.Hash(), Voter: l.self}
	v.Signature = l.sign(l.self, types.VoteMessage(l.w.domain, v.View, v.Block))
	l.w.toValidator(l.replica, l.w.leaders.Leader(b.View+1), hotstuff.VoteIn{Vote: v})
}

func (l *liar) sign(as types.ValidatorIndex, message hash.Hash) []byte {
	return consensustest.Scheme{Self: as}.Sign(message)
}

// votes reports whether a vote of the core's is sent.
func (l *liar) votes(e hotstuff.SendVote) bool {
	l.remember(hotstuff.VoteIn{Vote: e.Vote})
	return !l.has(Withhold) || !l.chance(3)
}

func (l *liar) replay(types.View) {
	for range 1 + l.w.rand.IntN(3) {
		if len(l.heard) == 0 {
			return
		}
		old := l.heard[l.w.rand.IntN(len(l.heard))]
		if l.chance(2) {
			l.w.toAll(l.replica, old)
		} else {
			l.w.send(l.replica, l.someone(), old)
		}
	}
}

// usurp proposes in a view that somebody else may lead, on the highest certificate
// or on one below.
func (l *liar) usurp(v types.View) {
	qc := l.core.High()
	if len(l.qcs) > 1 && l.chance(2) {
		qc = l.qcs[l.w.rand.IntN(len(l.qcs))]
	}
	l.proposeOn(v, qc, l.lastTC(v))
}

// lastTC finds the timeout certificate that lets view v begin without the one
// before.
func (l *liar) lastTC(v types.View) *types.TC {
	for _, tc := range l.tcs {
		if tc.View+1 == v {
			return tc
		}
	}
	return nil
}

// proposeOn shows everybody a proposal with the given certificates, if the liar
// knows the certified block.
func (l *liar) proposeOn(v types.View, qc types.QC, tc *types.TC) {
	parent, known := l.core.Block(qc.Block)
	if !known || v == 0 {
		return
	}
	if qc.View+1 == v {
		tc = nil
	}
	b := l.build(types.BlockHeader{
		Chain: l.w.chain, Height: parent.Height + 1, View: v, Proposer: l.self,
		Time: max(l.clock().UnixMilli(), parent.Time+1), Justify: qc, Timeouts: tc,
	}, [][]byte{{byte(l.w.rand.IntN(256))}})
	l.w.toAll(l.replica, hotstuff.Proposal{Block: b})
	l.voteFor(b)
}
