package sim

import (
	"encoding/binary"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// scheme stands in for signatures: fast, and unforgeable only because nobody
// here calls it for others. An aggregate is the exclusive or of its parts.
type scheme struct{ self types.ValidatorIndex }

func mac(i types.ValidatorIndex, m hash.Hash) uint64 {
	x := binary.LittleEndian.Uint64(m[:]) ^ (uint64(i)+1)*0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

func tag(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }

func (s scheme) SignBlock(h hash.Hash) ([]byte, error) { return tag(mac(s.self, h)), nil }

func (s scheme) Sign(m hash.Hash) []byte { return tag(mac(s.self, m)) }

func (scheme) Verify(v types.ValidatorIndex, m hash.Hash, sig []byte) bool {
	return len(sig) == 8 && binary.LittleEndian.Uint64(sig) == mac(v, m)
}

func (s scheme) Combine(m hash.Hash, shares []consensus.Share) ([]byte, []types.ValidatorIndex) {
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

func (scheme) Merge(signatures [][]byte) ([]byte, error) {
	var sum uint64
	for _, sig := range signatures {
		sum ^= binary.LittleEndian.Uint64(sig)
	}
	return tag(sum), nil
}

func (scheme) VerifyAggregate(signed []consensus.Signed, aggregate []byte) bool {
	var sum uint64
	for _, s := range signed {
		for i := range s.Signers.All() {
			sum ^= mac(types.ValidatorIndex(i), s.Message)
		}
	}
	return len(aggregate) == 8 && binary.LittleEndian.Uint64(aggregate) == sum
}
