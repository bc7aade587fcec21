package turbine

import (
	"math"

	"github.com/starlingmesh/starling/fec"
)

const (
	// fullSet is how many data shreds a set of a large payload has. Larger sets need less
	// parity for the same risk; this is where Leopard codes over GF(2^8) still carry as
	// much parity again.
	fullSet = 128
	// risk is how likely it may be that anything of a payload has to be asked for.
	risk = 1e-3
)

// ShapeFor chooses how to cut a payload of a size in bytes when a share of the shreds, 0
// to 0.5, is expected to get lost: as much parity as makes it unlikely that a member has
// to ask, were losses independent. shard is the payload of a shred.
func ShapeFor(size, shard int, loss float64) fec.Shape {
	shreds := max(1, (size+shard-1)/shard)
	sets := (shreds + fullSet - 1) / fullSet
	data := (shreds + sets - 1) / sets
	parity := 1
	for parity < min(data+8, 256-data) && tail(data+parity, parity, loss) > risk/float64(sets) {
		parity++
	}
	return fec.Shape{Data: data, Parity: parity}
}

// tail is the probability that more than k of n are lost, each with probability p.
func tail(n, k int, p float64) float64 {
	if p <= 0 {
		return 0
	}
	sum, logP, logQ := 0.0, math.Log(p), math.Log1p(-p)
	for lost := k + 1; lost <= n; lost++ {
		sum += math.Exp(choose(n, lost) + float64(lost)*logP + float64(n-lost)*logQ)
	}
	return sum
}

// choose is the logarithm of a binomial coefficient.
func choose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
