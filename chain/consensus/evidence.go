package consensus

import (
	"bytes"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
)

// NewEvidence joins two statements, or one, that the culprit signed. They are
// encoded votes, signed headers or signed batch headers.
func NewEvidence(o types.Offence, e types.Epoch, culprit types.ValidatorIndex, statements ...any) types.Evidence {
	ev := types.Evidence{Offence: o, Epoch: e, Culprit: culprit, First: canon.MustMarshal(statements[0]), Second: []byte{}}
	if len(statements) > 1 {
		ev.Second = canon.MustMarshal(statements[1])
		sorted(&ev)
	}
	return ev
}

// EvidenceOfSets joins two statements that the culprit signed about one erasure set.
func EvidenceOfSets(e types.Epoch, culprit types.ValidatorIndex, proof *fec.Equivocation) types.Evidence {
	ev := types.Evidence{Offence: types.DoubleSet, Epoch: e, Culprit: culprit, First: proof.One.Encode(), Second: proof.Two.Encode()}
	sorted(&ev)
	return ev
}

func sorted(ev *types.Evidence) {
	if bytes.Compare(ev.First, ev.Second) > 0 {
		ev.First, ev.Second = ev.Second, ev.First
	}
}

// CheckEvidence checks that the evidence proves its offence to anybody who knows
// the validators of the epoch in which it was committed, and returns the place:
// the view or lane height. The error wraps [types.ErrEvidence].
func (a *Authority) CheckEvidence(ev *types.Evidence) (place uint64, err error) {
	switch {
	case ev.Epoch != a.Epoch:
		return 0, fmt.Errorf("%w: it is about epoch %d, not %d", types.ErrEvidence, ev.Epoch, a.Epoch)
	case a.Validators.Power(ev.Culprit) == 0:
		return 0, fmt.Errorf("%w: there is no validator %d", types.ErrEvidence, ev.Culprit)
	case len(ev.First)+len(ev.Second) > types.MaxEvidenceBytes:
		return 0, fmt.Errorf("%w: %d bytes", types.ErrEvidence, len(ev.First)+len(ev.Second))
	case ev.First == nil || ev.Second == nil || (ev.Offence == types.BadCertificate) != (len(ev.Second) == 0):
		return 0, fmt.Errorf("%w: a statement too many or too few", types.ErrEvidence)
	case len(ev.Second) > 0 && bytes.Compare(ev.First, ev.Second) >= 0:
		return 0, fmt.Errorf("%w: the statements are not in order", types.ErrEvidence)
	}
	switch ev.Offence {
	case types.DoubleVote:
		return twice(ev, a.openVote)
	case types.DoubleProposal:
		return twice(ev, a.openProposal)
	case types.DoubleBatch:
		return twice(ev, a.openBatch)
	case types.BadCertificate:
		return a.checkBadCertificate(ev)
	case types.DoubleSet:
		return twice(ev, func(raw []byte) (statement, error) { return a.openSet(ev.Culprit, raw) })
	}
	return 0, fmt.Errorf("%w: %s", types.ErrEvidence, ev.Offence)
}

// statement is what one signature says: something about a place.
type statement struct {
	by     types.ValidatorIndex
	place  uint64
	part   fec.Place // of sets: which one
	object hash.Hash
}

// twice checks that the culprit made two different statements about one place.
func twice(ev *types.Evidence, open func([]byte) (statement, error)) (uint64, error) {
	first, err := open(ev.First)
	if err != nil {
		return 0, err
	}
	second, err := open(ev.Second)
	if err != nil {
		return 0, err
	}
	if first.by != ev.Culprit || second.by != ev.Culprit {
		return 0, fmt.Errorf("%w: not the culprit's statements", types.ErrEvidence)
	}
	if first.place != second.place || first.part != second.part || first.object == second.object {
		return 0, fmt.Errorf("%w: the statements do not contradict each other", types.ErrEvidence)
	}
	return first.place, nil
}

func (a *Authority) openVote(raw []byte) (statement, error) {
	var v types.Vote
	if err := canon.Unmarshal(raw, &v); err != nil {
		return statement{}, fmt.Errorf("%w: vote: %w", types.ErrEvidence, err)
	}
	if v.Epoch != a.Epoch || !a.Scheme.Verify(v.Voter, types.VoteMessage(a.Domain(), v.View, v.Block), v.Signature) {
		return statement{}, fmt.Errorf("%w: vote signature", types.ErrEvidence)
	}
	return statement{by: v.Voter, place: uint64(v.View), object: v.Block}, nil
}

func (a *Authority) openProposal(raw []byte) (statement, error) {
	h, id, err := a.openHeader(raw)
	return statement{by: h.Proposer, place: uint64(h.View), object: id}, err
}

func (a *Authority) openHeader(raw []byte) (types.BlockHeader, hash.Hash, error) {
	var s types.SignedHeader
	if err := canon.Unmarshal(raw, &s); err != nil {
		return types.BlockHeader{}, hash.Hash{}, fmt.Errorf("%w: %w", types.ErrEvidence, err)
	}
	h, id, err := s.Open()
	if err != nil {
		return h, id, fmt.Errorf("%w: %w", types.ErrEvidence, err)
	}
	if h.Chain != a.Chain || h.Epoch != a.Epoch || !a.Scheme.VerifyBlock(h.Proposer, id, s.Signature) {
		return h, id, fmt.Errorf("%w: proposal signature", types.ErrEvidence)
	}
	return h, id, nil
}

func (a *Authority) openBatch(raw []byte) (statement, error) {
	var s types.SignedBatchHeader
	if err := canon.Unmarshal(raw, &s); err != nil {
		return statement{}, fmt.Errorf("%w: %w", types.ErrEvidence, err)
	}
	h, id, err := s.Open()
	if err != nil {
		return statement{}, fmt.Errorf("%w: %w", types.ErrEvidence, err)
	}
	if h.Chain != a.Chain || h.Epoch != a.Epoch || !a.Scheme.VerifyBlock(h.Lane, id, s.Signature) {
		return statement{}, fmt.Errorf("%w: batch signature", types.ErrEvidence)
	}
	return statement{by: h.Lane, place: uint64(h.Height), object: id}, nil
}

// openSet reads a statement about an erasure set. It names its signer by a hash only, so
// the signature must be the culprit's.
func (a *Authority) openSet(culprit types.ValidatorIndex, raw []byte) (statement, error) {
	s, err := fec.DecodeSigned(raw)
	if err != nil {
		return statement{}, fmt.Errorf("%w: %w", types.ErrEvidence, err)
	}
	message := s.Statement.Message(a.Domain())
	if !a.Scheme.VerifyBlock(culprit, message, s.Signature) {
		return statement{}, fmt.Errorf("%w: signature of a set", types.ErrEvidence)
	}
	return statement{by: culprit, place: s.Statement.Slot, part: s.Statement.Place(), object: message}, nil
}

// checkBadCertificate checks that a proposer signed a header with a certificate
// that the epoch's validators did not make. The certificate of the block before
// the epoch is left aside: it is the epoch before that signs it.
func (a *Authority) checkBadCertificate(ev *types.Evidence) (uint64, error) {
	h, _, err := a.openHeader(ev.First)
	if err != nil {
		return 0, err
	}
	if h.Proposer != ev.Culprit {
		return 0, fmt.Errorf("%w: not the culprit's proposal", types.ErrEvidence)
	}
	root := h.Handover != nil || a.Epoch == 0 && h.Justify.View == 0
	good := (h.Timeouts == nil || a.CheckTC(h.Timeouts) == nil) && (root || a.CheckQC(h.Justify) == nil)
	if !good {
		return uint64(h.View), nil
	}
	return 0, fmt.Errorf("%w: the certificates are good", types.ErrEvidence)
}
