package rpca

import (
	"bytes"
	"slices"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// finalsKept is of how many final ledgers the hash is remembered, to notice that
// a quorum validates something else.
const finalsKept = 256

// finalise decides what a quorum of the list validated.
func (c *Core) finalise() {
	c.certify()
	var ready []*node
	for h := range c.certs {
		if n := c.tree.get(h); n != nil && n != c.tree.root {
			ready = append(ready, n)
		}
	}
	slices.SortFunc(ready, func(a, b *node) int {
		if d := int(a.block.Height) - int(b.block.Height); d != 0 {
			return d
		}
		ha, hb := a.block.Hash(), b.block.Hash()
		return bytes.Compare(ha[:], hb[:])
	})
	for _, n := range ready {
		root := c.tree.root
		if !n.extends(root) {
			c.halt(&ConflictError{Height: root.block.Height, Final: root.block.Hash(), Other: n.block.Hash()})
			return
		}
		c.decide(n)
	}
}

// certify makes certificates of the full validations that are a quorum, and
// notices if one contradicts what is final.
func (c *Core) certify() {
	if !c.heard {
		return
	}
	c.heard = false
	for _, v := range c.ballots() {
		root := c.tree.root.block
		if v.Height <= root.Height {
			if final, known := c.recent[v.Height]; known && final != v.Block {
				c.halt(&ConflictError{Height: v.Height, Final: final, Other: v.Block})
				return
			}
			continue
		}
		if _, done := c.certs[v.Block]; done {
			continue
		}
		var shares []consensus.Share
		signers := bls.NewBitmap(c.cfg.Validators.Len())
		for _, i := range c.members {
			if f, ok := c.voices[i].full(v.Height); ok && f.Block == v.Block {
				shares = append(shares, consensus.Share{Voter: i, Signature: f.Signature})
				signers.Set(int(i))
			}
		}
		aggregate, bad := c.cfg.Scheme.Combine(v.Message(c.cfg.Chain), shares)
		for _, i := range bad { // cannot be if the driver did its part
			c.voices[i].drop(v.Height)
			c.heard = true
			c.emit(Blame{Validator: i, Reason: "validation with a forged signature"})
		}
		if len(bad) == 0 {
			c.certs[v.Block] = types.QC{View: types.View(v.Height), Block: v.Block, Signers: signers, Signature: aggregate}
		}
	}
}

// ballots lists one full validation of each ledger that a quorum validated.
func (c *Core) ballots() (out []Validation) {
	counts := map[hash.Hash]int{}
	for _, i := range c.members {
		for _, f := range c.voices[i].fulls {
			if counts[f.Block]++; counts[f.Block] == c.quorum() {
				out = append(out, f)
			}
		}
	}
	return out
}

func (o *voice) full(h types.Height) (Validation, bool) {
	for _, f := range o.fulls {
		if f.Height == h {
			return f, true
		}
	}
	return Validation{}, false
}

func (o *voice) drop(h types.Height) {
	o.fulls = slices.DeleteFunc(o.fulls, func(f Validation) bool { return f.Height == h })
}

// decide makes n and its ancestors final.
func (c *Core) decide(n *node) {
	cert := c.certs[n.block.Hash()]
	for _, m := range c.tree.path(n) {
		h := m.block.Hash()
		own, ok := c.certs[h]
		if !ok {
			own = cert
		}
		m.passage.Decide = c.now
		c.emit(Decided{Block: m.block, Cert: own, Passage: m.passage})
		c.recent[m.block.Height] = h
		delete(c.recent, m.block.Height-finalsKept)
	}
	height, parent := n.block.Height, n.parent
	c.tree.reroot(n)
	for h, qc := range c.certs {
		if types.Height(qc.View) <= height {
			delete(c.certs, h)
		}
	}
	c.own = slices.DeleteFunc(c.own, func(v Validation) bool { return v.Height <= height })
	c.fetch.trim(height)
	if !c.working.extends(n) {
		// What a quorum validated this node may validate too, and so help others
		// who have not heard so many yet.
		switched := c.working != parent
		c.working = n
		c.validate(n)
		c.enter(false, switched)
	}
}

// checkCert verifies a certificate of a ledger that a peer served: a quorum of
// the own list is among its signers. Lists differ, so others may be too.
func (c *Core) checkCert(b *types.Block, qc *types.QC) bool {
	if qc.View != types.View(b.Height) || qc.Block != b.Hash() || qc.Signers.Validate(c.cfg.Validators.Len()) != nil {
		return false
	}
	trusted := 0
	for _, i := range c.members {
		if qc.Signers.Has(int(i)) {
			trusted++
		}
	}
	signed := []consensus.Signed{{Message: ValidationMessage(c.cfg.Chain, b.Height, b.Hash()), Signers: qc.Signers}}
	return trusted >= c.quorum() && c.cfg.Scheme.VerifyAggregate(signed, qc.Signature)
}
