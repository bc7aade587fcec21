package ledger

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/chain/types"
)

// view is what one transaction sees: the keys that it declared, over the block's
// overlay. Nothing reaches the overlay before commit. The first failure of a read
// sticks in err, the first undeclared access in refused; later reads then give
// nothing, so transactors need not check after every step.
type view struct {
	block   *overlay
	epoch   types.Epoch
	height  types.Height
	proven  bool   // the proofs of a confidential transaction hold
	cells   []cell // ascending by key
	fee     types.Drops
	burned  types.Drops
	refused []byte
	err     error
	// what goes into the pool of confidential outputs and out of it, and the outputs made
	poolIn, poolOut types.Drops
	outputs         []Output
}

type cell struct {
	key           []byte
	writable      bool
	loaded        bool
	before, after []byte
}

func newView(block *overlay, in Block, tx *types.Tx) *view {
	access := tx.Body.Access()
	v := &view{block: block, epoch: in.Epoch, height: in.Height, cells: make([]cell, 0, 2+len(access.Reads)+len(access.Writes))}
	if _, anonymous := tx.Body.(types.Anonymous); !anonymous {
		v.cells = append(v.cells, cell{key: types.AccountKey(tx.Sender()), writable: true})
	}
	if _, confidential := tx.Body.(types.Confidential); confidential {
		v.proven = in.Proven(tx)
	}
	if access.Stake {
		v.cells = append(v.cells, cell{key: types.StakeKey(tx.Sender()), writable: true})
	}
	if access.Signers {
		v.cells = append(v.cells, cell{key: types.SignersKey(tx.Sender()), writable: true})
	}
	for _, key := range access.Writes {
		v.cells = append(v.cells, cell{key: key, writable: true})
	}
	for _, key := range access.Reads {
		v.cells = append(v.cells, cell{key: key})
	}
	slices.SortStableFunc(v.cells, func(a, b cell) int { return bytes.Compare(a.key, b.key) })
	// Stable, and the writable ones were listed first: they are what is kept.
	v.cells = slices.CompactFunc(v.cells, func(a, b cell) bool { return bytes.Equal(a.key, b.key) })
	return v
}

// open returns the cell of a declared key with its value loaded, or nil.
func (v *view) open(key []byte, write bool) *cell {
	if v.err != nil || v.refused != nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(v.cells, key, func(c cell, key []byte) int { return bytes.Compare(c.key, key) })
	if !found || write && !v.cells[i].writable {
		v.refused = key
		return nil
	}
	c := &v.cells[i]
	if !c.loaded {
		value, err := v.block.get(key)
		if err != nil {
			v.err = fmt.Errorf("read state %q: %w", key, err)
			return nil
		}
		c.loaded, c.before, c.after = true, value, value
	}
	return c
}

func (v *view) get(key []byte) []byte {
	if c := v.open(key, false); c != nil {
		return c.after
	}
	return nil
}

// put sets a value; nil deletes it.
func (v *view) put(key, value []byte) {
	if c := v.open(key, true); c != nil {
		c.after = value
	}
}

// account reads an account and whether it exists.
func (v *view) account(a types.Address) (Account, bool) {
	raw := v.get(types.AccountKey(a))
	if raw == nil {
		return Account{}, false
	}
	account, err := DecodeAccount(raw)
	if err != nil {
		v.err = fmt.Errorf("account %s: %w: %w", a, ErrCorrupt, err)
		return Account{}, false
	}
	return account, true
}

func (v *view) setAccount(a types.Address, account Account) {
	v.put(types.AccountKey(a), account.Encode())
}

// burn counts drops that a transaction took out of an account and gave to nobody.
func (v *view) burn(d types.Drops) { v.burned += d }

// discard undoes everything since newView, except a failed read.
func (v *view) discard() {
	for i := range v.cells {
		v.cells[i].loaded = false
	}
	v.fee, v.burned, v.refused = 0, 0, nil
	v.poolIn, v.poolOut, v.outputs = 0, 0, nil
}

// commit hands what changed to the block.
func (v *view) commit() {
	for i := range v.cells {
		if c := &v.cells[i]; c.loaded && !same(c.before, c.after) {
			v.block.put(c.key, c.after)
		}
	}
	v.block.pool.Shielded += v.poolIn - v.poolOut
	v.block.outputs = append(v.block.outputs, v.outputs...)
}
