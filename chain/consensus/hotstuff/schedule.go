package hotstuff

import (
	"encoding/binary"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Schedule names the leader of each view. All replicas must have the same.
type Schedule interface {
	Leader(types.View) types.ValidatorIndex
}

// maxPeriod bounds the memory of a [RoundRobin] whose powers share no divisor.
const maxPeriod = 1 << 14

// RoundRobin is a [Schedule] in which validators take turns, each as often in a
// period as its share of the power says, evenly spread (smooth weighted round
// robin, as nginx and CometBFT's proposer priorities do). With equal powers it
// is plain rotation.
type RoundRobin struct{ turns []types.ValidatorIndex }

// NewRoundRobin computes one period of turns.
func NewRoundRobin(set *types.ValidatorSet) *RoundRobin {
	weights := make([]int64, set.Len())
	var divisor uint64
	for i, v := range set.All() {
		weights[i] = int64(v.Power)
		divisor = gcd(divisor, v.Power)
	}
	total := int64(0)
	for i := range weights {
		weights[i] /= int64(divisor)
		total += weights[i]
	}
	period := min(total, maxPeriod)
	r := &RoundRobin{turns: make([]types.ValidatorIndex, period)}
	credit := make([]int64, len(weights))
	for t := range r.turns {
		best := 0
		for i, w := range weights {
			credit[i] += w
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		r.turns[t] = types.ValidatorIndex(best)
	}
	return r
}

// NewSeeded computes one period of turns and shuffles them by a seed, so that every
// epoch has another order of leaders. It is deterministic.
func NewSeeded(set *types.ValidatorSet, seed hash.Hash) *RoundRobin {
	r := NewRoundRobin(set)
	for i := len(r.turns) - 1; i > 0; i-- { // Fisher and Yates
		draw := hash.Sum("starling/turn", seed[:], binary.BigEndian.AppendUint32(nil, uint32(i)))
		j := binary.BigEndian.Uint64(draw[:8]) % uint64(i+1)
		r.turns[i], r.turns[j] = r.turns[j], r.turns[i]
	}
	return r
}

// Leader implements [Schedule].
func (r *RoundRobin) Leader(v types.View) types.ValidatorIndex {
	return r.turns[uint64(v)%uint64(len(r.turns))]
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
