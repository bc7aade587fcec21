package rpca

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
)

// ErrRecord is wrapped by every refusal of a vote log record.
var ErrRecord = errors.New("vote log record")

// Record is one promise of the validator, as the vote log keeps it: a position,
// or a validation with its ledger. Replaying the log restores all that a
// restarted validator must not contradict.
type Record struct {
	Position   *Position
	Validation *Validation
	Block      *types.Block // of the validation; nil if it is the genesis block
}

type wireRecord struct {
	_          struct{} `cbor:",toarray"`
	Position   *Position
	Validation *Validation
	Block      []byte
}

// Height is what the promise is about.
func (r Record) Height() types.Height {
	if r.Position != nil {
		return r.Position.Height
	}
	return r.Validation.Height
}

// Encode returns the record's canonical encoding.
func (r Record) Encode() ([]byte, error) {
	w := wireRecord{Position: r.Position, Validation: r.Validation, Block: []byte{}}
	if r.Block != nil {
		w.Block = r.Block.Raw()
	}
	return canon.Marshal(w)
}

// DecodeRecord decodes what [Record.Encode] wrote.
func DecodeRecord(data []byte) (Record, error) {
	var w wireRecord
	if err := canon.Unmarshal(data, &w); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	r := Record{Position: w.Position, Validation: w.Validation}
	if (r.Position == nil) == (r.Validation == nil) || r.Position != nil && len(w.Block) > 0 {
		return Record{}, fmt.Errorf("%w: want either a position or a validation with its ledger", ErrRecord)
	}
	if len(w.Block) == 0 {
		return r, nil
	}
	block, err := types.DecodeBlock(w.Block)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if block.Hash() != r.Validation.Block {
		return Record{}, fmt.Errorf("%w: the validation is not for the ledger beside it", ErrRecord)
	}
	r.Block = block
	return r, nil
}
