package sim

import (
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
)

// credulous is a rule that votes for anything: a liar's, and the proof that the
// checks of this package bite when everyone has it.
type credulous struct{ hotstuff.Rule }

// Safe implements [hotstuff.Rule] wrongly.
func (credulous) Safe(*types.Block, types.QC) bool { return true }

// propose broadcasts a proposal. A liar may show half of the others a second
// one, on an older certificate if a timeout certificate lets it, and votes for
// both; or may keep its proposal to itself.
func (r *replica) propose(b *types.Block) {
	epoch := b.Epoch
	if !r.liar {
		r.toOthers(hotstuff.Proposal{Block: b})
		return
	}
	if r.w.rand.IntN(4) == 0 {
		return
	}
	twin := r.twin(b)
	for _, other := range r.w.replicas {
		shown := b
		if r.w.rand.IntN(2) == 0 {
			shown = twin
		}
		if other != r {
			r.w.send(r.id, other.id, hotstuff.Proposal{Block: shown})
		}
	}
	next := r.w.members(epoch)[r.w.leaders.Leader(b.View+1)]
	vote := types.Vote{Epoch: epoch, View: b.View, Block: twin.Hash(), Voter: r.self}
	vote.Signature = consensustest.Scheme{Self: r.self}.Sign(types.VoteMessage(types.EpochDomain(r.w.chain, epoch), vote.View, vote.Block))
	r.w.send(r.id, next, hotstuff.VoteIn{Vote: vote})
}

// twin makes a different block for the same view: beside the parent if a lost
// view gives the excuse, else beside b.
func (r *replica) twin(b *types.Block) *types.Block {
	h := b.BlockHeader
	h.Time++
	for range r.w.rand.IntN(4) {
		parent, known := r.core.Block(h.Justify.Block)
		if h.Timeouts == nil || !known || parent.Height == 0 {
			break
		}
		h.Justify, h.Height = parent.Justify, parent.Height
	}
	twin, err := types.NewBlock(h, b.Txs, consensustest.Scheme{Self: r.self}.SignBlock)
	if err != nil {
		return b
	}
	return twin
}
