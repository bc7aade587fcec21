package p2p

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBudgetAdmitsTheRateAndItsBurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 50).Draw(t, "rate")
		b := NewBudgets(rate, 1000*rate)
		now, taken, bytes := epoch, 0, 0
		for range rapid.IntRange(1, 300).Draw(t, "messages") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(100*time.Millisecond)).Draw(t, "gap")))
			size := rapid.IntRange(0, 2000).Draw(t, "size")
			if b.Take(now, "p", size) == Within {
				taken++
				bytes += size
			}
			share := now.Sub(epoch).Seconds() + burstSeconds
			if float64(taken) > float64(rate)*share+1 || float64(bytes) > float64(1000*rate)*share+1 {
				t.Fatalf("%d messages, %d bytes in %s at %d/s", taken, bytes, now.Sub(epoch), rate)
			}
		}
	})
}

func TestSteadySenderWithinItsRateIsNeverRefused(t *testing.T) {
	b := NewBudgets(100, 100*1000)
	for i := range 10_000 {
		require.Equal(t, Within, b.Take(epoch.Add(time.Duration(i)*10*time.Millisecond), "p", 1000))
	}
}

func TestBusyNetworkIsNoFlood(t *testing.T) {
	b := NewBudgets(100, 0)
	dropped := 0
	for i := range 10_000 { // three times the rate, for half a minute
		a := b.Take(epoch.Add(time.Duration(i)*time.Second/300), "p", 1)
		require.NotEqual(t, Flooding, a)
		if a == Beyond {
			dropped++
		}
	}
	require.Positive(t, dropped)
}

func TestFloodIsPricedOnceASecond(t *testing.T) {
	b := NewBudgets(10, 0)
	floods := 0
	for i := range 10_000 { // a thousand a second, for ten seconds
		if b.Take(epoch.Add(time.Duration(i)*time.Millisecond), "p", 1) == Flooding {
			floods++
		}
	}
	require.InDelta(t, 10, floods, 1)
	require.Equal(t, Within, b.Take(epoch, "another", 1), "others have budgets of their own")
}

func TestMemoryOfBudgetsIsBounded(t *testing.T) {
	b := NewBudgets(10, 0)
	for i := range 3 * maxBudgets {
		b.Take(epoch, peer.ID(fmt.Sprint(i)), 1)
	}
	require.Equal(t, maxBudgets, b.peers.Len())
}
