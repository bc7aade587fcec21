// Package consensus holds what every engine shares: the [Engine] that a node
// runs without knowing which one it is, what an engine needs from its node, the
// [Committee] that makes and checks certificates, and the attestation of
// executed states.
//
// The engines themselves are in the packages below; each has a pure core and a
// thin driver. The package never imports net or node.
package consensus

import (
	"context"
	"errors"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrDiverged means that a quorum attested another state than this node
// computed for the same block: the node's disk, memory or program is at fault.
var ErrDiverged = errors.New("this node computed another state than the quorum: it has stopped voting; " +
	"keep its data for examination and start again from an empty data directory")

// Engine orders blocks. All methods are safe for concurrent use.
type Engine interface {
	// Run drives the engine until ctx ends or the engine cannot go on safely.
	Run(ctx context.Context) error
	// Propose hands in a block whose proposer and transactions were checked.
	Propose(b *types.Block)
	// Vote hands in a vote from the voter itself.
	Vote(v types.Vote)
	// Timeout hands in a timeout.
	Timeout(t types.Timeout)
	// Ending hands in a proof, unchecked, that an epoch has ended.
	Ending(e types.Ending)
	// Fetched hands in blocks that a peer served, ancestors first.
	Fetched(from string, blocks []*types.Block)
	// Undecided finds the blocks above the last decided one, up to and
	// including the one with the given hash, in order; nil if unknown.
	Undecided(ctx context.Context, h hash.Hash) []*types.Block
	// Status is a recent view of the engine.
	Status() Status
}

// Status is what an engine shows of itself.
type Status struct {
	Epoch         types.Epoch          `json:"epoch"`
	View          types.View           `json:"view"`
	Leader        types.ValidatorIndex `json:"leader"`
	HighQC        types.View           `json:"high_qc_view"`
	DecidedHeight types.Height         `json:"decided_height"`
	LostViews     uint64               `json:"lost_views"` // since the start
}

// Network is how an engine reaches other validators. No method blocks.
type Network interface {
	BroadcastProposal(b *types.Block)
	BroadcastTimeout(t types.Timeout)
	// ShowEnding sends the proof that an epoch has ended to those who are still in it.
	ShowEnding(e types.Ending)
	SendVote(to types.ValidatorIndex, v types.Vote)
	// Fetch asks holders, validators of an epoch, for a block and its ancestors
	// above a height; what comes is handed to Engine.Fetched.
	Fetch(e types.Epoch, block hash.Hash, above types.Height, holders bls.Bitmap)
	// Blame reports a broken rule.
	Blame(Fault)
}

// Fault is a broken rule: by a validator of an epoch, or by the peer that served
// blocks if From is not empty.
type Fault struct {
	Epoch     types.Epoch
	Validator types.ValidatorIndex
	From      string
	Reason    string
	Evidence  *types.Evidence // the proof, if there is one that convinces others
}

// Chain is what an engine's blocks are made of and where they go.
type Chain interface {
	// Payload selects what a block on top of the given undecided blocks should
	// carry.
	Payload(undecided []*types.Block) types.Payload
	// Hurry says that somebody waits for what the next blocks bring, even if
	// they are empty.
	Hurry() bool
	// ExecutedView is the view of the newest executed block: everything up to
	// there is on disk and need not be kept by the engine.
	ExecutedView() types.View
	// Pending is signalled when there may be something to select.
	Pending() <-chan struct{}
	// Decided takes the next final block, in order of height. It must not
	// wait for execution.
	Decided(d Decision)
}

// Decision is a final block and how it became final.
type Decision struct {
	Block   *types.Block
	Cert    types.QC
	Passage Passage
	// Standing is what the engine wants back with the block after a restart.
	Standing []byte
}

// Passage holds when this node saw a block reach each phase. A time is zero if
// the node was not there to see it (the block was fetched later). With a
// two-phase rule PRECOMMIT and COMMIT are one.
type Passage struct {
	Prepare   time.Time // the proposal was accepted
	Precommit time.Time // a certificate for the block was seen
	Commit    time.Time // a certificate for its child was seen
	Decide    time.Time // it became final
}

// ViewBegan tells of a view that begins.
type ViewBegan struct {
	Epoch    types.Epoch
	View     types.View
	Leader   types.ValidatorIndex
	TimedOut bool                 // the view before did not end in time
	Failed   types.ValidatorIndex // whose fault that was, as far as can be seen
}
