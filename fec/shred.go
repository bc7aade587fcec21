package fec

import (
	"encoding/binary"
	"fmt"
)

// The layout of a shred, all numbers big-endian:
//
//	 0  version, 1
//	 1  channel
//	 2  flags: 1 last set
//	 3  codec
//	 4  sender, 8
//	12  slot, 8
//	20  set, 4
//	24  index, 2
//	26  data shreds, 2
//	28  parity shreds, 2
//	30  shard in units of 64 bytes, 2
//	32  payload bytes in the set, 4
//	36  root of the set before, 20
//	56  signature, 64
//	120 Merkle proof, 20 each
//	    payload
const (
	version    = 1
	flagLast   = 1
	headerSize = 36
	beforeAt   = headerSize
	signAt     = beforeAt + nodeSize
	signSize   = 64
	fixedSize  = signAt + signSize

	// DefaultLimit is the longest shred in bytes that fits a QUIC datagram before
	// path discovery, with a few bytes of framing.
	DefaultLimit = 1238
	// MaxSize is the longest shred of any shape.
	MaxSize = fixedSize + 11*nodeSize + maxShard
)

// Shred is one shred in its wire form, of which [Parse] has checked the form. It is a
// view: it shares memory with what was parsed.
type Shred struct{ raw []byte }

// Parse checks the form of a shred: every field in range, the length exactly what the
// fields say. It checks neither proof nor signature, and allocates nothing unless it
// refuses.
func Parse(raw []byte) (Shred, error) {
	if len(raw) < fixedSize || raw[0] != version {
		return Shred{}, fmt.Errorf("%w: %d bytes, or of another version", ErrShred, len(raw))
	}
	s := Shred{raw}
	shape, shard := s.shape(), s.shard()
	switch {
	case raw[2]&^flagLast != 0 || shape.Validate() != nil || shard == 0 || shard > maxShard || Codec(raw[3]) > codecs:
		return Shred{}, fmt.Errorf("%w: a field is out of range", ErrShred)
	case s.Index() >= shape.Total():
		return Shred{}, fmt.Errorf("%w: index %d in a set of %s", ErrShred, s.Index(), shape)
	case shape.shardFor(s.size()) != shard || s.size() == 0:
		return Shred{}, fmt.Errorf("%w: %d bytes in shards of %d, %s", ErrShred, s.size(), shard, shape)
	case len(raw) != fixedSize+shape.depth()*nodeSize+shard:
		return Shred{}, fmt.Errorf("%w: %d bytes long", ErrShred, len(raw))
	case s.set() == 0 && Root(raw[beforeAt:signAt]) != Root{}:
		return Shred{}, fmt.Errorf("%w: a first set with one before it", ErrShred)
	}
	return s, nil
}

// Raw is the wire form.
func (s Shred) Raw() []byte { return s.raw }

// Stream says which payload the shred is of.
func (s Shred) Stream() Stream {
	return Stream{Channel(s.raw[1]), Sender(binary.BigEndian.Uint64(s.raw[4:])), binary.BigEndian.Uint64(s.raw[12:])}
}

// Place says which set the shred is of.
func (s Shred) Place() Place { return Place{s.Stream(), s.set()} }

// Index is the shred's place in its set: data shreds come first.
func (s Shred) Index() int { return int(binary.BigEndian.Uint16(s.raw[24:])) }

// IsData reports whether the payload is a piece of the sender's, not parity.
func (s Shred) IsData() bool { return s.Index() < s.shape().Data }

// Payload is the shred's piece of the code word.
func (s Shred) Payload() []byte { return s.raw[len(s.raw)-s.shard():] }

// Signature is the sender's over [Statement.Message].
func (s Shred) Signature() []byte { return s.raw[signAt:fixedSize] }

func (s Shred) proof() []byte { return s.raw[fixedSize : len(s.raw)-s.shard()] }
func (s Shred) set() uint32   { return binary.BigEndian.Uint32(s.raw[20:]) }
func (s Shred) size() int     { return int(binary.BigEndian.Uint32(s.raw[32:])) }
func (s Shred) shard() int    { return int(binary.BigEndian.Uint16(s.raw[30:])) * shardAlign }
func (s Shred) shape() Shape {
	return Shape{int(binary.BigEndian.Uint16(s.raw[26:])), int(binary.BigEndian.Uint16(s.raw[28:]))}
}

// Statement is what the sender must have signed for this shred to be genuine: the root is
// computed from payload and proof. It allocates nothing.
func (s Shred) Statement() Statement {
	st, _ := s.examine()
	return st
}

func (s Shred) examine() (Statement, node) {
	st, leaf := s.claim(), leafOf(s.Payload())
	st.Root = climb(leaf, s.Index(), s.proof())
	return st, leaf
}

// claim is the statement without its root.
func (s Shred) claim() Statement {
	return Statement{
		Stream: s.Stream(), Set: s.set(), Shape: s.shape(), Size: uint32(s.size()), Shard: uint16(s.shard() / shardAlign),
		Codec: Codec(s.raw[3]), Last: s.raw[2]&flagLast != 0, Before: Root(s.raw[beforeAt:signAt]),
	}
}

// put writes the header of a shred with an index.
func (s Statement) put(out []byte, index int) {
	out[0], out[1], out[2], out[3] = version, byte(s.Channel), 0, byte(s.Codec)
	if s.Last {
		out[2] = flagLast
	}
	binary.BigEndian.PutUint64(out[4:], uint64(s.Sender))
	binary.BigEndian.PutUint64(out[12:], s.Slot)
	binary.BigEndian.PutUint32(out[20:], s.Set)
	binary.BigEndian.PutUint16(out[24:], uint16(index))
	binary.BigEndian.PutUint16(out[26:], uint16(s.Shape.Data))
	binary.BigEndian.PutUint16(out[28:], uint16(s.Shape.Parity))
	binary.BigEndian.PutUint16(out[30:], s.Shard)
	binary.BigEndian.PutUint32(out[32:], s.Size)
}
