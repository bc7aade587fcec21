package ring

import (
	"bytes"

	"github.com/starlingmesh/starling/crypto/hash"
)

// ID is a place on the ring: a number of 256 bits, after the highest of which comes 0.
type ID = hash.Hash

// Peer is somebody with a place. The zero value is nobody.
type Peer struct {
	Name string // its identity, such as a libp2p peer id in bytes
	ID   ID
}

// PeerOf is the peer of an identity.
func PeerOf(name string) Peer { return Peer{name, hash.Sum("starling/ring/place", []byte(name))} }

// KeyOf is where a key of an application is.
func KeyOf(key []byte) ID { return hash.Sum("starling/ring/key", key) }

// between reports whether x comes after a and before b, going up. Between a and itself is
// everything else.
func between(a, x, b ID) bool {
	if bytes.Compare(a[:], b[:]) < 0 {
		return bytes.Compare(a[:], x[:]) < 0 && bytes.Compare(x[:], b[:]) < 0
	}
	return x != a && x != b && (bytes.Compare(a[:], x[:]) < 0 || bytes.Compare(x[:], b[:]) < 0)
}

// Owns reports whether a member with a predecessor is the first at or after a key.
func Owns(predecessor, member, key ID) bool {
	return key == member || between(predecessor, key, member)
}
