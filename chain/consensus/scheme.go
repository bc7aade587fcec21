package consensus

import (
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Scheme makes and checks the signatures of the validator set. It is a set of
// pure functions: [Committee] is the real one, the simulator has a fast
// one.
type Scheme interface {
	// SignBlock signs a proposal with the node's identity key.
	SignBlock(hash.Hash) ([]byte, error)
	// VerifyBlock checks what SignBlock of a validator made.
	VerifyBlock(proposer types.ValidatorIndex, h hash.Hash, signature []byte) bool
	// Sign signs a vote or timeout message with the node's vote key.
	Sign(message hash.Hash) []byte
	// Verify checks one validator's signature.
	Verify(voter types.ValidatorIndex, message hash.Hash, signature []byte) bool
	// Combine aggregates unchecked signatures of one message and checks the
	// result. If any is bad it returns those voters and no aggregate.
	Combine(message hash.Hash, shares []Share) (aggregate []byte, bad []types.ValidatorIndex)
	// Merge aggregates checked signatures of different messages.
	Merge(signatures [][]byte) ([]byte, error)
	// VerifyAggregate checks one aggregate over messages, each with its signers.
	VerifyAggregate(signed []Signed, aggregate []byte) bool
}

// Share is one validator's part of an aggregate.
type Share struct {
	Voter     types.ValidatorIndex
	Signature []byte
}

// Signed is a message and who signed it.
type Signed struct {
	Message hash.Hash
	Signers bls.Bitmap
}
