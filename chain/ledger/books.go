package ledger

import (
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
)

// books are what a block changes beside its transactions: an overlay of their own,
// whose coins are counted before it is merged into the block's.
type books struct {
	*overlay
	block *overlay
}

func newBooks(block *overlay) *books { return &books{newOverlay(block, 16), block} }

// close counts the coins of all touched entries, and merges if what is gone was
// burned. Otherwise this program is wrong, and the node must stop rather than make
// or lose money.
func (b *books) close(burned types.Drops) error {
	if b.failed != nil {
		return b.failed
	}
	var before, after sum128
	changes := b.changes()
	for _, c := range changes {
		was, err := b.block.get(c.Key)
		if err != nil {
			return err
		}
		for _, side := range []struct {
			raw []byte
			sum *sum128
		}{{was, &before}, {c.Value, &after}} {
			coins, err := coinsIn(c.Key, side.raw)
			if err != nil {
				return err
			}
			side.sum.add(coins)
		}
	}
	after.add(burned)
	if before != after {
		return fmt.Errorf("%w: coins before %d:%d, after with what was burned %d:%d", ErrInvariant, before.hi, before.lo, after.hi, after.lo)
	}
	for _, c := range changes {
		b.block.put(c.Key, c.Value)
	}
	return nil
}
