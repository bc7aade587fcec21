package canon

import (
	"errors"
	"fmt"
)

// MaxElements is how many elements an array may have.
const MaxElements = 1 << 20

// ErrShape means that something else stands where an item was expected.
var ErrShape = errors.New("not the expected item")

// Reader takes an encoding apart without copying it: for values that are mostly long byte
// strings, which [Unmarshal] would copy and encode again. It is as strict: whatever it
// reads to the end has one encoding only, if the items from [Reader.Raw] are decoded by
// Unmarshal. The first error stays.
type Reader struct {
	rest []byte
	err  error
}

// Read begins at the start of data. What is read shares memory with it.
func Read(data []byte) *Reader { return &Reader{rest: data} }

// The major types of CBOR that are read here (RFC 8949, section 3.1).
const (
	majorUint  = 0
	majorBytes = 2
	majorArray = 4
)

// The simple values that are read here (section 3.3).
const (
	simpleFalse = 0xf4
	simpleTrue  = 0xf5
	simpleNull  = 0xf6
)

// head reads the head of an item that has elements.
func (r *Reader) head(major byte) int {
	n := r.argument(major)
	if n > uint64(len(r.rest)) { // an element has a byte at least
		r.fail(fmt.Errorf("decode: %w: longer than the data", ErrShape))
		return 0
	}
	return int(n)
}

// argument reads an item's type and argument, which must stand in its shortest form.
func (r *Reader) argument(major byte) uint64 {
	if r.err != nil {
		return 0
	}
	if len(r.rest) == 0 {
		r.fail(fmt.Errorf("decode: %w: the data end", ErrShape))
		return 0
	}
	first := r.rest[0]
	short, extra := uint64(first&31), 0
	switch {
	case first>>5 != major || short > 27:
		r.fail(fmt.Errorf("decode: %w: type %d, want %d", ErrShape, first>>5, major))
		return 0
	case short >= 24:
		extra = 1 << (short - 24)
	}
	if len(r.rest) < 1+extra {
		r.fail(fmt.Errorf("decode: %w: the data end", ErrShape))
		return 0
	}
	n := short
	if extra > 0 {
		n = 0
		for _, b := range r.rest[1 : 1+extra] {
			n = n<<8 | uint64(b)
		}
		least := [...]uint64{1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}
		if n < least[extra] {
			r.fail(fmt.Errorf("decode: %w: a length is longer than needed", ErrNotCanonical))
			return 0
		}
	}
	r.rest = r.rest[1+extra:]
	return n
}

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err, r.rest = err, nil
	}
}

// Uint reads an unsigned integer.
func (r *Reader) Uint() uint64 { return r.argument(majorUint) }

// Array reads the head of an array and returns how many elements follow.
func (r *Reader) Array() int {
	n := r.head(majorArray)
	if n > MaxElements {
		r.fail(fmt.Errorf("decode: %w: an array of %d elements", ErrShape, n))
		return 0
	}
	return n
}

// Struct reads the head of an array of exactly n elements.
func (r *Reader) Struct(n int) {
	if have := r.Array(); r.err == nil && have != n {
		r.fail(fmt.Errorf("decode: %w: %d fields, want %d", ErrShape, have, n))
	}
}

// Bytes reads a byte string: never nil unless it fails.
func (r *Reader) Bytes() []byte {
	n := r.head(majorBytes)
	if r.err != nil {
		return nil
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

// List reads an array of byte strings: never nil unless it fails.
func (r *Reader) List() [][]byte {
	n := r.Array()
	if r.err != nil {
		return nil
	}
	out := make([][]byte, n)
	for i := range out {
		out[i] = r.Bytes()
	}
	if r.err != nil {
		return nil
	}
	return out
}

// Raw reads any item as it is. It may not be canonical: [Unmarshal] finds out.
func (r *Reader) Raw() []byte {
	if r.err != nil {
		return nil
	}
	var item Raw
	rest, err := dec.UnmarshalFirst(r.rest, &item)
	if err != nil {
		r.fail(fmt.Errorf("decode: %w", err))
		return nil
	}
	n := len(r.rest) - len(rest)
	out := r.rest[:n:n]
	r.rest = rest
	return out
}

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	yes := r.is(simpleTrue)
	if !yes && !r.is(simpleFalse) {
		r.fail(fmt.Errorf("decode: %w: no truth value", ErrShape))
	}
	return yes
}

// Null reports whether null stands next, and reads it if so.
func (r *Reader) Null() bool { return r.is(simpleNull) }

// is reads a byte if it stands next.
func (r *Reader) is(b byte) bool {
	if len(r.rest) == 0 || r.rest[0] != b {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// Done returns the first error, or one if something is left.
func (r *Reader) Done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail(fmt.Errorf("decode: %w: %d bytes too many", ErrShape, len(r.rest)))
	}
	return r.err
}
