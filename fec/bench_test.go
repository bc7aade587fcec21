package fec

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/reedsolomon"
	"github.com/stretchr/testify/require"
)

const benchBytes = 8 << 20

var benchShapes = []Shape{{32, 32}, {64, 32}, {128, 64}, {128, 128}}

// BenchmarkEncode cuts 8 MiB: parity, Merkle trees, signatures, wire forms. raw is the
// library alone on the same shapes and shards, one set after another: the code that
// this package uses, and the library's default code.
func BenchmarkEncode(b *testing.B) {
	payload := payloadOf(benchBytes, 1)
	for _, shape := range benchShapes {
		e := newEncoder(b, shape)
		b.Run(fmt.Sprintf("%s/fec", shape), func(b *testing.B) {
			b.SetBytes(benchBytes)
			for b.Loop() {
				require.NoError(b, e.Cut(Stream{}, Plain, payload, func(s *Set) error { s.Release(); return nil }))
			}
		})
		eachRaw(b, shape, e.shard, func(b *testing.B, code reedsolomon.Encoder, sets [][][]byte) {
			for b.Loop() {
				for _, set := range sets {
					require.NoError(b, code.Encode(set))
				}
			}
		})
	}
}

// BenchmarkRebuild makes 8 MiB again after half of what may be lost was lost at random:
// shreds are parsed, their proofs checked, each set rebuilt and encoded again.
func BenchmarkRebuild(b *testing.B) {
	payload := payloadOf(benchBytes, 1)
	for _, shape := range benchShapes {
		e := newEncoder(b, shape)
		lost := shape.Parity / 2
		var sets [][][]byte
		r := rand.New(rand.NewPCG(1, 1))
		for _, s := range cut(b, e, payload) {
			r.Shuffle(len(s.Shreds), func(i, j int) { s.Shreds[i], s.Shreds[j] = s.Shreds[j], s.Shreds[i] })
			sets = append(sets, s.Shreds[:shape.Total()-lost])
		}
		b.Run(fmt.Sprintf("%s/fec", shape), func(b *testing.B) {
			b.SetBytes(benchBytes)
			for b.Loop() {
				_, err := Rebuild(sets, testChain, testCodes, testCheck)
				require.NoError(b, err)
			}
		})
		eachRaw(b, shape, e.shard, func(b *testing.B, code reedsolomon.Encoder, sets [][][]byte) {
			for _, set := range sets {
				require.NoError(b, code.Encode(set))
			}
			r := rand.New(rand.NewPCG(1, 1))
			for b.Loop() {
				for _, set := range sets {
					word := append([][]byte{}, set...)
					for _, i := range r.Perm(shape.Total())[:lost] {
						word[i] = word[i][:0]
					}
					require.NoError(b, code.ReconstructData(word))
				}
			}
		})
	}
}

func eachRaw(b *testing.B, shape Shape, shard int, run func(*testing.B, reedsolomon.Encoder, [][][]byte)) {
	for name, options := range map[string][]reedsolomon.Option{
		"leopard": {reedsolomon.WithLeopardGF(true), reedsolomon.WithInversionCache(false)},
		"default": {reedsolomon.WithInversionCache(false)},
	} {
		b.Run(fmt.Sprintf("%s/raw-%s", shape, name), func(b *testing.B) {
			code, err := reedsolomon.New(shape.Data, shape.Parity, options...)
			require.NoError(b, err)
			var sets [][][]byte
			for range (benchBytes + shape.Data*shard - 1) / (shape.Data * shard) {
				set := make([][]byte, shape.Total())
				for i := range set {
					set[i] = payloadOf(shard, uint64(i))
				}
				sets = append(sets, set)
			}
			b.SetBytes(benchBytes)
			run(b, code, sets)
		})
	}
}
