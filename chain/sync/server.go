package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Server answers requests from what the node holds. It is safe for concurrent
// use.
type Server struct {
	Store *store.Store
	// Executed is the highest height in the store.
	Executed func() types.Height
	// Pending lists the decided blocks that are not in the store yet.
	Pending func() []*types.Block
	// Undecided lists the blocks above the decided ones up to the given one.
	Undecided func(context.Context, hash.Hash) []*types.Block
}

// Serve answers one request.
func (s *Server) Serve(ctx context.Context, req Request) (Response, error) {
	// Later places first: a block that moves on meanwhile is then found twice
	// rather than not at all.
	var undecided []*types.Block
	if !req.Block.IsZero() {
		undecided = s.Undecided(ctx, req.Block)
	}
	pending := s.Pending()
	executed := s.Executed()
	out := Response{Tip: executed, Blocks: [][]byte{}}
	if n := len(pending); n > 0 {
		out.Tip = max(out.Tip, pending[n-1].Height)
	}
	size := 0
	add := func(raw []byte) bool {
		if len(out.Blocks) > 0 && (len(out.Blocks) >= MaxBlocks || size+len(raw) > MaxResponseBytes) {
			return false
		}
		out.Blocks = append(out.Blocks, raw)
		size += len(raw)
		return true
	}
	next := req.Above + 1
	for ; next <= executed; next++ {
		raw, err := s.Store.Block(uint64(next))
		if errors.Is(err, store.ErrNotFound) {
			return out, nil // pruned
		}
		if err != nil {
			return Response{}, fmt.Errorf("serve block %d: %w", next, err)
		}
		if !add(raw) {
			return out, nil
		}
	}
	parent, known := lastHash(out.Blocks)
	for _, b := range slices.Concat(pending, undecided) {
		if b.Height != next {
			continue
		}
		// What was undecided a moment ago may have lost to another block since.
		if known && b.Parent() != parent || !add(b.Raw()) {
			break
		}
		parent, known = b.Hash(), true
		next++
	}
	return out, nil
}

// lastHash is the hash of the last of some encoded blocks, if there is one.
func lastHash(blocks [][]byte) (hash.Hash, bool) {
	if len(blocks) == 0 {
		return hash.Hash{}, false
	}
	b, err := types.DecodeBlock(blocks[len(blocks)-1])
	if err != nil {
		return hash.Hash{}, true // nothing follows it
	}
	return b.Hash(), true
}
