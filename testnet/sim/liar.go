package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
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

	blocks map[hash.Hash]*types.Block                    // all ever proposed, on any branch
	box    map[hash.Hash]map[types.ValidatorIndex][]byte // votes by block
	gaveUp map[types.View]map[types.ValidatorIndex]types.Timeout
}

func newLiar(r *replica) *liar {
	genesis := r.executed[0]
	return &liar{
		replica: r, qcs: []types.QC{genesis.cert},
		blocks: map[hash.Hash]*types.Block{genesis.block.Hash(): genesis.block},
		box:    map[hash.Hash]map[types.ValidatorIndex][]byte{},
		gaveUp: map[types.View]map[types.ValidatorIndex]types.Timeout{},
	}
}

// memory is how many events, and how many certificates, a liar remembers.
const memory = 48

// domain is what the liar's signatures of its epoch cover.
func (l *liar) domain() hash.Hash { return types.EpochDomain(l.w.chain, l.core.Epoch()) }

// seated reports whether the liar is a validator of its epoch.
func (l *liar) seated() bool { return slices.Contains(l.w.members(l.core.Epoch()), l.seat) }

func (l *liar) has(t Tricks) bool { return l.w.Tricks.Has(t) }

// chance is true once in n.
func (l *liar) chance(n int) bool { return l.w.rand.IntN(n) == 0 }

// hear remembers what came in, and votes for it again.
func (l *liar) hear(ev hotstuff.Event) {
	if !l.seated() {
		return
	}
	switch e := ev.(type) {
	case hotstuff.Proposal:
		if e.Block.Epoch != l.core.Epoch() {
			return
		}
		l.see(e.Block)
		if l.has(DoubleVote) {
			l.voteFor(e.Block)
		}
	case hotstuff.TimeoutIn:
		l.learn(e.Timeout.High, e.Timeout.Last)
		if e.Timeout.Vote != nil {
			l.collect(*e.Timeout.Vote)
		}
		l.collectTimeout(e.Timeout)
		if l.has(Tamper) && l.chance(8) {
			l.tamper(e.Timeout)
		}
	case hotstuff.VoteIn:
		l.collect(e.Vote)
		return // votes of others cannot be sent as if they were the sender's
	default:
		return
	}
	l.remember(ev)
}

func (l *liar) see(b *types.Block) {
	l.learn(b.Justify, b.Timeouts)
	l.blocks[b.Hash()] = b
}

// collect makes certificates of votes on whatever branch.
func (l *liar) collect(v types.Vote) {
	voters := l.box[v.Block]
	if voters == nil {
		voters = map[types.ValidatorIndex][]byte{}
		l.box[v.Block] = voters
	}
	voters[v.Voter] = v.Signature
	signers := bls.NewBitmap(l.w.size())
	var sigs [][]byte
	for i := range l.w.size() {
		if sig, ok := voters[types.ValidatorIndex(i)]; ok {
			signers.Set(i)
			sigs = append(sigs, sig)
		}
	}
	if l.w.quorum(signers) {
		l.learn(types.QC{View: v.View, Block: v.Block, Signers: signers, Signature: l.merge(sigs)}, nil)
	}
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
	known := slices.ContainsFunc(l.qcs, func(k types.QC) bool { return k.Block == qc.Block })
	if n := len(l.qcs); !known && l.w.validQC(l.core.Epoch(), qc) {
		l.qcs = append(l.qcs[max(0, n-memory+1):], qc)
		slices.SortStableFunc(l.qcs, func(a, b types.QC) int { return cmp.Compare(a.View, b.View) })
	}
	if n := len(l.tcs); tc != nil && (n == 0 || tc.View > l.tcs[n-1].View) {
		l.tcs = append(l.tcs[max(0, n-memory+1):], tc)
	}
}

// enter is the beginning of a view: mischief follows while it lasts.
func (l *liar) enter(v types.View) {
	if !l.seated() {
		return
	}
	if l.has(Branch) && l.w.leaders.Leader(v) == l.self {
		l.w.at(l.w.now+time.Millisecond, func() { l.branch(v) })
	}
	for _, act := range []struct {
		trick Tricks
		do    func(types.View)
	}{{Replay, l.replay}, {Forge, l.forge}, {Usurp, l.usurp}, {Backdate, l.backdate}} {
		if l.has(act.trick) && l.chance(2) {
			wait := time.Duration(l.w.rand.Int64N(int64(l.w.ViewTimeout)))
			l.w.at(l.w.now+wait, func() {
				if l.core != nil && l.seated() {
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
	l.see(b)
	if l.has(Branch) && (l.moves(b.View) != nil || l.chance(2)) {
		return // it proposes something else
	}
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
// view gives the excuse, else beside b; at times from the future.
func (l *liar) second(b *types.Block) *types.Block {
	h := b.BlockHeader
	h.Time++
	if l.chance(4) {
		h.Time += 2 * maxDrift.Milliseconds()
	}
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
	v := types.Vote{Epoch: b.Epoch, View: b.View, Block: b.Hash(), Voter: l.self}
	v.Signature = l.sign(l.self, types.VoteMessage(l.domain(), v.View, v.Block))
	l.collect(v)
	next := l.w.leaders.Leader(b.View + 1)
	l.w.toValidator(l.replica, b.Epoch, next, hotstuff.VoteIn{Vote: v})
	if next == l.self {
		l.w.at(l.w.now, func() { l.step(hotstuff.VoteIn{Vote: v}) })
	}
}

func (l *liar) sign(as types.ValidatorIndex, message hash.Hash) []byte {
	return consensustest.Scheme{Self: as}.Sign(message)
}

// votes reports whether a vote of the core's is sent.
func (l *liar) votes(e hotstuff.SendVote) bool {
	l.collect(e.Vote)
	l.remember(hotstuff.VoteIn{Vote: e.Vote})
	return !l.has(Withhold) || !l.chance(3)
}

// timeout is what is sent as the core's timeout: without what the liar would
// rather have forgotten, its vote and its certificates.
func (l *liar) timeout(e hotstuff.BroadcastTimeout) hotstuff.BroadcastTimeout {
	if l.has(Branch) {
		t := types.Timeout{Epoch: e.Timeout.Epoch, View: e.Timeout.View, Voter: l.self, High: types.GenesisQC(l.w.chain)}
		t.Signature = l.sign(l.self, types.TimeoutMessage(l.domain(), t.View, 0))
		l.collectTimeout(t)
		return hotstuff.BroadcastTimeout{Timeout: t}
	}
	if l.has(Withhold) && l.chance(2) {
		e.Timeout.Vote = nil
	}
	return e
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
	l.proposeOn(v, qc, l.lastTC(v), everybody)
}
