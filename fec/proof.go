package fec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrNoLie means that a proof of a lie proves nothing.
var ErrNoLie = errors.New("this proves nothing")

// Check verifies a signature of a named sender.
type Check func(sender Sender, message, signature []byte) bool

// Signed is a statement with its sender's signature.
type Signed struct {
	Statement Statement
	Signature []byte
}

// signedSize is the length of an encoded Signed.
const signedSize = headerSize + 2*nodeSize + signSize

// Encode returns the fixed encoding: the header of shred 0, both roots, the signature.
func (s Signed) Encode() []byte {
	out := make([]byte, headerSize, signedSize)
	s.Statement.put(out, 0)
	out = append(out, s.Statement.Before[:]...)
	out = append(out, s.Statement.Root[:]...)
	return append(out, s.Signature...)
}

// DecodeSigned reads what [Signed.Encode] wrote. It does not check the signature.
func DecodeSigned(raw []byte) (Signed, error) {
	if len(raw) != signedSize || raw[0] != version || raw[2]&^flagLast != 0 {
		return Signed{}, fmt.Errorf("%w: statement of %d bytes", ErrShred, len(raw))
	}
	h := Shred{raw}
	s := Signed{Signature: bytes.Clone(raw[signedSize-signSize:]), Statement: Statement{
		Stream: h.Stream(), Set: h.set(), Shape: h.shape(), Size: uint32(h.size()), Shard: binary.BigEndian.Uint16(raw[30:]),
		Codec: Codec(raw[3]), Last: raw[2] == flagLast,
		Before: Root(raw[headerSize : headerSize+nodeSize]), Root: Root(raw[headerSize+nodeSize : headerSize+2*nodeSize]),
	}}
	if !bytes.Equal(s.Encode(), raw) || s.Statement.Shape.Validate() != nil {
		return Signed{}, fmt.Errorf("%w: a field of the statement is out of range", ErrShred)
	}
	return s, nil
}

// Equivocation is two statements of a sender about one set.
type Equivocation struct{ One, Two Signed }

// Check returns an error unless it proves that the sender lied. Anybody who knows the
// sender's key comes to the same result.
func (e Equivocation) Check(chain hash.Hash, check Check) error {
	if e.One.Statement == e.Two.Statement || e.One.Statement.Place() != e.Two.Statement.Place() {
		return fmt.Errorf("two statements about one set: %w", ErrNoLie)
	}
	for _, s := range []Signed{e.One, e.Two} {
		if message := s.Statement.Message(chain); !check(s.Statement.Sender, message[:], s.Signature) {
			return fmt.Errorf("two statements about one set: %w: %w", ErrNoLie, ErrSignature)
		}
	}
	return nil
}

// Inconsistency is a signed set that is no code word: enough shreds of it to see that.
type Inconsistency struct{ Shreds [][]byte }

// Inconsistency collects the proof after Rebuild has returned ErrInconsistent.
func (g *Gatherer) Inconsistency() Inconsistency {
	var out Inconsistency
	for i := range g.shards {
		if g.Has(i) {
			out.Shreds = append(out.Shreds, g.Shred(i))
		}
	}
	return out
}

// Check returns the lying sender's statement, or an error if the shreds prove nothing.
func (i Inconsistency) Check(chain hash.Hash, codes *Codes, check Check) (Statement, error) {
	var g *Gatherer
	var known *Statement
	for _, raw := range i.Shreds {
		s, err := Parse(raw)
		if err != nil {
			return Statement{}, fmt.Errorf("inconsistent set: %w: %w", ErrNoLie, err)
		}
		v, st, err := Verify(s, chain, known, check)
		if err != nil {
			return Statement{}, fmt.Errorf("inconsistent set: %w: %w", ErrNoLie, err)
		}
		if g == nil {
			known, g = &st, NewGatherer(st, s.Signature())
		}
		g.Add(v)
	}
	if g == nil {
		return Statement{}, fmt.Errorf("inconsistent set: %w: no shreds", ErrNoLie)
	}
	if _, err := g.Rebuild(codes); !errors.Is(err, ErrInconsistent) {
		return Statement{}, fmt.Errorf("inconsistent set: %w", ErrNoLie)
	}
	return *known, nil
}
