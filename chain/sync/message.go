package sync

import (
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Caps of one response.
const (
	MaxBlocks        = 128     // blocks
	MaxResponseBytes = 8 << 20 // sum of the encoded blocks, unless one alone is larger
)

// Request asks for blocks above a height, lowest first: decided ones as far as
// they reach, then the undecided ancestors of Block and Block itself.
type Request struct {
	_     struct{} `cbor:",toarray"`
	Above types.Height
	Block hash.Hash // zero: decided blocks only
	// Parcel is a number under which a large answer may come beside the response, over a
	// channel for lossy paths; 0 if the asker has none.
	Parcel uint64
}

// Response holds consecutive blocks from Request.Above + 1 on, possibly none.
type Response struct {
	_      struct{}     `cbor:",toarray"`
	Tip    types.Height // the server's highest decided block
	Blocks [][]byte
	// Parcelled is set if the response itself comes as the parcel that was offered.
	Parcelled bool
}
