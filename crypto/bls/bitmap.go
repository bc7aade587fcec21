package bls

import (
	"fmt"
	"iter"
	"math/bits"
)

// Bitmap is a set of signers by their index in the validator set: bit i%8 of
// byte i/8, least significant first. Its only valid form for n validators has
// exactly ceil(n/8) bytes and no bit from n on; check what arrives from others
// with [ParseBitmap] or [Bitmap.Validate].
type Bitmap []byte

// NewBitmap returns the empty set over n validators.
func NewBitmap(n int) Bitmap { return make(Bitmap, (max(n, 0)+7)/8) }

// ParseBitmap checks that b is a canonical set over n validators and copies it.
func ParseBitmap(b []byte, n int) (Bitmap, error) {
	if err := Bitmap(b).Validate(n); err != nil {
		return nil, err
	}
	return append(make(Bitmap, 0, len(b)), b...), nil
}

// Validate returns [ErrBitmap] unless b is a canonical set over n validators.
func (b Bitmap) Validate(n int) error {
	if want := (max(n, 0) + 7) / 8; len(b) != want {
		return fmt.Errorf("%w: %d bytes for %d validators, want %d", ErrBitmap, len(b), n, want)
	}
	if rest := n % 8; rest > 0 && b[len(b)-1]>>rest != 0 {
		return fmt.Errorf("%w: a bit beyond the last of %d validators is set", ErrBitmap, n)
	}
	return nil
}

// Set adds signer i. An index beyond the bitmap is ignored.
func (b Bitmap) Set(i int) {
	if i >= 0 && i/8 < len(b) {
		b[i/8] |= 1 << (i % 8)
	}
}

// Has reports whether signer i is in the set.
func (b Bitmap) Has(i int) bool {
	return i >= 0 && i/8 < len(b) && b[i/8]>>(i%8)&1 == 1
}

// Count returns how many signers are in the set.
func (b Bitmap) Count() int {
	n := 0
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// All yields the signers in ascending order.
func (b Bitmap) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, x := range b {
			for ; x != 0; x &= x - 1 {
				if !yield(8*i + bits.TrailingZeros8(x)) {
					return
				}
			}
		}
	}
}
