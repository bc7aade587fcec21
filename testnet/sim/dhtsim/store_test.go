package dhtsim

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
)

// ring of n members that is quiet.
func ringOf(t *testing.T, seed uint64, n int) *World {
	w := NewWorld(seed, net)
	for range n {
		w.Add(spec)
		w.Run(200 * time.Millisecond)
	}
	require.NoError(t, w.settle(8, 10*time.Minute))
	w.Run(time.Minute)
	return w
}

// copies counts the members that hold each record.
func (l *Load) copies() map[string]int {
	out := map[string]int{}
	for _, name := range l.names {
		for _, p := range l.world.alive {
			if !p.Core.Shelf().Digest(l.world.Now(), refOf(l, name).Key()).IsZero() {
				out[name]++
			}
		}
	}
	return out
}

func TestWritesAreReadAgainAndKeptByTheirHolders(t *testing.T) {
	for _, n := range []int{1, 2, 4, 12, 40} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := ringOf(t, 1, n)
			l := w.Load()
			for i := range 200 {
				l.Put(fmt.Sprint("record ", i%100), life)
				w.Run(100 * time.Millisecond)
			}
			w.Run(5 * time.Second)
			require.Equal(t, 200, l.Acked)
			for _, name := range l.Names() {
				l.Get(name)
				w.Run(50 * time.Millisecond)
			}
			w.Run(5 * time.Second)
			require.Zero(t, l.Bad()+l.Unanswered, l)
			require.Equal(t, 100, l.Read)
			for name, copies := range l.copies() {
				require.Equal(t, min(n, 5), copies, name)
			}
		})
	}
}

// A third of the members is gone at once, none with all holders of a record; others take over.
func TestCopiesAreMadeAnewWhenHoldersFail(t *testing.T) {
	w := ringOf(t, 7, 30)
	l := w.Load()
	for i := range 300 {
		l.Put(fmt.Sprint("record ", i), life)
		w.Run(20 * time.Millisecond)
	}
	w.Run(time.Second)
	require.Equal(t, 300, l.Acked)
	for i := range 10 {
		w.Alive()[(2*i)%len(w.Alive())].Kill() // every third of the ring
	}
	for _, name := range l.Names() {
		l.Get(name)
		w.Run(10 * time.Millisecond)
	}
	w.Run(3 * time.Minute)
	require.Zero(t, l.Bad()+l.Unanswered, l)
	require.NoError(t, w.settle(8, time.Minute))
	for name, copies := range l.copies() {
		require.GreaterOrEqual(t, copies, 5, name)
	}
	w.Run(20 * time.Minute)
	for name, copies := range l.copies() {
		require.Equal(t, 5, copies, "%s: nobody keeps what others are to keep", name)
	}
}

// Members come and go without a word until none of the first is left.
func TestNothingIsLostWhenAllMembersAreReplaced(t *testing.T) {
	w := ringOf(t, 3, 24)
	l := w.Load()
	for i := range 200 {
		l.Put(fmt.Sprint("record ", i), life)
		w.Run(20 * time.Millisecond)
	}
	w.Run(time.Second)
	first := w.Alive()
	for _, p := range append([]*Peer(nil), first...) {
		p.Kill()
		w.Add(spec)
		w.Run(30 * time.Second)
	}
	for _, name := range l.Names() {
		l.Get(name)
		w.Run(10 * time.Millisecond)
	}
	w.Run(10 * time.Second)
	require.Zero(t, l.Bad()+l.Unanswered, l)
	require.Equal(t, 200, l.Read)
}

var (
	churnFor     = flag.Duration("churn", 20*time.Minute, "simulated time of churn")
	churnMembers = flag.Int("members", 120, "members under churn")
	churnRecords = flag.Int("records", 600, "records under churn")
	churnSeed    = flag.Uint64("seed", 1, "of the churn")
)

// Half of all members are gone every ten minutes, without a word, for hours.
func TestNothingAcknowledgedIsLostUnderChurn(t *testing.T) {
	c := Churn{
		Seed: *churnSeed, Members: *churnMembers, Records: *churnRecords, Median: 10 * time.Minute, For: *churnFor, Every: 500 * time.Millisecond,
		Net:    Net{Latency: 50 * time.Millisecond, Timeout: 2 * time.Second, Tick: 500 * time.Millisecond},
		Config: store.Config{Fingers: 4, Pace: ring.Pace{Stabilise: 4 * time.Second, Fingers: 30 * time.Second, Patience: 3 * time.Second}},
	}
	r := c.Run(func(line string) { t.Log(line) })
	require.Zero(t, r.Lost, "seed %d", c.Seed)
	require.Zero(t, r.Load.Bad(), "seed %d", c.Seed)
}
