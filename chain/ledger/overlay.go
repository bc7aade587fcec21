package ledger

import (
	"bytes"
	"slices"

	"github.com/starlingmesh/starling/chain/state"
)

// Reader is the state before a block. A missing key is (nil, nil). Values must
// not be changed by either side.
type Reader interface {
	Get(key []byte) ([]byte, error)
}

// overlay is the state as the block has changed it so far. Each key is read from
// the state below at most once.
type overlay struct {
	below Reader
	slots map[string]*slot
	// failed is the first error of set.
	failed error
	// pool is the pool of confidential outputs; outputs are those that the block made.
	pool    Pool
	outputs []Output
}

type slot struct{ before, after []byte }

func newOverlay(below Reader, sizeHint int) *overlay {
	return &overlay{below: below, slots: make(map[string]*slot, sizeHint)}
}

func (o *overlay) get(key []byte) ([]byte, error) {
	if s, known := o.slots[string(key)]; known {
		return s.after, nil
	}
	value, err := o.below.Get(key)
	if err != nil {
		return nil, err
	}
	o.slots[string(key)] = &slot{value, value}
	return value, nil
}

// put changes a key that was read before: views read what they write.
func (o *overlay) put(key, value []byte) { o.slots[string(key)].after = value }

// Get implements [Reader].
func (o *overlay) Get(key []byte) ([]byte, error) { return o.get(key) }

// set changes a key whether it was read before or not; nil deletes it. A state that
// cannot be read makes the next reader fail.
func (o *overlay) set(key, value []byte) {
	if _, err := o.get(key); err == nil {
		o.put(key, value)
	} else if o.failed == nil {
		o.failed = err
	}
}

// changes lists what is different from the state below, in ascending order of key.
func (o *overlay) changes() []state.Change {
	var out []state.Change
	for key, s := range o.slots {
		if !same(s.before, s.after) {
			out = append(out, state.Change{Key: []byte(key), Value: s.after})
		}
	}
	slices.SortFunc(out, func(a, b state.Change) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// same tells an absent value from an empty one.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
