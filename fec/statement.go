package fec

import (
	"encoding/binary"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Sender names who cut a payload: the first bytes of a hash of its identity. Receivers
// know which key belongs to it.
type Sender uint64

// SenderOf makes the name of an identity, a libp2p peer id in bytes.
func SenderOf(identity []byte) Sender {
	sum := hash.Sum("starling/fec/sender", identity)
	return Sender(binary.BigEndian.Uint64(sum[:]))
}

// Channel tells streams of different use apart.
type Channel uint8

// Stream names a payload of a sender on a channel.
type Stream struct {
	Channel Channel
	Sender  Sender
	Slot    uint64
}

// Codec is how the payload of a stream is compressed.
type Codec uint8

// Root is the root of a set's Merkle tree.
type Root = node

// Statement is what a sender signs of a set. It is comparable.
type Statement struct {
	Stream
	Set    uint32 // place in the stream, from 0
	Shape  Shape
	Size   uint32 // bytes of payload in the set
	Shard  uint16 // payload of a shred in units of 64 bytes
	Codec  Codec
	Last   bool // no set comes after it
	Before Root // root of the set before; zero in the first
	Root   Root
}

// Message is what is signed: everything, and the network it is for.
func (s Statement) Message(chain hash.Hash) hash.Hash {
	var fixed [headerSize]byte
	s.put(fixed[:], 0)
	return hash.Sum("starling/fec/set", chain[:], fixed[:], s.Before[:], s.Root[:])
}

// Place tells sets of streams apart.
type Place struct {
	Stream
	Set uint32
}

// Place says which set it is.
func (s Statement) Place() Place { return Place{s.Stream, s.Set} }

// IsData reports whether a shred of the set is a piece of the payload, not parity.
func (s Statement) IsData(index int) bool { return index < s.Shape.Data }
