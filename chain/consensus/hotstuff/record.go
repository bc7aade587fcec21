package hotstuff

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
)

// ErrRecord is wrapped by every refusal of a vote log record.
var ErrRecord = errors.New("vote log record")

// Record is one promise of the replica, as the vote log keeps it: a vote, with
// the block that was voted for, or a timeout. Replaying the records of the vote
// log restores everything that a restarted replica must not contradict, and the
// blocks that its votes said it holds.
type Record struct {
	Epoch   types.Epoch
	Vote    *types.Vote
	Block   *types.Block // of the vote
	Timeout *types.Timeout
	Locked  types.QC
	High    types.QC
	// Handover stands alone: what the epoch began with.
	Handover *types.Handover
}

type wireRecord struct {
	_        struct{} `cbor:",toarray"`
	Vote     *types.Vote
	Block    []byte
	Timeout  *types.Timeout
	Locked   types.QC
	High     types.QC
	Epoch    types.Epoch
	Handover *types.Handover
}

// View is the view that the promise is about.
func (r Record) View() types.View {
	if r.Vote != nil {
		return r.Vote.View
	}
	if r.Timeout != nil {
		return r.Timeout.View
	}
	return r.High.View
}

// Encode returns the record's canonical encoding.
func (r Record) Encode() ([]byte, error) {
	w := wireRecord{Vote: r.Vote, Timeout: r.Timeout, Locked: r.Locked, High: r.High, Block: []byte{}, Epoch: r.Epoch, Handover: r.Handover}
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
	r := Record{Vote: w.Vote, Timeout: w.Timeout, Locked: w.Locked, High: w.High, Epoch: w.Epoch, Handover: w.Handover}
	if r.Handover != nil && r.Vote == nil && r.Timeout == nil && len(w.Block) == 0 && w.Block != nil {
		return r, nil
	}
	if r.Handover != nil || (r.Vote == nil) == (r.Timeout == nil) || w.Block == nil || (r.Vote == nil) != (len(w.Block) == 0) {
		return Record{}, fmt.Errorf("%w: want either a vote with its block, a timeout or a handover", ErrRecord)
	}
	if r.Vote == nil {
		return r, nil
	}
	block, err := types.DecodeBlock(w.Block)
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if block.Hash() != r.Vote.Block || block.View != r.Vote.View {
		return Record{}, fmt.Errorf("%w: the vote is not for the block beside it", ErrRecord)
	}
	r.Block = block
	return r, nil
}
