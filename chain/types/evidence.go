package types

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Offence is a provable breach of the protocol. Values are part of the encoding
// and are never reused.
type Offence uint8

// The offences. Each is proven by statements that the culprit signed; no two
// statements of an honest validator prove any of them.
const (
	DoubleVote     Offence = 1 // two votes in one view, for different blocks
	DoubleProposal Offence = 2 // two blocks proposed in one view
	DoubleBatch    Offence = 3 // two batches at one height of a lane
	BadCertificate Offence = 4 // a proposed block that carries an invalid certificate
	DoubleSet      Offence = 5 // two erasure sets at one place of a proposal or batch
)

// String returns the offence's name as the API shows it.
func (o Offence) String() string {
	switch o {
	case DoubleVote:
		return "double-vote"
	case DoubleProposal:
		return "double-proposal"
	case DoubleBatch:
		return "double-batch"
	case BadCertificate:
		return "bad-certificate"
	case DoubleSet:
		return "double-set"
	}
	return fmt.Sprintf("offence-%d", uint8(o))
}

// Caps on evidence.
const (
	MaxEvidenceBytes = 128 << 10 // one proof, encoded
	MaxBlockEvidence = 4         // proofs in one block
)

// ErrEvidence is wrapped by every refusal of evidence.
var ErrEvidence = errors.New("the evidence proves nothing")

// Evidence is a self-contained proof of an offence: what the culprit signed, First
// and, but for [BadCertificate], Second, in ascending order of their encoding, so
// that one pair is one proof. First and Second are encoded [Vote], [SignedHeader]
// or [SignedBatchHeader] values, or of sets what fec.Signed encodes to. It is checked
// by consensus.CheckEvidence.
type Evidence struct {
	_       struct{} `cbor:",toarray"`
	Offence Offence
	Epoch   Epoch
	Culprit ValidatorIndex // in the set of the epoch
	First   []byte
	Second  []byte // empty for BadCertificate
}

// SignedHeader is a block's header as its proposer signed it.
type SignedHeader struct {
	_         struct{} `cbor:",toarray"`
	Header    canon.Raw
	Signature []byte
}

// Signed returns the block's header with its signature.
func (b *Block) Signed() (SignedHeader, error) {
	w, err := readBlock(b.raw)
	if err != nil {
		return SignedHeader{}, fmt.Errorf("header of block %s: %w", b.hash.Short(), err)
	}
	return SignedHeader{Header: w.Header, Signature: w.Signature}, nil
}

// Open decodes the header and returns it with the hash that the proposer signed.
func (s SignedHeader) Open() (BlockHeader, hash.Hash, error) {
	var h BlockHeader
	if err := canon.Unmarshal(s.Header, &h); err != nil {
		return h, hash.Hash{}, fmt.Errorf("signed header: %w", err)
	}
	return h, blockHash(s.Header), nil
}

// ID identifies what is punished: a validator pays for an offence once an epoch,
// however often it committed it, and however many proofs there are.
func (e *Evidence) ID() hash.Hash {
	return hash.Sum("starling/offence", []byte{byte(e.Offence)}, be(uint64(e.Epoch)), be(uint64(e.Culprit)))
}
