package fec

import "fmt"

// Shape is how many shreds of each sort a set has. On the wire it decides the code:
// Leopard GF(2^8) up to 256 shreds, GF(2^16) above.
type Shape struct{ Data, Parity int }

// DefaultShape survives the loss of half of a set.
var DefaultShape = Shape{Data: 32, Parity: 32}

const (
	// MaxShreds is the most shreds of a set.
	MaxShreds = 2048
	// shardAlign is what Leopard codes need shards to be a multiple of, in bytes.
	shardAlign = 64
	// maxShard bounds the payload of a shred.
	maxShard = 32 << 10
)

// Total is the number of shreds of a set.
func (s Shape) Total() int { return s.Data + s.Parity }

// Validate refuses what the codes cannot do.
func (s Shape) Validate() error {
	if s.Data < 1 || s.Parity < 1 || s.Total() > MaxShreds {
		return fmt.Errorf("%w: %d data and %d parity shreds: want at least one of each and at most %d together", ErrShape, s.Data, s.Parity, MaxShreds)
	}
	return nil
}

// String is the shape as in "32+32".
func (s Shape) String() string { return fmt.Sprintf("%d+%d", s.Data, s.Parity) }

// depth is the number of hashes in a Merkle proof.
func (s Shape) depth() int {
	depth := 0
	for n := 1; n < s.Total(); n *= 2 {
		depth++
	}
	return depth
}

// shardFor is the payload of each shred of a set that carries size bytes.
func (s Shape) shardFor(size int) int {
	each := (size + s.Data - 1) / s.Data
	return max(shardAlign, (each+shardAlign-1)/shardAlign*shardAlign)
}

// shardWithin is the largest payload with which a shred is at most limit bytes long; 0 if
// there is none.
func (s Shape) shardWithin(limit int) int {
	room := limit - fixedSize - s.depth()*nodeSize
	return max(0, min(room, maxShard)/shardAlign*shardAlign)
}
