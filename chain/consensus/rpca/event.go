package rpca

import (
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Event is something that happened: one of [Start], [PositionIn],
// [ValidationIn], [TxSetIn], [Ledgers], [Payload], [Tick].
type Event interface{ event() }

// Start begins. It is the first event, once.
type Start struct{}

// PositionIn is a position whose signature was checked.
type PositionIn struct{ Position Position }

// ValidationIn is a validation whose signature was checked.
type ValidationIn struct{ Validation Validation }

// TxSetIn is a transaction set that a peer served.
type TxSetIn struct{ Set *TxSet }

// Ledger is a ledger that a peer served, with the certificate that made it
// final if the peer has one.
type Ledger struct {
	Block *types.Block
	Cert  *types.QC
}

// Ledgers are ledgers that were fetched, ancestors first.
type Ledgers struct {
	From    string // who served them, for blame
	Ledgers []Ledger
}

// Payload answers [BuildPayload].
type Payload struct {
	Parent hash.Hash
	Txs    [][]byte
	Hurry  bool // close even without transactions
}

// Tick says that the time set by [SetTimer] has passed.
type Tick struct{}

func (Start) event()        {}
func (PositionIn) event()   {}
func (ValidationIn) event() {}
func (TxSetIn) event()      {}
func (Ledgers) event()      {}
func (Payload) event()      {}
func (Tick) event()         {}

// Effect is something that the driver is to do: one of [Persist],
// [BroadcastPosition], [BroadcastValidation], [SetTimer], [BuildPayload],
// [FetchTxSet], [FetchLedger], [Decided], [EnterRound], [Blame], [Halt].
type Effect interface{ effect() }

// Persist asks for the record to be appended to the vote log and synced before
// any later effect is carried out.
type Persist struct{ Record Record }

// BroadcastPosition asks for the own position to be sent to all.
type BroadcastPosition struct{ Position Position }

// BroadcastValidation asks for an own validation to be sent to all.
type BroadcastValidation struct{ Validation Validation }

// SetTimer replaces the one timer that the core uses.
type SetTimer struct{ After time.Duration }

// BuildPayload asks for transactions that none of the undecided ledgers, the
// last of which is the parent, contains; the driver answers with [Payload].
type BuildPayload struct {
	Parent    hash.Hash
	Undecided []*types.Block
}

// FetchTxSet asks for a transaction set that the holders' positions name. What
// comes is checked by its hash.
type FetchTxSet struct {
	Set     hash.Hash
	Holders bls.Bitmap
}

// FetchLedger asks for a ledger and its ancestors, from height Above+1 on, as
// many as fit a response, with their certificates where there are any. The
// validators in Holders work on it.
type FetchLedger struct {
	Block   hash.Hash
	Above   types.Height
	Holders bls.Bitmap
}

// Decided says that the ledger is final. Ledgers come in order of height, each
// exactly once in the life of a core. Cert holds the full validations of this
// ledger or, if it became final through a descendant, of that one: then
// Cert.View is the descendant's height.
type Decided struct {
	Block   *types.Block
	Cert    types.QC
	Passage consensus.Passage
}

// EnterRound says that a round began on top of a ledger. Expired tells that the
// round before was given up, Switched that this node has left its branch for
// the one that its list prefers.
type EnterRound struct {
	Height   types.Height // of the ledger to be made
	Parent   hash.Hash
	Expired  bool
	Switched bool
}

// Blame says that somebody broke the protocol: a validator, or, if From is not
// empty, the peer who served something.
type Blame struct {
	Validator types.ValidatorIndex
	From      string
	Reason    string
}

// Halt says that the node cannot go on: Err is a [ConflictError] or a fault of
// its own.
type Halt struct{ Err error }

func (Persist) effect()             {}
func (BroadcastPosition) effect()   {}
func (BroadcastValidation) effect() {}
func (SetTimer) effect()            {}
func (BuildPayload) effect()        {}
func (FetchTxSet) effect()          {}
func (FetchLedger) effect()         {}
func (Decided) effect()             {}
func (EnterRound) effect()          {}
func (Blame) effect()               {}
func (Halt) effect()                {}
