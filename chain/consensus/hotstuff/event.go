package hotstuff

import (
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Event is something that happened: one of [Start], [Proposal], [VoteIn],
// [TimeoutIn], [TimerFired], [Payload], [Blocks], [NextSet].
type Event interface{ event() }

// Start enters the first view. It is the first event, once.
type Start struct{}

// Proposal is a block whose proposer signature and transactions were checked.
type Proposal struct{ Block *types.Block }

// VoteIn is a vote that came in. Its signature need not have been checked: a
// bad one is found when the certificate is made. The driver makes sure that
// the sender is the voter.
type VoteIn struct{ Vote types.Vote }

// TimeoutIn is a timeout that came in, unchecked.
type TimeoutIn struct{ Timeout types.Timeout }

// EndingIn is the proof, unchecked, that an epoch has ended.
type EndingIn struct{ Ending types.Ending }

// TimerFired says that the time set by [SetTimer] for the view has passed.
type TimerFired struct{ View types.View }

// NextSet says which validators the next epoch has: the hash of the set. The core
// can end its epoch only once it knows.
type NextSet struct{ Hash hash.Hash }

// Payload answers [BuildPayload].
type Payload struct {
	View    types.View
	Parent  hash.Hash
	Content types.Payload
}

// Blocks are blocks that were fetched, ancestors first. Their transactions need
// no check: each is used only once a certificate for it is known.
type Blocks struct {
	From   string // who served them, for blame
	Blocks []*types.Block
}

func (Start) event()      {}
func (Proposal) event()   {}
func (VoteIn) event()     {}
func (TimeoutIn) event()  {}
func (EndingIn) event()   {}
func (TimerFired) event() {}
func (Payload) event()    {}
func (Blocks) event()     {}
func (NextSet) event()    {}

// Effect is something that the driver is to do: one of [Persist], [Broadcast],
// [SendVote], [BroadcastTimeout], [ShowEnding], [SetTimer], [BuildPayload], [Fetch],
// [Decided], [EpochEnded], [Reassured], [EnterView], [Blame].
type Effect interface{ effect() }

// Persist asks for the record to be appended to the vote log and synced before
// any later effect is carried out.
type Persist struct{ Record Record }

// Broadcast asks for the own proposal to be sent to everyone.
type Broadcast struct{ Block *types.Block }

// SendVote asks for the own vote to be sent to one validator, never oneself.
type SendVote struct {
	To   types.ValidatorIndex
	Vote types.Vote
}

// BroadcastTimeout asks for the own timeout to be sent to all validators.
type BroadcastTimeout struct{ Timeout types.Timeout }

// ShowEnding asks for the proof that the epoch before has ended to be sent to all:
// somebody is still in it.
type ShowEnding struct{ Ending types.Ending }

// SetTimer replaces the one timer that the core uses.
type SetTimer struct {
	View  types.View
	After time.Duration
}

// BuildPayload asks the leader's driver for transactions to propose on top of
// Parent; it answers with [Payload], now or, while there is nothing to do, later.
type BuildPayload struct {
	View   types.View
	Parent *types.Block
	// Hurry says that undecided transactions wait for further blocks (or that
	// views were lost), so that an empty payload is better than a late one.
	Hurry bool
}

// Fetch asks for a missing block and its ancestors, down to height Above
// (exclusive). The validators in Holders voted for it and so have it. If nobody is in
// Holders the block may be a liar's invention, but decided blocks are wanted.
type Fetch struct {
	Epoch   types.Epoch // whose validators Holders are
	Block   hash.Hash
	Above   types.Height
	Holders bls.Bitmap
}

// Decided says that the block is final. Blocks come in order of height, each
// exactly once in the life of a core.
type Decided struct {
	Block   *types.Block
	Cert    types.QC // certifies Block
	Passage consensus.Passage
	// Standing is to be given back with the block after a restart.
	Standing []byte
}

// EpochEnded says that the epoch's last block was decided, as an effect before it
// said. It is the last effect: the core is done; the driver goes on with one for the next epoch, whose
// root is Last.
type EpochEnded struct {
	Epoch    types.Epoch
	Last     *types.Block
	Cert     types.QC
	Handover *types.Handover
}

// Reassured says that a replica whose vote log was in doubt may sign again.
type Reassured struct{ View types.View }

// EnterView says that a view has begun, for drivers that show or measure.
type EnterView struct {
	View     types.View
	Leader   types.ValidatorIndex
	TimedOut bool // the view before ended in a timeout certificate
	// Failed is who should have proposed in, or collected the votes of, the view
	// that timed out.
	Failed types.ValidatorIndex
}

// Blame says that somebody broke the protocol: a validator, or, if From is not
// empty, the peer who served fetched blocks.
type Blame struct {
	Epoch     types.Epoch
	Validator types.ValidatorIndex
	From      string
	Reason    string
	Evidence  *types.Evidence // the proof, if there is one that convinces others
}

func (Persist) effect()          {}
func (Broadcast) effect()        {}
func (SendVote) effect()         {}
func (BroadcastTimeout) effect() {}
func (ShowEnding) effect()       {}
func (SetTimer) effect()         {}
func (BuildPayload) effect()     {}
func (Fetch) effect()            {}
func (Decided) effect()          {}
func (EpochEnded) effect()       {}
func (Reassured) effect()        {}
func (EnterView) effect()        {}
func (Blame) effect()            {}
