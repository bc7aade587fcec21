package store

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
)

// Request goes to a peer; exactly one field is set.
type Request struct {
	_     struct{} `cbor:",toarray"`
	Ring  *ring.Question
	Get   *Get
	Put   []*Item // of one record
	Spans []Span  // compared with what the other holds
	Fetch []Short
	Push  []*Item // of any records that the receiver should hold
	Watch *Watch
	// Changed says that a record that the receiver watches has changed.
	Changed *ring.ID
}

// Watch asks to be told of the next change of a record.
type Watch struct {
	_    struct{} `cbor:",toarray"`
	Key  ring.ID
	Have hash.Hash // the digest of what the sender has
}

// Get asks for a record.
type Get struct {
	_    struct{} `cbor:",toarray"`
	Key  ring.ID
	Full bool // or only its digest
}

// Span is an arc and what the sender holds on it.
type Span struct {
	_   struct{} `cbor:",toarray"`
	Arc Arc
	Sum Sum
}

// Short is the first half of an item's hash, which stands for it where holders compare.
type Short [hash.Size / 2]byte

func short(id hash.Hash) Short { return Short(id[:hash.Size/2]) }

// Difference answers a span: the same, all items if they are few, or smaller spans.
type Difference struct {
	_      struct{} `cbor:",toarray"`
	Same   bool
	IDs    []Short
	Pieces []Span
}

// Role is what a peer is for a key.
type Role uint8

// The roles.
const (
	Stranger Role = 0
	Holder   Role = 1 // one of those after the owner
	Primary  Role = 2 // the owner of the key
)

// Response answers a request.
type Response struct {
	_       struct{} `cbor:",toarray"`
	Ring    *ring.Answer
	Role    Role // for the key of Get and Put
	Settled bool // it has fetched what it must hold since it came
	Digest  hash.Hash
	Items   []*Item
	Differ  []Difference
	Refusal Refusal
}

// Refusal is why a holder did not take an item.
type Refusal uint8

// refusals are what a caller can decide on, by their number on the wire. Numbers are not used
// again.
var refusals = []error{nil, ErrItem, ErrForged, ErrStale, ErrUnknown, ErrNotWriter, ErrVoid, ErrQuota, ErrFull, ErrWork, crdt.ErrFuture, ErrBusy, ring.ErrNotMember, crdt.ErrKind}

// ErrBusy means that a holder is asked too much.
var ErrBusy = errors.New("the holder has too much to do; try again in a moment")

// refusal is the number of an error; ErrItem's if it has none.
func refusal(err error) Refusal {
	if err == nil {
		return 0
	}
	for i, known := range refusals[1:] {
		if errors.Is(err, known) {
			return Refusal(i + 1)
		}
	}
	return 1
}

// Err is the error of a refusal.
func (r Refusal) Err() error {
	if int(r) >= len(refusals) {
		return fmt.Errorf("refused for a reason of number %d, which this version does not know", r)
	}
	return refusals[r]
}

// Items lists all that a request carries and that must be verified.
func (r *Request) Items() []*Item { return append(r.Put, r.Push...) }

// Refuse is the answer to who asked for what must not be. It counts as a holder's: nobody need
// look for another one.
func Refuse(err error) *Response { return &Response{Role: Holder, Refusal: refusal(err)} }
