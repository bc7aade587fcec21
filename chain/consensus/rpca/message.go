package rpca

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrMessage is wrapped by every refusal of a malformed message.
var ErrMessage = errors.New("malformed consensus message")

// maxSignature bounds the signature inside a message, in bytes.
const maxSignature = 96

// MaxMessage is the most bytes that an encoded [Position] or [Validation] takes.
const MaxMessage = 256

// Position is what one validator wants the next ledger to be. In each round,
// named by the parent ledger, a validator replaces its position by ones of a
// higher Seq; it never signs two of the same.
type Position struct {
	_         struct{} `cbor:",toarray"`
	Parent    hash.Hash
	Height    types.Height // of the ledger to be made
	Seq       uint64
	Set       hash.Hash // the transactions wanted: [TxSet.ID]
	Close     int64     // milliseconds since 1970, rounded; 0 agrees to disagree
	Voter     types.ValidatorIndex
	Signature []byte // by the vote key over Message
}

// Message is what a position signs.
func (p Position) Message(chain hash.Hash) hash.Hash {
	return hash.Sum("starling/rpca/position", chain[:], p.Parent[:], be(uint64(p.Height)), be(p.Seq), p.Set[:], be(uint64(p.Close)))
}

// Encode returns the canonical encoding.
func (p Position) Encode() ([]byte, error) { return canon.Marshal(p) }

// DecodePosition decodes what [Position.Encode] wrote. It does not check the
// signature.
func DecodePosition(data []byte) (Position, error) {
	var p Position
	if err := decode(data, MaxMessage, &p); err != nil {
		return Position{}, fmt.Errorf("position: %w", err)
	}
	if p.Height == 0 || p.Close < 0 || len(p.Signature) > maxSignature {
		return Position{}, fmt.Errorf("position: %w: a field is out of range", ErrMessage)
	}
	return p, nil
}

// Validation is one validator's signed statement about the ledger that it works
// on. A full one says: a quorum agreed on Block, of this height, as I saw or as
// too many say for all of them to lie. Enough of them make it final, and a
// validator signs at most one a height, each higher than all statements before. A partial one is never counted towards finality. It
// says: I shall sign no full one of this height or below, and work on Block.
type Validation struct {
	_         struct{} `cbor:",toarray"`
	Height    types.Height
	Block     hash.Hash
	Full      bool
	Seq       uint64 // orders partial ones of a height; 0 in a full one
	Voter     types.ValidatorIndex
	Signature []byte // by the vote key over Message
}

// Message is what a validation signs. That of a full one is the same for all
// validators, so that their signatures aggregate.
func (v Validation) Message(chain hash.Hash) hash.Hash {
	if v.Full {
		return ValidationMessage(chain, v.Height, v.Block)
	}
	return hash.Sum("starling/rpca/partial", chain[:], be(uint64(v.Height)), v.Block[:], be(v.Seq))
}

// ValidationMessage is what the signers of a final ledger's certificate signed.
func ValidationMessage(chain hash.Hash, height types.Height, block hash.Hash) hash.Hash {
	return hash.Sum("starling/rpca/validation", chain[:], be(uint64(height)), block[:])
}

// Encode returns the canonical encoding.
func (v Validation) Encode() ([]byte, error) { return canon.Marshal(v) }

// DecodeValidation decodes what [Validation.Encode] wrote. It does not check the
// signature.
func DecodeValidation(data []byte) (Validation, error) {
	var v Validation
	if err := decode(data, MaxMessage, &v); err != nil {
		return Validation{}, fmt.Errorf("validation: %w", err)
	}
	if v.Height == 0 || v.Full != (v.Seq == 0) || len(v.Signature) > maxSignature {
		return Validation{}, fmt.Errorf("validation: %w: a field is out of range", ErrMessage)
	}
	return v, nil
}

// after says that v was made later than old by the same validator: heights
// never fall, and a partial one puts an end to its height.
func (v Validation) after(old Validation) bool {
	if v.Height != old.Height {
		return v.Height > old.Height
	}
	return v.Seq > old.Seq
}

func decode(data []byte, most int, v any) error {
	if len(data) > most {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMessage, len(data), most)
	}
	if err := canon.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	return nil
}

func be(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
