package private

import (
	crand "crypto/rand"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/node/api"
)

const lockEvery = 20 * time.Millisecond

func encode(raw []byte) []byte { return base64.StdEncoding.AppendEncode(nil, raw) }

func decode(text []byte) ([]byte, error) { return base64.StdEncoding.AppendDecode(nil, text) }

// How old outputs are when they are spent: the logarithm of the age in seconds follows a gamma
// distribution, which was fitted to the spends of an open chain (Möser et al. 2018, section 6;
// Monero uses it).
const (
	ageShape = 19.28
	ageRate  = 1.61
	tries    = 16
)

// chooser draws decoys.
type chooser struct {
	heights heights // of all outputs
	ripe    int     // those that may be in a ring come first
	tip     uint64
	pace    float64 // seconds a block
	rand    *rand.Rand
	age     distuv.Gamma
}

// paceOf is how long a block takes on a network, on average since it began: seconds, in bounds that
// keep a node's nonsense from mattering.
func paceOf(s api.Status) float64 {
	const least, most = 0.02, 600
	return min(max(s.HeadTime.Sub(s.Created).Seconds()/float64(max(s.Height, 1)), least), most)
}

func newChooser(h heights, tip uint64, pace float64) *chooser {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails
	src := rand.NewChaCha8(seed)
	return &chooser{heights: h, ripe: h.ripe(tip), tip: tip, pace: pace, rand: rand.New(src), age: distuv.Gamma{Alpha: ageShape, Beta: ageRate, Src: src}}
}

// ring is an ascending ring with a given output: of as many as are asked for, or of the default size,
// or fewer if the chain has no more. It returns [ErrDecoys].
func (c *chooser) ring(real uint64, o Options) ([]uint64, error) {
	size := o.ring()
	if o.Ring == 0 {
		size = max(min(size, c.ripe), ring.MinSize)
	}
	if size > c.ripe || real >= uint64(c.ripe) {
		return nil, fmt.Errorf("%w: %d are old enough, %d are wanted", ErrDecoys, c.ripe, size)
	}
	out := []uint64{real}
	for len(out) < size {
		if n := c.draw(); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// draw chooses an output by its age as spends have it; on a chain that is too young for that,
// any.
func (c *chooser) draw() uint64 {
	for range tries {
		blocks := math.Exp(c.age.Rand()) / c.pace
		if blocks >= float64(c.tip) {
			continue
		}
		from, to := c.heights.at(c.tip - uint64(blocks))
		to = min(to, c.ripe)
		if from < to {
			return uint64(from + c.rand.IntN(to-from))
		}
	}
	return uint64(c.rand.IntN(c.ripe))
}
