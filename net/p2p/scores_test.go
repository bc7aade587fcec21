package p2p

import (
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestEnoughOffencesBanAndTimeLiftsIt(t *testing.T) {
	s := NewScores(time.Minute)
	now := epoch
	for range 3 {
		require.False(t, s.Penalise(now, "p", InvalidMessage))
	}
	require.False(t, s.Banned(now, "p"))
	require.True(t, s.Penalise(now, "p", InvalidMessage))
	require.True(t, s.Banned(now, "p"))
	require.False(t, s.Banned(now, "q"), "others are not touched")
	require.True(t, s.Banned(now.Add(time.Minute-1), "p"))
	require.False(t, s.Banned(now.Add(time.Minute), "p"))
}

func TestBansDoubleUpToADay(t *testing.T) {
	s := NewScores(10 * time.Minute)
	now, want := epoch, 10*time.Minute
	for range 20 {
		require.True(t, s.Penalise(now, "p", BadBlock))
		require.True(t, s.Banned(now.Add(want-1), "p"))
		require.False(t, s.Banned(now.Add(want), "p"))
		now = now.Add(want)
		want = min(2*want, 24*time.Hour)
	}
}

func TestOffencesDuringABanAreNotHeldAgain(t *testing.T) {
	s := NewScores(time.Minute)
	require.True(t, s.Penalise(epoch, "p", BadBlock))
	for range 100 {
		require.False(t, s.Penalise(epoch.Add(time.Second), "p", BadBlock))
	}
	after := epoch.Add(time.Minute)
	require.False(t, s.Penalise(after, "p", Slow))
	require.InDelta(t, Slow.price(), s.Score(after, "p"), 1e-9)
}

func TestOccasionalSlipsNeverBan(t *testing.T) {
	s := NewScores(time.Minute)
	for i := range 10_000 { // a slow answer every ten seconds, for more than a day
		require.False(t, s.Penalise(epoch.Add(time.Duration(i)*10*time.Second), "p", Slow))
	}
}

func TestScoreHalves(t *testing.T) {
	s := NewScores(time.Minute)
	s.Penalise(epoch, "p", InvalidMessage)
	require.InDelta(t, 12.5, s.Score(epoch.Add(halfLife), "p"), 1e-9)
	require.InDelta(t, 25, s.Score(epoch.Add(-time.Hour), "p"), 1e-9, "a clock set back does not raise it")
}

func TestScoresKeepTheirLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewScores(10 * time.Minute)
		now := epoch
		owed := map[peer.ID]float64{} // prices ever charged
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "wait")))
			id := peer.ID(fmt.Sprintf("p%d", rapid.IntRange(0, 5).Draw(t, "peer")))
			o := Offence(rapid.IntRange(int(Slow), int(BadBlock)).Draw(t, "offence"))
			before, wasBanned := s.Score(now, id), s.Banned(now, id)
			banned := s.Penalise(now, id, o)
			owed[id] += o.price()
			switch {
			case wasBanned && banned:
				t.Fatal("banned twice at a time")
			case banned && owed[id] < banAt:
				t.Fatal("banned for too little")
			case !banned && !wasBanned && before+o.price() >= banAt:
				t.Fatal("not banned in spite of its score")
			case banned && !s.Banned(now, id), banned && s.Banned(now.Add(maxBan), id):
				t.Fatal("a ban begins at once and ends within a day")
			}
			if sc := s.Score(now, id); sc < 0 || sc >= banAt {
				t.Fatalf("score %f", sc)
			}
			if s.Score(now.Add(time.Second), id) > s.Score(now, id) {
				t.Fatal("a score grows by itself")
			}
		}
		for id := range s.peers {
			if owed[id] == 0 {
				t.Fatal("remembers somebody without an offence")
			}
		}
	})
}

func TestMemoryOfOffendersIsBounded(t *testing.T) {
	s := NewScores(time.Hour)
	require.True(t, s.Penalise(epoch, "the worst", BadBlock))
	for i := range 3 * maxScored {
		s.Penalise(epoch, peer.ID(fmt.Sprintf("p%d", i)), Slow)
	}
	require.LessOrEqual(t, len(s.peers), maxScored)
	require.True(t, s.Banned(epoch, "the worst"), "new identities do not wash off a ban")
}
