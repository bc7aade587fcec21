package hotstuff

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrCertificate is wrapped by every refusal of a certificate.
var ErrCertificate = errors.New("bad certificate")

func qcKey(qc types.QC) hash.Hash { return hash.Sum("qc", canon.MustMarshal(qc)) }

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
	if err := c.checkSigners(qc.Signers); err != nil {
		return err
	}
	if c.cfg.Validators.PowerOf(qc.Signers) < c.cfg.Validators.Quorum() {
		return fmt.Errorf("%w: no quorum for block %s", ErrCertificate, qc.Block.Short())
	}
	signed := []consensus.Signed{{Message: types.VoteMessage(c.domain, qc.View, qc.Block), Signers: qc.Signers}}
	if !c.cfg.Scheme.VerifyAggregate(signed, qc.Signature) {
		return fmt.Errorf("%w: signature for block %s", ErrCertificate, qc.Block.Short())
	}
	c.checked.add(key)
	return nil
}

func (c *Core) checkSigners(signers bls.Bitmap) error {
	if err := signers.Validate(c.cfg.Validators.Len()); err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return nil
}

func (c *Core) checkTC(tc *types.TC) error {
	key := hash.Sum("tc", canon.MustMarshal(tc))
	if c.checked.has(key) {
		return nil
	}
	if len(tc.Groups) == 0 || len(tc.Groups) > c.cfg.Validators.Len() {
		return fmt.Errorf("%w: timeout certificate with %d groups", ErrCertificate, len(tc.Groups))
	}
	if last := tc.Groups[len(tc.Groups)-1]; last.High != tc.High.View || tc.High.View >= tc.View {
		return fmt.Errorf("%w: timeout certificate of view %d with highest certificate %d", ErrCertificate, tc.View, tc.High.View)
	}
	signed, power, err := c.groups(tc)
	if err != nil {
		return err
	}
	if power < c.cfg.Validators.Quorum() {
		return fmt.Errorf("%w: no quorum for the timeout of view %d", ErrCertificate, tc.View)
	}
	if err := c.checkQC(tc.High); err != nil {
		return err
	}
	if !c.cfg.Scheme.VerifyAggregate(signed, tc.Signature) {
		return fmt.Errorf("%w: signature for the timeout of view %d", ErrCertificate, tc.View)
	}
	c.checked.add(key)
	return nil
}

// groups lists what the signers of a TC signed, and adds up their power.
func (c *Core) groups(tc *types.TC) ([]consensus.Signed, uint64, error) {
	var power uint64
	all := bls.NewBitmap(c.cfg.Validators.Len())
	signed := make([]consensus.Signed, 0, len(tc.Groups))
	for i, g := range tc.Groups {
		if err := c.checkSigners(g.Signers); err != nil {
			return nil, 0, err
		}
		if i > 0 && g.High <= tc.Groups[i-1].High {
			return nil, 0, fmt.Errorf("%w: timeout groups out of order", ErrCertificate)
		}
		for signer := range g.Signers.All() {
			if all.Has(signer) {
				return nil, 0, fmt.Errorf("%w: validator %d timed out twice", ErrCertificate, signer)
			}
			all.Set(signer)
		}
		power += c.cfg.Validators.PowerOf(g.Signers)
		signed = append(signed, consensus.Signed{Message: types.TimeoutMessage(c.domain, tc.View, g.High), Signers: g.Signers})
	}
	return signed, power, nil
}
