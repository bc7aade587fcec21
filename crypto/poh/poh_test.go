package poh

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/crypto/hash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// history makes a chain with an event after each of the given numbers of ticks.
func history(gaps ...uint64) (out []Segment) {
	c := New(hash.Sum("test"))
	for i, gap := range gaps {
		s := Segment{From: c, Event: hash.Sum(fmt.Sprint("event", i))}
		c.Tick(gap)
		c.Mix(s.Event)
		s.To = c
		out = append(out, s)
	}
	return out
}

func TestWhatWasMadeVerifies(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := history(rapid.SliceOfN(rapid.Uint64Range(0, 50), 1, 20).Draw(rt, "gaps")...)
		require.NoError(rt, Verify(h, rapid.IntRange(0, 4).Draw(rt, "workers")))
	})
}

func TestWhatWasChangedDoesNot(t *testing.T) {
	for name, spoil := range map[string]func(h []Segment){
		"events exchanged": func(h []Segment) { h[1].Event, h[2].Event = h[2].Event, h[1].Event },
		"an event left out": func(h []Segment) {
			h[1] = Segment{From: h[0].To, Event: h[2].Event, To: h[2].To}
			h[2] = h[3]
		},
		"a tick more":        func(h []Segment) { h[3].To.Ticks++ },
		"another value":      func(h []Segment) { h[3].To.Value[0]++ },
		"another start":      func(h []Segment) { h[0].From.Value[0]++ },
		"a gap":              func(h []Segment) { h[2].From = h[0].To },
		"time going back":    func(h []Segment) { h[3].To.Ticks = 0 },
		"nothing in between": func(h []Segment) { h[3].To = h[3].From },
	} {
		h := history(3, 0, 7, 2)
		spoil(h)
		require.ErrorIs(t, Verify(h, 2), ErrHistory, name)
	}
}

// The chain's values are part of the protocol.
func TestFrozenValues(t *testing.T) {
	c := New(hash.Sum("vector"))
	c.Tick(1000)
	c.Mix(hash.Sum("event"))
	require.Equal(t, uint64(1001), c.Ticks)
	require.Equal(t, "6abbf9f6a79cd61b48c3b48f02d36e864d913eff40cc03e0bb8985986d6ad411", c.Value.String())
}

func BenchmarkTick(b *testing.B) {
	c := New(hash.Sum("bench"))
	for b.Loop() {
		c.Tick(1)
	}
	b.ReportMetric(float64(c.Ticks)/b.Elapsed().Seconds(), "hashes/s")
}

func BenchmarkVerify(b *testing.B) {
	gaps := make([]uint64, 64)
	for i := range gaps {
		gaps[i] = 2000
	}
	h := history(gaps...)
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d-workers", workers), func(b *testing.B) {
			for b.Loop() {
				require.NoError(b, Verify(h, workers))
			}
			b.ReportMetric(float64(b.N)*64*2001/b.Elapsed().Seconds(), "hashes/s")
		})
	}
}
