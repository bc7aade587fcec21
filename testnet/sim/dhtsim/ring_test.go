package dhtsim

import (
	"flag"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
)

var (
	net  = Net{Latency: 50 * time.Millisecond, Timeout: 2 * time.Second, Tick: 250 * time.Millisecond}
	spec = store.Config{Fingers: 4, Pace: ring.Pace{Stabilise: 2 * time.Second, Fingers: 5 * time.Second, Patience: 3 * time.Second}}
)

// Rings of all sizes come to be, whether the peers come one by one or all at once.
func TestRingsFormFromNothing(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 9, 10, 24, 60} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprint(n, together), func(t *testing.T) {
				w := NewWorld(uint64(n), net)
				for range n {
					w.Add(spec)
					if !together {
						w.Run(time.Second)
					}
				}
				require.NoError(t, w.settle(8, time.Duration(120+2*n)*time.Second))
			})
		}
	}
}

// A ring that is cut into parts becomes as many rings, and one again when they meet.
func TestPartitionsHealIntoOneRing(t *testing.T) {
	for seed := range uint64(10) {
		w := NewWorld(seed, net)
		for range 40 {
			w.Add(spec)
			w.Run(300 * time.Millisecond)
		}
		require.NoError(t, w.settle(8, 3*time.Minute))
		w.Partition(2 + int(seed%4))
		w.Run(3 * time.Minute)
		w.Partition(1)
		require.NoError(t, w.settle(8, 5*time.Minute), "seed %d", seed)
	}
}

// settle runs until the ring is as it should be, and tells what is not if that takes longer.
func (w *World) settle(length int, most time.Duration) (err error) {
	for range most / time.Second {
		if err = w.Ideal(length); err == nil {
			return nil
		}
		w.Run(time.Second)
	}
	return err
}

// hops is the mean number of questions one after the other that a lookup takes.
func hops(t *testing.T, n, lookups int) float64 {
	calm := net
	calm.Tick = 500 * time.Millisecond
	w := NewWorld(uint64(n), calm)
	for range n {
		w.Add(spec)
	}
	for i, p := range w.alive { // a ring that is whole already
		var near []ring.Peer
		for k := range 8 + 2 {
			near = append(near, w.alive[(i+n-1+k)%n].Self)
		}
		require.NoError(t, p.Core.Member().Core().Begin(near))
	}
	w.Run(time.Minute)
	require.NoError(t, w.Ideal(8))
	w.Run(2 * time.Minute) // fingers
	sum := 0
	for i := range lookups {
		key := ring.KeyOf(fmt.Append(nil, i))
		done := false
		w.Random().Core.Member().Lookup(key, 1, nil, func(f ring.Found, err error) {
			require.NoError(t, err)
			require.Equal(t, w.Owner(key).Self, f.Owner)
			sum, done = sum+f.Hops, true
		})
		for range 100 {
			if w.Run(100 * time.Millisecond); done {
				break
			}
		}
		require.True(t, done)
	}
	return float64(sum) / float64(lookups)
}

func TestLookupsTakeFewHops(t *testing.T) {
	for _, n := range []int{16, 64, 256} {
		mean := hops(t, n, 200)
		t.Logf("%d members: %.2f hops", n, mean)
		require.LessOrEqual(t, mean, math.Log2(float64(n))/2+1)
	}
}

var hopsFile = flag.String("hops", "", "measure the hops of rings of 16 to 4096 members, and write them to this file")

func TestHopsGrowWithTheLogarithm(t *testing.T) {
	if *hopsFile == "" {
		t.Skip("takes minutes; make hops-plot runs it")
	}
	out := "members,line,hops\n"
	for n := 16; n <= 4096; n *= 2 {
		mean, most := hops(t, n, 1000), math.Log2(float64(n))/2+1
		t.Logf("%d members: %.2f hops", n, mean)
		require.LessOrEqual(t, mean, most)
		out += fmt.Sprintf("%d,measured,%.3f\n%d,\"½·log2(n) + 1\",%.3f\n", n, mean, n, most)
	}
	require.NoError(t, os.WriteFile(*hopsFile, []byte(out), 0o600))
}
