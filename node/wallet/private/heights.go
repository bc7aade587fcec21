package private

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"

	"github.com/starlingmesh/starling/chain/ledger"
)

// ripe reports whether an output of a height may be in a ring in the block after tip.
func ripe(height, tip uint64) bool { return height+ledger.RingAge <= tip+1 }

// heights are those of all outputs, by number: decoys are chosen by their age.
type heights []uint64

// MarshalBinary writes the steps from one to the next, most of which take a byte.
func (h heights) MarshalBinary() ([]byte, error) {
	var out []byte
	last := uint64(0)
	for _, n := range h {
		out = binary.AppendUvarint(out, n-last)
		last = n
	}
	return out, nil
}

// UnmarshalBinary reads what [heights.MarshalBinary] writes.
func (h *heights) UnmarshalBinary(raw []byte) error {
	*h = nil
	last := uint64(0)
	for len(raw) > 0 {
		step, n := binary.Uvarint(raw)
		if n <= 0 {
			return errors.New("a height is cut short")
		}
		last += step
		*h = append(*h, last)
		raw = raw[n:]
	}
	return nil
}

// MarshalText and its counterpart put the binary form into JSON.
func (h heights) MarshalText() ([]byte, error) {
	raw, err := h.MarshalBinary()
	return encode(raw), err
}

// UnmarshalText reads what MarshalText writes.
func (h *heights) UnmarshalText(text []byte) error {
	raw, err := decode(text)
	if err != nil {
		return err
	}
	return h.UnmarshalBinary(raw)
}

// ripe is how many of the outputs, counted from the first, may be in a ring.
func (h heights) ripe(tip uint64) int {
	return sort.Search(len(h), func(i int) bool { return !ripe(h[i], tip) })
}

// at is the range of outputs of the block of a height, or of the next below that has any.
func (h heights) at(height uint64) (from, to int) {
	to = sort.Search(len(h), func(i int) bool { return h[i] > height })
	if to == 0 {
		return 0, 0
	}
	from, _ = slices.BinarySearch(h, h[to-1])
	return from, to
}
