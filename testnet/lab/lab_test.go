package lab

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func small(methods ...string) Options {
	o := Defaults()
	o.Nodes, o.Size, o.Fragment, o.Methods = 6, 64<<10, 16<<10, methods
	return o
}

func TestEachMethodReachesAllNodes(t *testing.T) {
	for _, name := range Methods() {
		for _, loss := range []float64{0, 0.05} {
			o := small(name)
			o.Loss = loss
			synctest.Test(t, func(t *testing.T) {
				r, err := measure(t.Context(), o, name)
				require.NoError(t, err)
				require.Zero(t, r.Unreached)
				require.Len(t, r.Arrivals, 5)
				require.GreaterOrEqual(t, r.P50, o.RTT.Seconds()/2)
				require.GreaterOrEqual(t, r.TotalBytes, 1.0)
			})
		}
	}
}

func TestBytesAndTimeOfOneTransferAreThoseOfTheLink(t *testing.T) {
	o := small("unicast")
	o.Nodes, o.Size, o.Uplink, o.RTT = 2, 8<<20, 5_000_000, 20*time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		r, err := measure(t.Context(), o, "unicast")
		require.NoError(t, err)
		require.InDelta(t, 1.03, r.PublisherBytes, 0.03, "headers and acknowledgements only")
		wire := r.PublisherBytes * float64(o.Size) * 8 / float64(o.Uplink)
		require.InEpsilon(t, wire+o.RTT.Seconds()/2, r.All, 0.05)
	})
}

func TestNodesThatLeftAreNotCountedAndThoseBackAre(t *testing.T) {
	o := small("gossipsub")
	o.Nodes, o.Size, o.Churn, o.Uplink = 9, 1<<20, 0.5, 4_000_000
	synctest.Test(t, func(t *testing.T) {
		r, err := measure(t.Context(), o, "gossipsub")
		require.NoError(t, err)
		require.LessOrEqual(t, r.Gone, 2)
		require.Equal(t, 8, len(r.Arrivals)+r.Gone+r.Unreached)
	})
}

func TestRunWorksOutsideOfTests(t *testing.T) {
	r, err := Run(t.Context(), small("unicast"))
	require.NoError(t, err)
	require.Len(t, r, 1)
	ctx, cancel := context.WithCancel(t.Context())
	o := small("unicast")
	o.Progress = func(string, int, int, time.Duration) { cancel() }
	o.Size, o.Uplink = 4<<20, 1_000_000
	_, err = Run(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
}

func TestBadOptionsAreNamed(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"nodes is 1":     func(o *Options) { o.Nodes = 1 },
		"size is 0":      func(o *Options) { o.Size = 0 },
		"loss is 100%":   func(o *Options) { o.Loss = 1 },
		"churn is 100%":  func(o *Options) { o.Churn = 1 },
		"uplink is 0":    func(o *Options) { o.Uplink = 0 },
		"unknown method": func(o *Options) { o.Methods = []string{"pigeon"} },
	} {
		o := Defaults()
		change(&o)
		require.ErrorContains(t, o.Validate(), want)
	}
	n, err := ParseRate("50mbit")
	require.NoError(t, err)
	require.EqualValues(t, 50_000_000, n)
	for _, bad := range []string{"", "50", "-1mbit", "nanbit", "infgbit"} {
		_, err := ParseRate(bad)
		require.Error(t, err, bad)
	}
}

func TestTheWorldIsWhole(t *testing.T) {
	w := World()
	require.Len(t, w.regions, 12)
	require.Equal(t, time.Millisecond, w.nearest())
	require.Equal(t, 141*time.Millisecond+500*time.Microsecond, w.rtt[[2]string{"Tokyo", "Dallas"}])
	require.Greater(t, w.furthest(), 300*time.Millisecond)
}

func TestTopologyMustNameEveryPair(t *testing.T) {
	_, err := ReadTopology(strings.NewReader("a,b,10\nb,c,20\n"))
	require.ErrorContains(t, err, "between a and c")
	top, err := ReadTopology(strings.NewReader("# source\na,b,10\n"))
	require.NoError(t, err)
	o := Defaults()
	o.Topology = top
	got := map[time.Duration]bool{}
	for i := range o.Nodes {
		got[delays(o)(0, i)] = true
	}
	require.Equal(t, map[time.Duration]bool{5 * time.Millisecond: true, 500 * time.Microsecond: true}, got)
}
