package state

import (
	"golang.org/x/crypto/blake2b"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Domain tags of the four hashes of the tree.
const (
	tagKey   = "starling/state/key"
	tagValue = "starling/state/value"
	tagLeaf  = "starling/state/leaf"
	tagInner = "starling/state/node"
)

func hashKey(key []byte) hash.Hash     { return hash.Sum(tagKey, key) }
func hashValue(value []byte) hash.Hash { return hash.Sum(tagValue, value) }

// hashLeaf is hash.Sum(tagLeaf, key, value) and hashInner is
// hash.Sum(tagInner, left, right), spelled out because they are nine tenths of
// the work of a commit and must not allocate.
func hashLeaf(l *leaf) hash.Hash                 { return hashPair(tagLeaf, &l.key, &l.value) }
func hashInner(left, right *hash.Hash) hash.Hash { return hashPair(tagInner, left, right) }

func hashPair(tag string, a, b *hash.Hash) hash.Hash {
	var buf [128]byte // one BLAKE2b block
	buf[0] = byte(len(tag))
	n := 1 + copy(buf[1:], tag)
	n += copy(buf[n:], a[:])
	n += copy(buf[n:], b[:])
	return blake2b.Sum256(buf[:n])
}

// bit returns bit i of h, counted from the most significant one.
func bit(h *hash.Hash, i int) byte { return h[i>>3] >> (7 - i&7) & 1 }

// nibble returns the i-th group of four bits of h.
func nibble(h *hash.Hash, i int) int { return int(h[i>>1]>>(4*(1-i&1))) & 15 }
