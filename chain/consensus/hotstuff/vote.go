package hotstuff

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// voteWindow is how far ahead of the present view votes are kept.
const voteWindow = 4

// voteBook holds the votes of views that have no certificate yet.
type voteBook map[types.View]map[hash.Hash]map[types.ValidatorIndex][]byte

// maySign reports whether voting for n keeps every promise.
func (c *Core) maySign(n *Node) bool {
	b := n.Block
	return c.cfg.Self != nil && !c.silent() && b.View == c.view && b.View > c.voted &&
		c.cfg.Rule.Safe(b, c.locked) &&
		(b.Height < c.cfg.Last || b.NextSet == c.next) &&
		time.UnixMilli(b.Time).Sub(c.now) <= c.cfg.MaxDrift
}

// vote votes for n if that is safe.
func (c *Core) vote(n *Node) {
	if c.maySign(n) {
		c.cast(c.promise(n), n)
	}
}

// promise signs a vote and has it written down.
func (c *Core) promise(n *Node) types.Vote {
	b := n.Block
	message := types.VoteMessage(c.domain, b.View, b.Hash())
	v := types.Vote{Epoch: c.cfg.Epoch, View: b.View, Block: b.Hash(), Voter: *c.cfg.Self, Signature: c.cfg.Scheme.Sign(message)}
	c.voted, c.lastVote = b.View, &v
	c.emit(Persist{Record{Epoch: c.cfg.Epoch, Vote: &v, Block: b, Locked: c.locked, High: c.high}})
	return v
}

// cast sends the vote for n to the leader of the next view.
func (c *Core) cast(v types.Vote, n *Node) {
	if next := c.leader(n, v.View+1, false); c.isSelf(next) {
		c.onVote(v)
	} else {
		c.emit(SendVote{To: next, Vote: v})
	}
}

// onVote keeps a vote and makes a certificate when it completes a quorum.
func (c *Core) onVote(v types.Vote) {
	if v.Epoch != c.cfg.Epoch {
		c.lag(v.Epoch, v.Block)
		return
	}
	c.watchVote(v)
	if v.View <= c.high.View || v.View > c.view+voteWindow || c.cfg.Validators.Power(v.Voter) == 0 {
		return
	}
	blocks := c.votes[v.View]
	if blocks == nil {
		blocks = map[hash.Hash]map[types.ValidatorIndex][]byte{}
		c.votes[v.View] = blocks
	}
	message := types.VoteMessage(c.domain, v.View, v.Block)
	voters := blocks[v.Block]
	if voters == nil {
		if len(blocks) > c.cfg.Validators.Len() {
			return // an honest validator votes for one block a view
		}
		voters = map[types.ValidatorIndex][]byte{}
		blocks[v.Block] = voters
	}
	if kept, ok := voters[v.Voter]; ok {
		// Signatures are unique: of two different ones at least one is forged.
		if bytes.Equal(kept, v.Signature) || !c.cfg.Scheme.Verify(v.Voter, message, v.Signature) {
			return
		}
	}
	voters[v.Voter] = v.Signature
	c.certify(v.View, v.Block, message, voters)
}

// holds reports whether the very vote is kept.
func (c *Core) holds(v types.Vote) bool {
	kept, ok := c.votes[v.View][v.Block][v.Voter]
	return ok && bytes.Equal(kept, v.Signature)
}

// certify makes a QC once the voters are a quorum. Signatures are checked all at
// once, and one by one only if that fails.
func (c *Core) certify(view types.View, block, message hash.Hash, voters map[types.ValidatorIndex][]byte) {
	for {
		var power uint64
		shares := make([]consensus.Share, 0, len(voters))
		for i := range c.cfg.Validators.Len() {
			voter := types.ValidatorIndex(i)
			if sig, ok := voters[voter]; ok {
				power += c.cfg.Validators.Power(voter)
				shares = append(shares, consensus.Share{Voter: voter, Signature: sig})
			}
		}
		if power < c.cfg.Validators.Quorum() {
			return
		}
		aggregate, bad := c.cfg.Scheme.Combine(message, shares)
		if len(bad) == 0 {
			qc := types.QC{View: view, Block: block, Signers: c.bitmap(shares), Signature: aggregate}
			c.checked.add(qcKey(qc))
			c.learnQC(qc)
			c.fetchMissing()
			return
		}
		for _, voter := range bad {
			delete(voters, voter)
			c.emit(Blame{Epoch: c.cfg.Epoch, Validator: voter, Reason: fmt.Sprintf("bad vote signature in view %d", view)})
		}
	}
}

func (c *Core) bitmap(shares []consensus.Share) bls.Bitmap {
	signers := bls.NewBitmap(c.cfg.Validators.Len())
	for _, s := range shares {
		signers.Set(int(s.Voter))
	}
	return signers
}

// learnQC takes up a checked certificate.
func (c *Core) learnQC(qc types.QC) {
	c.measure(qc)
	if qc.View > c.high.View {
		c.high = qc
	}
	c.apply(qc)
	if qc.View >= c.view {
		c.enter(qc.View+1, false)
	} else if qc.View+1 == c.view {
		c.build()
	}
}

// apply draws the rule's conclusions from a checked certificate for a known
// block: phases, lock, decision.
func (c *Core) apply(qc types.QC) {
	n := c.tree.Get(qc.Block)
	if n == nil || n.Block.View != qc.View {
		return
	}
	c.mark(n)
	if lock, ok := c.cfg.Rule.Lock(c.tree, qc); ok && lock.View > c.locked.View {
		c.locked = lock
	}
	if final, cert := c.cfg.Rule.Decide(c.tree, qc); final != nil {
		c.decide(final, cert, func(last *Node) *types.Handover { return c.handover(last, qc) })
	}
}

// mark notes that n has a certificate, and so its parent's child has one.
func (c *Core) mark(n *Node) {
	if n.Passage.Precommit.IsZero() {
		n.Passage.Precommit = c.now
	}
	commit := n
	if c.cfg.Rule.Phases() == 3 {
		commit = n.Parent
	}
	if commit != nil && commit.Passage.Commit.IsZero() {
		commit.Passage.Commit = c.now
	}
}

// decide makes final and its ancestors final, but nothing above the epoch's last
// block. handover makes the proof that the epoch ended.
func (c *Core) decide(final *Node, cert types.QC, handover func(last *Node) *types.Handover) {
	if c.done != nil {
		return
	}
	path := c.tree.path(final)
	if final.Block.Height > c.cfg.Last {
		above := int(final.Block.Height - c.cfg.Last)
		cert = path[len(path)-above].Block.Justify
		path = path[:len(path)-above]
		final = path[len(path)-1]
	}
	if final.Block.Height == c.cfg.Last {
		c.done = &EpochEnded{Epoch: c.cfg.Epoch, Last: final.Block, Cert: cert, Handover: handover(final)}
		// Before the last block counts as decided: a replica that starts again
		// with it, and without the proof, could not tell the others.
		c.emit(Persist{Record{Epoch: c.cfg.Epoch + 1, Handover: c.done.Handover, Locked: cert, High: cert}})
	}
	for i, n := range path {
		qc := cert
		if i+1 < len(path) {
			qc = path[i+1].Block.Justify
		}
		n.Passage.Decide = c.now
		c.emit(Decided{Block: n.Block, Cert: qc, Passage: n.Passage, Standing: n.standing.Encode()})
	}
	if len(path) > 0 && c.done == nil {
		c.tree.prune(final)
		maps.DeleteFunc(c.orphans, func(_ hash.Hash, b *types.Block) bool {
			return b.Height <= final.Block.Height
		})
	}
}

// checkedCerts remembers certificates that were found good, since the same one
// comes in proposals, timeouts and timeout certificates.
type checkedCerts []hash.Hash

const checkedCertsKept = 64

func (k checkedCerts) has(key hash.Hash) bool { return slices.Contains(k, key) }

func (k *checkedCerts) add(key hash.Hash) {
	if len(*k) >= checkedCertsKept {
		*k = slices.Delete(*k, 0, checkedCertsKept/2)
	}
	*k = append(*k, key)
}
