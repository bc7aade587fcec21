// Package canon is the one byte encoding of everything that is hashed, signed,
// stored or sent: deterministic CBOR (RFC 8949, section 4.2.1).
//
// Look at [Marshal] and [Unmarshal]. Decoding is strict: bytes that a value
// would not encode to again are refused, so two different byte strings never
// stand for the same value. Structs are encoded as arrays (`cbor:",toarray"`);
// adding a field therefore is a change of format, never a silent extension.
// The package imports nothing of the project.
package canon

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// MaxDepth is how deep arrays and maps may nest.
const MaxDepth = 16

// ErrNotCanonical means that the bytes decode to a value whose canonical
// encoding is different from them.
var ErrNotCanonical = errors.New("not in canonical form")

var enc = must(cbor.CoreDetEncOptions().UserBufferEncMode())

// again holds what values are encoded to again while they are decoded.
var again = sync.Pool{New: func() any { return new(bytes.Buffer) }}

var dec = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	TagsMd:            cbor.TagsForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	MaxNestedLevels:   MaxDepth,
	MaxArrayElements:  MaxElements,
	MaxMapPairs:       1 << 16,
	UTF8:              cbor.UTF8RejectInvalid,
}.DecMode())

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err) // the options above are constants: this can only fail while developing
	}
	return mode
}

// Raw is an encoded value that is kept as it is inside another one.
type Raw = cbor.RawMessage

// Marshal encodes v canonically. It fails only for types that CBOR cannot carry.
func Marshal(v any) ([]byte, error) {
	b, err := enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// MustMarshal is [Marshal] for types made only of integers, byte strings, text
// and arrays of these, which cannot fail.
func MustMarshal(v any) []byte { return must(Marshal(v)) }

// Unmarshal decodes data into v, a pointer, and refuses trailing bytes, tags,
// indefinite lengths and anything that is not canonical ([ErrNotCanonical]).
// Memory stays within a small multiple of len(data).
func Unmarshal(data []byte, v any) error {
	if err := dec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	buf := again.Get().(*bytes.Buffer)
	defer again.Put(buf)
	buf.Reset()
	if err := enc.MarshalToBuffer(v, buf); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	if !bytes.Equal(buf.Bytes(), data) {
		return fmt.Errorf("decode %T: %w", v, ErrNotCanonical)
	}
	return nil
}
