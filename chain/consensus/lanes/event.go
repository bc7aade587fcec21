package lanes

import (
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Ack is one validator's statement that it holds a batch and everything below it.
type Ack struct {
	_         struct{} `cbor:",toarray"`
	Epoch     types.Epoch
	Lane      types.ValidatorIndex
	Height    types.LaneHeight
	Batch     hash.Hash
	Voter     types.ValidatorIndex
	Signature []byte // over types.LaneMessage
}

// Event is something that happened: one of [Start], [Txs], [BatchIn], [AckIn],
// [CertIn], [Decided], [Tick].
type Event interface{ event() }

// Start is the first event, once.
type Start struct{}

// Txs answers [WantTxs].
type Txs struct{ Txs [][]byte }

// BatchIn is a batch whose signature and transactions were checked, from its leader
// or fetched.
type BatchIn struct{ Batch *types.Batch }

// AckIn is an acknowledgement that came in. The driver makes sure that the sender is
// the voter; the signature need not have been checked.
type AckIn struct{ Ack Ack }

// CertIn is a certificate that came in, unchecked.
type CertIn struct{ Cert types.LaneCert }

// Decided is the next decided block, in order of height.
type Decided struct{ Block *types.Block }

// Tick says that the time set by [SetTimer] has passed.
type Tick struct{}

func (Start) event()   {}
func (Txs) event()     {}
func (BatchIn) event() {}
func (AckIn) event()   {}
func (CertIn) event()  {}
func (Decided) event() {}
func (Tick) event()    {}

// Effect is something that the driver is to do: one of [Persist], [SendBatch],
// [SendAck], [SendCert], [WantTxs], [Fetch], [Ordered], [SetTimer], [Blame].
type Effect interface{ effect() }

// Persist asks for a batch to be stored and synced before any later effect is carried
// out: an acknowledgement promises that it can be had, and that no other batch of its
// height is ever acknowledged.
type Persist struct{ Batch *types.Batch }

// SendBatch asks for the own batch to be sent to all validators.
type SendBatch struct{ Batch *types.Batch }

// SendAck asks for the own acknowledgement to be sent to a lane's leader.
type SendAck struct {
	To  types.ValidatorIndex
	Ack Ack
}

// SendCert asks for a certificate to be sent to all validators.
type SendCert struct{ Cert types.LaneCert }

// WantTxs asks for transactions of the own lane, now or when there are some; the
// driver answers once, with [Txs].
type WantTxs struct{ MaxBytes, MaxTxs int }

// Fetch asks holders for a batch, and those below it down to a height (exclusive).
// What comes is to be handed in from the top down.
type Fetch struct {
	Lane    types.ValidatorIndex
	Height  types.LaneHeight
	Batch   hash.Hash
	Above   types.LaneHeight
	Holders bls.Bitmap
}

// Ordered delivers the batches that a decided block orders, in order. Blocks come in
// order of height, each once, those without a cut too.
type Ordered struct {
	Block   *types.Block
	Batches []*types.Batch
}

// SetTimer replaces the one timer that the core uses.
type SetTimer struct{ After time.Duration }

// Blame says that a validator broke the protocol.
type Blame struct {
	Validator types.ValidatorIndex
	Reason    string
	Evidence  *types.Evidence // if others can be convinced
}

func (Persist) effect()   {}
func (SendBatch) effect() {}
func (SendAck) effect()   {}
func (SendCert) effect()  {}
func (WantTxs) effect()   {}
func (Fetch) effect()     {}
func (Ordered) effect()   {}
func (SetTimer) effect()  {}
func (Blame) effect()     {}
