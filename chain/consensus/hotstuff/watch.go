package hotstuff

import (
	"bytes"
	"maps"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
)

// watch remembers the first statement of each validator in recent views, so that a
// second one, which contradicts it, is found out.
type watch map[types.View]*witnessed

type witnessed struct {
	votes     map[types.ValidatorIndex]types.Vote
	proposals map[types.ValidatorIndex]*types.Block
}

func (c *Core) witnessed(v types.View) *witnessed {
	if v+votesKept < c.view || v > c.view+voteWindow {
		return nil
	}
	w := c.watch[v]
	if w == nil {
		w = &witnessed{votes: map[types.ValidatorIndex]types.Vote{}, proposals: map[types.ValidatorIndex]*types.Block{}}
		c.watch[v] = w
	}
	return w
}

func (c *Core) forgetWitnessed() {
	maps.DeleteFunc(c.watch, func(v types.View, _ *witnessed) bool { return v+votesKept < c.view })
}

// watchVote looks for a second vote in a view. Signatures are checked only if there
// is one.
func (c *Core) watchVote(v types.Vote) {
	w := c.witnessed(v.View)
	if w == nil || c.isSelf(v.Voter) || c.cfg.Validators.Power(v.Voter) == 0 {
		return
	}
	first, known := w.votes[v.Voter]
	if !known {
		w.votes[v.Voter] = v
		return
	}
	if first.Block == v.Block {
		return
	}
	if !c.genuine(v) {
		return
	}
	if !c.genuine(first) {
		w.votes[v.Voter] = v // the first one was somebody's forgery
		return
	}
	c.accuse(types.DoubleVote, v.Voter, "two votes in a view", first, v)
}

func (c *Core) genuine(v types.Vote) bool {
	return c.cfg.Scheme.Verify(v.Voter, types.VoteMessage(c.domain, v.View, v.Block), v.Signature)
}

// watchProposal looks for a second proposal in a view. The proposer's signature of
// what came by gossip was checked; what was fetched is checked here.
func (c *Core) watchProposal(b *types.Block) {
	w := c.witnessed(b.View)
	if w == nil || c.isSelf(b.Proposer) || c.cfg.Validators.Power(b.Proposer) == 0 {
		return
	}
	first := w.proposals[b.Proposer]
	if first == nil {
		w.proposals[b.Proposer] = b
		return
	}
	if first.Hash() == b.Hash() {
		return
	}
	for _, block := range []*types.Block{first, b} {
		if !c.cfg.Scheme.VerifyBlock(block.Proposer, block.Hash(), block.Signature) {
			return
		}
	}
	one, errOne := first.Signed()
	two, errTwo := b.Signed()
	if errOne == nil && errTwo == nil {
		c.accuse(types.DoubleProposal, b.Proposer, "two proposals in a view", one, two)
	}
}

// watchCertificates accuses the proposer of a block with an invalid certificate.
func (c *Core) watchCertificates(b *types.Block) *types.Evidence {
	signed, err := b.Signed()
	if err != nil {
		return nil
	}
	ev := consensus.NewEvidence(types.BadCertificate, c.cfg.Epoch, b.Proposer, signed)
	if _, err := c.authority.CheckEvidence(&ev); err != nil {
		return nil
	}
	return &ev
}

// accuse shows a proof, if it convinces.
func (c *Core) accuse(o types.Offence, culprit types.ValidatorIndex, reason string, one, two any) {
	ev := consensus.NewEvidence(o, c.cfg.Epoch, culprit, one, two)
	if bytes.Equal(ev.First, ev.Second) {
		return
	}
	if _, err := c.authority.CheckEvidence(&ev); err == nil {
		c.emit(Blame{Epoch: c.cfg.Epoch, Validator: culprit, Reason: reason, Evidence: &ev})
	}
}
