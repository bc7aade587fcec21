package consensus

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrCertificate is wrapped by every refusal of a certificate.
var ErrCertificate = errors.New("bad certificate")

// Authority is the validator set of one epoch with its signature scheme: it checks
// what they signed together. Its methods are pure.
type Authority struct {
	Chain      hash.Hash
	Epoch      types.Epoch
	Validators *types.ValidatorSet
	Scheme     Scheme
}

// Domain is what the epoch's signatures cover.
func (a *Authority) Domain() hash.Hash { return types.EpochDomain(a.Chain, a.Epoch) }

// CheckQC checks a quorum certificate of the epoch.
func (a *Authority) CheckQC(qc types.QC) error {
	if err := a.checkSigners(qc.Signers); err != nil {
		return err
	}
	if a.Validators.PowerOf(qc.Signers) < a.Validators.Quorum() {
		return fmt.Errorf("%w: no quorum for block %s", ErrCertificate, qc.Block.Short())
	}
	signed := []Signed{{Message: types.VoteMessage(a.Domain(), qc.View, qc.Block), Signers: qc.Signers}}
	if !a.Scheme.VerifyAggregate(signed, qc.Signature) {
		return fmt.Errorf("%w: signature for block %s", ErrCertificate, qc.Block.Short())
	}
	return nil
}

// CheckTC checks a timeout certificate of the epoch, but for the quorum
// certificate in it.
func (a *Authority) CheckTC(tc *types.TC) error {
	if len(tc.Groups) == 0 || len(tc.Groups) > a.Validators.Len() {
		return fmt.Errorf("%w: timeout certificate with %d groups", ErrCertificate, len(tc.Groups))
	}
	if last := tc.Groups[len(tc.Groups)-1]; last.High != tc.High.View || tc.High.View >= tc.View {
		return fmt.Errorf("%w: timeout certificate of view %d with highest certificate %d", ErrCertificate, tc.View, tc.High.View)
	}
	signed, power, err := a.groups(tc)
	if err != nil {
		return err
	}
	if power < a.Validators.Quorum() {
		return fmt.Errorf("%w: no quorum for the timeout of view %d", ErrCertificate, tc.View)
	}
	if !a.Scheme.VerifyAggregate(signed, tc.Signature) {
		return fmt.Errorf("%w: signature for the timeout of view %d", ErrCertificate, tc.View)
	}
	return nil
}

// groups lists what the signers of a TC signed, and adds up their power.
func (a *Authority) groups(tc *types.TC) ([]Signed, uint64, error) {
	var power uint64
	all := bls.NewBitmap(a.Validators.Len())
	signed := make([]Signed, 0, len(tc.Groups))
	for i, g := range tc.Groups {
		if err := a.checkSigners(g.Signers); err != nil {
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
		power += a.Validators.PowerOf(g.Signers)
		signed = append(signed, Signed{Message: types.TimeoutMessage(a.Domain(), tc.View, g.High), Signers: g.Signers})
	}
	return signed, power, nil
}

func (a *Authority) checkSigners(signers bls.Bitmap) error {
	if err := signers.Validate(a.Validators.Len()); err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return nil
}

// CheckHandover checks that h proves the decision of the epoch's last block, the
// one with the given hash, by a rule with the given number of phases: the last so
// many certified blocks, it may be among them, are of consecutive views.
func (a *Authority) CheckHandover(last hash.Hash, phases int, h *types.Handover) error {
	headers, err := h.Chain(last)
	if err != nil {
		return err
	}
	if len(headers)+1 < phases {
		return fmt.Errorf("%w: %d blocks on top of the last, want %d", types.ErrHandover, len(headers), phases-1)
	}
	views := []types.View{headers[0].Justify.View}
	for _, header := range headers {
		if header.Chain != a.Chain || header.Epoch != a.Epoch {
			return fmt.Errorf("%w: a header of another chain or epoch", types.ErrHandover)
		}
		views = append(views, header.View)
	}
	for i := len(views) - phases + 1; i < len(views); i++ {
		if views[i] != views[i-1]+1 {
			return fmt.Errorf("%w: views %d and %d are not consecutive", types.ErrHandover, views[i-1], views[i])
		}
	}
	return a.CheckQC(h.Cert)
}
