package events

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func publish(h *Hub, n int) {
	for range n {
		h.Publish(View{View: h.Last() + 1})
	}
}

// take reads n events and ends the subscription.
func take(t require.TestingT, h *Hub, after uint64, n int, kinds ...Kind) (out []Event) {
	for e := range h.Subscribe(context.Background(), after, kinds...) {
		if out = append(out, e); len(out) == n {
			return out
		}
	}
	require.Fail(t, "the subscription ended early", "%d of %d", len(out), n)
	return nil
}

func TestSubscriberSeesEveryEventAfterItsID(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.IntRange(1, 20).Draw(r, "size")
		n := rapid.IntRange(1, 60).Draw(r, "published")
		after := uint64(rapid.IntRange(0, n-1).Draw(r, "after"))
		h := NewHub(size)
		publish(h, n)

		oldest := uint64(max(1, n-size+1))
		if after+1 < oldest {
			gap := take(r, h, after, 1)[0]
			require.Equal(r, Gap{From: after, Next: oldest}, gap.Data)
			require.Equal(r, oldest-1, gap.ID)
			after = gap.ID
		}
		for i, e := range take(r, h, after, n-int(after)) {
			require.Equal(r, after+uint64(i)+1, e.ID)
			require.Equal(r, View{View: e.ID}, e.Data)
		}
	})
}

func TestReplayGoesOverIntoLiveEvents(t *testing.T) {
	h := NewHub(100)
	publish(h, 3)
	next := uint64(2)
	for e := range h.Subscribe(t.Context(), 1) {
		require.Equal(t, next, e.ID)
		next++
		if e.ID == 3 {
			go publish(h, 5)
		}
		if e.ID == 8 {
			break
		}
	}
}

func TestLiveSubscriberSeesNothingOld(t *testing.T) {
	h := NewHub(10)
	publish(h, 4)
	events := h.Subscribe(t.Context(), Live)
	publish(h, 1)
	for e := range events {
		require.EqualValues(t, 5, e.ID)
		break
	}
}

func TestKindsFilter(t *testing.T) {
	h := NewHub(10)
	publish(h, 2)
	h.Publish(Peer{ID: "a"})
	h.Publish(Block{Height: 7})
	got := take(t, h, 0, 2, KindPeer, KindBlock)
	require.Equal(t, Peer{ID: "a"}, got[0].Data)
	require.Equal(t, Block{Height: 7}, got[1].Data)
}

func TestSlowSubscriberIsCutOffWithAGap(t *testing.T) {
	h := NewHub(8)
	publish(h, 1)
	var got []Event
	for e := range h.Subscribe(t.Context(), 0) {
		if got = append(got, e); len(got) == 1 {
			publish(h, 100) // while the subscriber is busy
		}
	}
	require.Len(t, got, 2)
	require.Equal(t, Gap{From: 1, Next: 94}, got[1].Data)
	require.EqualValues(t, 94, take(t, h, got[1].ID, 1)[0].ID)
}

func TestIDOfAnotherLifetimeIsAGap(t *testing.T) {
	h := NewHub(8)
	publish(h, 2)
	got := take(t, h, 5000, 3)
	require.Equal(t, Gap{From: 5000, Next: 1}, got[0].Data)
	require.EqualValues(t, 1, got[1].ID)
}

func TestSubscriptionEndsWithItsContext(t *testing.T) {
	h := NewHub(8)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range h.Subscribe(ctx, 0) {
			}
		})
	}
	publish(h, 3)
	cancel()
	wg.Wait()
}

func TestManySubscribersSeeTheSame(t *testing.T) {
	h := NewHub(100_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			last := uint64(0)
			for e := range h.Subscribe(t.Context(), 0) {
				if e.ID != last+1 || e.Kind == KindGap {
					t.Errorf("event %d after %d", e.ID, last)
					return
				}
				if last = e.ID; last == 2000 {
					return
				}
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			for range 500 {
				h.Publish(Peer{})
			}
		})
	}
	wg.Wait()
}
