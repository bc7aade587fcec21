package events

import (
	"time"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Kind names what an event is about. Values are part of the API.
type Kind string

// The kinds of events.
const (
	KindBlock       Kind = "block"       // a block was decided
	KindTransaction Kind = "transaction" // a transaction came in or was decided
	KindView        Kind = "view"        // consensus entered a view
	KindPeer        Kind = "peer"        // a connection came or went
	KindOffence     Kind = "offence"     // a validator was proven to have broken the protocol
	KindGap         Kind = "gap"         // events were lost to this subscriber
)

// Kinds lists what can be published and asked for.
func Kinds() []Kind { return []Kind{KindBlock, KindTransaction, KindView, KindPeer, KindOffence} }

// Event is one thing that happened. ID grows by one with every event of a node's
// lifetime, beginning with 1.
type Event struct {
	ID   uint64
	Kind Kind
	Time time.Time
	Data Payload
}

// Payload is what an event says: one of the types below. A published payload is
// shared between subscribers and must not be changed.
type Payload interface{ kind() Kind }

// Block says that a block was decided.
type Block struct {
	Height   uint64    `json:"height"`
	Hash     hash.Hash `json:"hash"`
	View     uint64    `json:"view"`
	Proposer string    `json:"proposer"`
	Txs      int       `json:"txs"`
	Time     time.Time `json:"time"` // by the proposer's clock
	DecideMS int64     `json:"decide_ms"`
}

// Transaction says that a transaction's status changed. Height and Code are set
// once it is decided.
type Transaction struct {
	ID     hash.Hash `json:"id"`
	Status string    `json:"status"`
	Height uint64    `json:"height,omitempty"`
	Code   string    `json:"code,omitempty"`
}

// View says that consensus entered a view. Timeout tells that the view before
// was given up.
type View struct {
	View    uint64 `json:"view"`
	Leader  string `json:"leader"`
	Timeout bool   `json:"timeout"`
	Failed  string `json:"failed,omitempty"` // whose silence cost the view before
}

// Peer says that a connection came or went. Connections is the number after it.
type Peer struct {
	ID          string `json:"id"`
	Connected   bool   `json:"connected"`
	Connections int    `json:"connections"`
}

// Offence says that a validator was proven to have broken the protocol; a block
// will carry the proof. ID is the same for everybody who proves it.
type Offence struct {
	Validator string    `json:"validator"`
	Offence   string    `json:"offence"`
	ID        hash.Hash `json:"id"`
}

// Gap says that the events after From and before Next were lost to the
// subscriber, because it was away or slow for longer than the ring remembers.
type Gap struct {
	From uint64 `json:"from"`
	Next uint64 `json:"next"`
}

func (Block) kind() Kind       { return KindBlock }
func (Transaction) kind() Kind { return KindTransaction }
func (View) kind() Kind        { return KindView }
func (Peer) kind() Kind        { return KindPeer }
func (Offence) kind() Kind     { return KindOffence }
func (Gap) kind() Kind         { return KindGap }
