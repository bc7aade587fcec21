package driver

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/dht/store"
)

var (
	kadHosts = flag.Int("kad-hosts", 32, "hosts of the comparison with Kademlia")
	kadKeys  = flag.Int("kad-keys", 200, "records of the comparison")
	kadBytes = flag.Int("kad-bytes", 256, "bytes of a value")
)

// tcp alone: what is dead refuses connections at once, so that no dial timeouts are measured.
const tcp = "/ip4/127.0.0.1/tcp/0"

// contender is a network that stores values: this one, or Kademlia's.
type contender interface {
	put(ctx context.Context, node int, name string, value []byte) error
	get(ctx context.Context, node int, name string) ([]byte, error)
	// stale writes a value that is older than what is there.
	stale(ctx context.Context, node int, name string) error
	kill(node int)
	add() // another node, that replaces one
	alive() []int
}

// percentile is a quantile of durations.
func percentile(d []time.Duration, q float64) time.Duration {
	s := slices.Clone(d)
	slices.Sort(s)
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func name(i int) string { return fmt.Sprint("name ", i) }

func valueOf(i int) []byte { return bytes.Repeat([]byte{byte(i)}, *kadBytes) }

// anyOf is a living node of a contender.
func anyOf(c contender, r *rand.Rand) int {
	nodes := c.alive()
	return nodes[r.IntN(len(nodes))]
}

// found is the share of values that are there.
func found(tb testing.TB, c contender, r *rand.Rand) float64 {
	ok := 0
	for i := range *kadKeys {
		ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
		v, err := c.get(ctx, anyOf(c, r), name(i))
		cancel()
		if err == nil && bytes.Equal(v, valueOf(i)) {
			ok++
		} else if o, is := c.(*ours); is {
			o.explain(i, err)
		}
	}
	return float64(ok) / float64(*kadKeys)
}

// fill writes all values through random nodes.
func fill(tb testing.TB, c contender, r *rand.Rand) {
	for i := range *kadKeys {
		require.NoError(tb, c.put(tb.Context(), anyOf(c, r), name(i), valueOf(i)))
	}
}

// survival is what becomes of values when nodes go.
type survival struct {
	killed30, killed50      float64 // share of values found at once
	turnover                float64 // share after all nodes were replaced, without a read in between
	staleRefused, staleSeen int
}

func (s survival) String() string {
	return fmt.Sprintf("found after 30%% die %.1f%%, 50%% %.1f%%, all replaced %.1f%%; stale writes refused %d of %d",
		100*s.killed30, 100*s.killed50, 100*s.turnover, s.staleRefused, s.staleSeen)
}

// survive measures a contender: fresh makes a network of it.
func survive(tb testing.TB, fresh func() contender) (out survival) {
	r := rand.New(rand.NewPCG(1, 2))
	c := fresh()
	fill(tb, c, r)
	for i := range 20 {
		out.staleSeen++
		if c.stale(tb.Context(), anyOf(c, r), name(i)) != nil {
			out.staleRefused++
		}
	}
	die := func(c contender, share float64) float64 {
		nodes := c.alive()
		r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		for _, n := range nodes[:int(share*float64(len(nodes)))] {
			c.kill(n)
		}
		return found(tb, c, r)
	}
	out.killed30 = die(c, .3)
	c = fresh()
	fill(tb, c, r)
	out.killed50 = die(c, .5)
	c = fresh()
	fill(tb, c, r)
	for range *kadHosts {
		c.kill(c.alive()[0]) // the oldest
		c.add()
		time.Sleep(700 * time.Millisecond) // both may look after what they hold
	}
	out.turnover = found(tb, c, r)
	return out
}

// rounds is how often all records are written while single operations are timed; before the
// first, one is not counted, in which connections and routing tables come to rest.
const rounds = 5

// pause is between operations, for what one leaves behind not to be counted for the next.
const pause = 2 * time.Millisecond

// duel times single operations of two networks in turn, so that both meet the same machine.
func duel(tb testing.TB, a, b contender) (put, get [2][]time.Duration) {
	r := rand.New(rand.NewPCG(3, 4))
	timed := func(out *[2][]time.Duration, counts bool, op func(c contender, node int)) {
		first := r.IntN(2)
		for _, which := range []int{first, 1 - first} {
			c := []contender{a, b}[which]
			node := anyOf(c, r)
			time.Sleep(pause)
			began := time.Now()
			op(c, node)
			if took := time.Since(began); counts {
				out[which] = append(out[which], took)
			}
		}
	}
	for round := range rounds + 1 {
		for _, c := range []contender{a, b} {
			if o, is := c.(*ours); is {
				o.a = author(tb) // of as many records as there are in the other measurements
			}
		}
		at := round * *kadKeys
		for i := at; i < at+*kadKeys; i++ {
			timed(&put, round > 0, func(c contender, node int) {
				require.NoError(tb, c.put(tb.Context(), node, name(i), valueOf(i)))
			})
		}
		for i := at; i < at+*kadKeys; i++ {
			timed(&get, round > 0, func(c contender, node int) {
				v, err := c.get(tb.Context(), node, name(i))
				require.NoError(tb, err)
				require.Equal(tb, valueOf(i), v)
			})
		}
	}
	return put, get
}

// BenchmarkAgainstKademlia measures the store and go-libp2p-kad-dht side by side: the same
// hosts, values and signatures.
func BenchmarkAgainstKademlia(b *testing.B) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	for _, k := range []int{4, 8, 20} {
		kademlia, ours := func() contender { return newKademlia(b, k) }, func() contender { return newOurs(b, k) }
		b.Run(fmt.Sprint("latency-", k), func(b *testing.B) { reportDuel(b, newKademlia(b, k), newOurs(b, k)) })
		b.Run(fmt.Sprint("survival-kademlia-", k), func(b *testing.B) { reportSurvival(b, kademlia) })
		b.Run(fmt.Sprint("survival-ring-", k), func(b *testing.B) { reportSurvival(b, ours) })
	}
	b.Run("latency-ring-default-kademlia-20", func(b *testing.B) {
		reportDuel(b, newKademlia(b, 20), newOurs(b, store.DefaultReplicas))
	})
	b.Run("survival-ring-default", func(b *testing.B) {
		reportSurvival(b, func() contender { return newOurs(b, store.DefaultReplicas) })
	})
}

func reportDuel(b *testing.B, kademlia, ours contender) {
	for b.Loop() {
		put, get := duel(b, kademlia, ours)
		for _, q := range []float64{.5, .99} {
			for op, took := range map[string][2][]time.Duration{"put": put, "get": get} {
				theirs, mine := percentile(took[0], q), percentile(took[1], q)
				b.Logf("%s p%.0f: kademlia %.2f ms, ring %.2f ms, %.2f times sooner", op, 100*q, theirs.Seconds()*1000, mine.Seconds()*1000, float64(theirs)/float64(mine))
				b.ReportMetric(float64(theirs)/float64(mine), fmt.Sprintf("%s-p%.0f-ratio", op, 100*q))
			}
		}
	}
}

func reportSurvival(b *testing.B, fresh func() contender) {
	for b.Loop() {
		s := survive(b, fresh)
		b.Log(s)
		b.ReportMetric(s.killed30, "found-30%")
		b.ReportMetric(s.killed50, "found-50%")
		b.ReportMetric(s.turnover, "found-all-new")
		b.ReportMetric(float64(s.staleRefused)/float64(s.staleSeen), "stale-refused")
	}
}

// BenchmarkOurs measures single operations, for profiles.
func BenchmarkOurs(b *testing.B) {
	o := newOurs(b, store.DefaultReplicas).(*ours)
	i := 0
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			if i++; i%100 == 0 {
				o.a = author(b) // so that each record takes the least work
			}
			require.NoError(b, o.put(b.Context(), i%*kadHosts, name(i), valueOf(i)))
		}
	})
	b.Run("get", func(b *testing.B) {
		for i := range 51 {
			require.NoError(b, o.put(b.Context(), 0, name(i), valueOf(i)))
		}
		for b.Loop() {
			_, err := o.get(b.Context(), i%*kadHosts, name(1+i%50))
			require.NoError(b, err)
			i++
		}
	})
}
