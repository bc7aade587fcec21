package hotstuff

import (
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrCertificate is wrapped by every refusal of a certificate.
var ErrCertificate = consensus.ErrCertificate

func qcKey(qc types.QC) hash.Hash { return hash.Sum("qc", canon.MustMarshal(qc)) }

// checkQC checks a certificate for a block of the epoch, or for the block that the
// epoch began with, which is certified by the epoch before.
func (c *Core) checkQC(qc types.QC) error {
	if qc.View == 0 {
		if qc.Block != c.cfg.Chain || len(qc.Signers)+len(qc.Signature) != 0 {
			return fmt.Errorf("%w: not the genesis certificate", ErrCertificate)
		}
		return nil
	}
	key := qcKey(qc)
	if c.checked.has(key) {
		return nil
	}
	authority := c.authority
	if c.cfg.Prior != nil && qc.Block == c.begun.Hash() {
		authority = c.cfg.Prior
	}
	if err := authority.CheckQC(qc); err != nil {
		return err
	}
	c.checked.add(key)
	return nil
}

// learnHigh takes up a checked certificate, unless it is not above the last decided
// block and so tells nothing.
func (c *Core) learnHigh(qc types.QC) {
	if qc.View > c.tree.root.Block.View {
		c.learnQC(qc)
	}
}

// checkTC checks a timeout certificate, but for the highest certificate in it, which
// the signatures do not cover: whoever passed it on may have changed that one.
func (c *Core) checkTC(tc *types.TC) error {
	key := hash.Sum("tc", canon.MustMarshal(tc))
	if c.checked.has(key) {
		return nil
	}
	if err := c.authority.CheckTC(tc); err != nil {
		return err
	}
	c.checked.add(key)
	return nil
}

// checkWholeTC checks a timeout certificate and the highest certificate in it.
func (c *Core) checkWholeTC(tc *types.TC) error {
	if err := c.checkTC(tc); err != nil {
		return err
	}
	return c.checkQC(tc.High)
}
