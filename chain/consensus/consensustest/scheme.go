// Package consensustest holds a stand-in for the signatures of a validator set,
// for tests and simulations of consensus cores: [Scheme]. It proves nothing and
// must never be linked into a node.
package consensustest

import (
	"encoding/binary"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Scheme stands in for signatures: fast, and unforgeable only because nobody
// calls it for others. An aggregate is the exclusive or of its parts.
type Scheme struct{ Self types.ValidatorIndex }

func mac(i types.ValidatorIndex, m hash.Hash) uint64 {
	x := binary.LittleEndian.Uint64(m[:]) ^ (uint64(i)+1)*0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

func tag(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }

// SignBlock implements consensus.Scheme.
func (s Scheme) SignBlock(h hash.Hash) ([]byte, error) { return tag(mac(s.Self, h)), nil }

// VerifyBlock implements consensus.Scheme.
func (s Scheme) VerifyBlock(v types.ValidatorIndex, h hash.Hash, sig []byte) bool {
	return s.Verify(v, h, sig)
}

// Sign implements consensus.Scheme.
func (s Scheme) Sign(m hash.Hash) []byte { return tag(mac(s.Self, m)) }

// Verify implements consensus.Scheme.
func (Scheme) Verify(v types.ValidatorIndex, m hash.Hash, sig []byte) bool {
	return len(sig) == 8 && binary.LittleEndian.Uint64(sig) == mac(v, m)
}

// Combine implements consensus.Scheme.
func (s Scheme) Combine(m hash.Hash, shares []consensus.Share) ([]byte, []types.ValidatorIndex) {
	var sum uint64
	var bad []types.ValidatorIndex
	for _, share := range shares {
		if !s.Verify(share.Voter, m, share.Signature) {
			bad = append(bad, share.Voter)
		}
		sum ^= mac(share.Voter, m)
	}
	return tag(sum), bad
}

// Merge implements consensus.Scheme.
func (Scheme) Merge(signatures [][]byte) ([]byte, error) {
	var sum uint64
	for _, sig := range signatures {
		sum ^= binary.LittleEndian.Uint64(sig)
	}
	return tag(sum), nil
}

// VerifyAggregate implements consensus.Scheme.
func (Scheme) VerifyAggregate(signed []consensus.Signed, aggregate []byte) bool {
	var sum uint64
	for _, s := range signed {
		for i := range s.Signers.All() {
			sum ^= mac(types.ValidatorIndex(i), s.Message)
		}
	}
	return len(aggregate) == 8 && binary.LittleEndian.Uint64(aggregate) == sum
}
