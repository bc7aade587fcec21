package bulletproof

import (
	"encoding/binary"
	"sync"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/pedersen"
)

const (
	protocol     = "starling/bulletproofs+/v1"
	generatorTag = "starling/bulletproofs+/generators/secp256k1_XMD:SHA-256_SSWU_RO_/v1"
)

// generators are the paper's vectors g and h.
var generators = sync.OnceValue(func() (out struct{ g, h [Bits]curve.Point }) {
	for i := range Bits {
		out.g[i] = generator('g', i)
		out.h[i] = generator('h', i)
	}
	return out
})

// fixed sums up multiples of g, then h, the amount base and the blinding base.
var fixed = sync.OnceValue(func() *curve.Fixed {
	gens := generators()
	return curve.NewFixed(append(append(gens.g[:], gens.h[:]...), pedersen.H, curve.Generator))
})

// generator hashes a vector's name and an index to the curve.
func generator(vector byte, i int) curve.Point {
	return curve.HashToPoint(binary.BigEndian.AppendUint32([]byte{vector}, uint32(i)), generatorTag)
}
