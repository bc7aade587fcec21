package hotstuff

import (
	"bytes"
	"cmp"
	"fmt"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// maxOrphans bounds the proposals kept while their ancestors are fetched.
const maxOrphans = 64

// maxTwins bounds the proposals of one (then faulty) leader kept for one view.
const maxTwins = 2

// orphanage keeps blocks until their parent is in the tree: proposals that ran
// ahead, and after a restart the blocks of the vote log whose ancestors it no
// longer holds. The latter may be the only copies there are.
type orphanage map[hash.Hash]*types.Block

// childOf takes out a block whose parent is h, of the lowest view first.
func (o orphanage) childOf(h hash.Hash) *types.Block {
	var first *types.Block
	for _, b := range o {
		if b.Parent() == h && (first == nil || before(b, first)) {
			first = b
		}
	}
	if first != nil {
		delete(o, first.Hash())
	}
	return first
}

// of counts the orphans of one proposer.
func (o orphanage) of(proposer types.ValidatorIndex) (count int) {
	for _, b := range o {
		if b.Proposer == proposer {
			count++
		}
	}
	return count
}

func (c *Core) onProposal(b *types.Block) {
	if b.Epoch != c.cfg.Epoch {
		if b.Epoch == c.cfg.Epoch+1 {
			c.onSuccessor(b.Justify.Block, b.Handover)
		}
		c.lag(b.Epoch, b.Parent())
		return
	}
	c.watchProposal(b)
	if b.Height <= c.DecidedHeight() {
		return
	}
	if n := c.tree.Get(b.Hash()); n != nil { // fetched before it was heard of
		c.vote(n)
		return
	}
	if err := c.checkHeader(b); err != nil {
		c.emit(Blame{Epoch: c.cfg.Epoch, Validator: b.Proposer, Reason: err.Error(), Evidence: c.watchCertificates(b)})
		return
	}
	if b.Timeouts != nil {
		c.learnTC(b.Timeouts)
	}
	c.learnQC(b.Justify)
	c.hear(b.Proposer)
	parent := c.tree.Get(b.Parent())
	if parent == nil {
		if len(c.orphans) < maxOrphans && c.orphans.of(b.Proposer) < maxOrphans/4 {
			c.orphans[b.Hash()] = b
		}
		c.fetchAncestor(b.Justify)
		return
	}
	if parent.childrenIn(b.View) >= maxTwins {
		return
	}
	if n := c.adopt(b, parent); n != nil {
		c.vote(n)
		c.adoptOrphans(n)
	}
}

// checkHeader checks all that can be checked without the parent block.
func (c *Core) checkHeader(b *types.Block) error {
	switch {
	case b.Chain != c.cfg.Chain:
		return fmt.Errorf("proposal for chain %s", b.Chain.Short())
	case b.Justify.View >= b.View:
		return fmt.Errorf("proposal in view %d is justified by view %d", b.View, b.Justify.View)
	case b.Timeouts == nil && b.Justify.View+1 != b.View, b.Timeouts != nil && b.Justify.View+1 == b.View && !c.cfg.Reputation:
		return fmt.Errorf("proposal in view %d on view %d: a timeout certificate must be present exactly if a view was lost", b.View, b.Justify.View)
	case b.Timeouts != nil && b.Timeouts.View+1 != b.View:
		return fmt.Errorf("proposal in view %d carries a timeout certificate of view %d", b.View, b.Timeouts.View)
	}
	if err := c.checkQC(b.Justify); err != nil {
		return fmt.Errorf("proposal in view %d: %w", b.View, err)
	}
	if b.Timeouts == nil {
		return nil
	}
	// What is not above the block's own certificate changes nothing, and may be of an
	// epoch whose validators are not known here any more.
	check := c.checkTC
	if b.Timeouts.High.View > b.Justify.View {
		check = c.checkWholeTC
	}
	if err := check(b.Timeouts); err != nil {
		return fmt.Errorf("proposal in view %d: %w", b.View, err)
	}
	return nil
}

// adopt puts a block with checked certificates into the tree and learns from
// them. It returns nil if the block does not fit its parent, or was pruned by
// what it decided.
func (c *Core) adopt(b *types.Block, parent *Node) *Node {
	p := parent.Block
	if b.Height != p.Height+1 || b.Justify.View != p.View || b.Time <= p.Time {
		c.emit(Blame{Epoch: c.cfg.Epoch, Validator: b.Proposer, Reason: fmt.Sprintf("block %s does not fit its parent", b.Hash().Short())})
		return nil
	}
	if leader := c.leader(parent, b.View, relieved(b)); b.Proposer != leader {
		c.emit(Blame{Epoch: c.cfg.Epoch, Validator: b.Proposer, Reason: fmt.Sprintf("proposal in view %d, which validator %d leads", b.View, leader)})
		return nil
	}
	if err := c.fits(b, p); err != nil {
		c.emit(Blame{Epoch: c.cfg.Epoch, Validator: b.Proposer, Reason: err.Error()})
		return nil
	}
	n := c.insert(b, parent)
	n.Passage.Prepare = c.now
	c.learnQC(b.Justify)
	c.endIfProven()
	if c.high.Block == b.Hash() {
		c.apply(c.high) // the certificate came before the block
		c.build()
	}
	return c.tree.Get(b.Hash())
}

// adoptOrphans adopts what waited for n, and what waited for that.
func (c *Core) adoptOrphans(n *Node) {
	for parents := []*Node{n}; len(parents) > 0; {
		parent := parents[len(parents)-1]
		b := c.orphans.childOf(parent.Block.Hash())
		if b == nil || c.tree.Get(parent.Block.Hash()) == nil {
			parents = parents[:len(parents)-1]
			continue
		}
		if child := c.adopt(b, parent); child != nil {
			c.vote(child)
			parents = append(parents, child)
		}
	}
}

// onBlocks adopts fetched blocks. Only certificates matter here: a block nobody
// certified is never voted for or built upon because of it.
func (c *Core) onBlocks(e Blocks) {
	for _, b := range e.Blocks {
		if b.Epoch != c.cfg.Epoch {
			if b.Epoch == c.cfg.Epoch+1 {
				c.onSuccessor(b.Justify.Block, b.Handover)
			}
			return
		}
		if c.tree.Get(b.Hash()) != nil || b.Height <= c.DecidedHeight() {
			continue
		}
		parent := c.tree.Get(b.Parent())
		if parent == nil {
			break // not what was asked for, or pruned meanwhile
		}
		if err := c.checkHeader(b); err != nil {
			c.emit(Blame{Epoch: c.cfg.Epoch, Validator: b.Proposer, From: e.From, Reason: err.Error()})
			return
		}
		n := c.adopt(b, parent)
		if n == nil {
			break
		}
		n.Passage = consensus.Passage{} // seen after the fact
		c.adoptOrphans(n)
	}
}

// fetchAncestor asks for the block that qc certifies and its ancestors, or, where
// that block is here already and waits for an ancestor, for the ancestor.
func (c *Core) fetchAncestor(qc types.QC) {
	for b := c.orphans[qc.Block]; b != nil; b = c.orphans[qc.Block] {
		qc = b.Justify
	}
	if c.tree.Get(qc.Block) == nil && qc.View > c.tree.root.Block.View {
		c.emit(Fetch{Epoch: c.epochOf(qc), Block: qc.Block, Above: c.DecidedHeight(), Holders: qc.Signers})
	}
}

// epochOf is the epoch whose validators signed a certificate.
func (c *Core) epochOf(qc types.QC) types.Epoch {
	if c.cfg.Prior != nil && qc.Block == c.begun.Hash() {
		return c.cfg.Prior.Epoch
	}
	return c.cfg.Epoch
}

// fetchMissing asks again for what the replica needs to go on.
func (c *Core) fetchMissing() {
	if c.proven != nil {
		c.fetchAncestor(c.proven.cert) // its signers have the block
		return
	}
	c.fetchAncestor(c.high)
}

// build asks for a payload if it is this replica's turn to propose.
func (c *Core) build() {
	justified := c.high.View+1 == c.view || c.highTC != nil && c.highTC.View+1 == c.view
	now := attempt{c.view, c.relief()}
	parent := c.tree.Get(c.high.Block) // else fetched; build is called again when it is there
	if c.cfg.Self == nil || !justified || c.voted >= c.view || c.asked == now || parent == nil || !c.leads(parent) {
		return
	}
	if c.unproven() && c.cfg.Handover == nil || parent.Block.Height+1 >= c.cfg.Last && c.next == (hash.Hash{}) {
		return // both come in time, or others lead
	}
	c.asked = now
	if parent.Block.Height >= c.cfg.Last {
		c.onPayload(Payload{View: c.view, Parent: parent.Block.Hash()})
		return
	}
	c.emit(BuildPayload{View: c.view, Parent: parent.Block, Hurry: c.hurry(parent)})
}

// hurry reports whether transactions below n wait for more blocks to decide them,
// or views were lost. The last decided block counts: the others learn of its
// decision from the next proposal.
func (c *Core) hurry(n *Node) bool {
	if c.high.View+1 != c.view {
		return true
	}
	for ; n != nil; n = n.Parent {
		if n.Block.Works() {
			return true
		}
	}
	return false
}

// leads reports whether this replica may propose on top of n in the present view.
func (c *Core) leads(n *Node) bool { return c.isSelf(c.leader(n, c.view, c.relief())) }

func (c *Core) onPayload(e Payload) {
	if e.View != c.view || c.voted >= c.view {
		return
	}
	if e.Parent != c.high.Block {
		c.asked = attempt{} // a higher certificate came meanwhile
		c.build()
		return
	}
	parent := c.tree.Get(e.Parent)
	if parent == nil || !c.leads(parent) {
		return
	}
	h := types.BlockHeader{
		Chain: c.cfg.Chain, Epoch: c.cfg.Epoch, Height: parent.Block.Height + 1, View: c.view, Proposer: *c.cfg.Self,
		Time: max(c.now.UnixMilli(), parent.Block.Time+1), Justify: c.high,
		State: e.Content.State, Cut: e.Content.Cut, Evidence: e.Content.Evidence,
	}
	if c.high.View+1 != c.view || c.relief() {
		h.Timeouts = c.highTC
	}
	if h.Height >= c.cfg.Last {
		h.NextSet = c.next
	}
	if c.unproven() {
		h.Handover = c.cfg.Handover
	}
	b, err := types.NewBlock(h, e.Content.Txs, c.cfg.Scheme.SignBlock)
	if err != nil {
		c.emit(Blame{Epoch: c.cfg.Epoch, Validator: *c.cfg.Self, Reason: err.Error()})
		return
	}
	n := c.insert(b, parent)
	n.Passage.Prepare = c.now
	if !c.maySign(n) {
		return
	}
	v := c.promise(n)
	c.emit(Broadcast{Block: b})
	c.cast(v, n)
}

// before orders blocks by view and hash.
func before(a, b *types.Block) bool {
	x, y := a.Hash(), b.Hash()
	return cmp.Or(cmp.Compare(a.View, b.View), bytes.Compare(x[:], y[:])) < 0
}
