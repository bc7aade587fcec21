package throughput

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var sweep = flag.String("sweep", "", "write the sweep over the number of validators to this CSV file")

const (
	uplink  = 50_000_000 / 8 // 50 Mbit/s
	latency = 100 * time.Millisecond
)

// best is the best of a way of spreading over several sizes of blocks or batches.
func best(t testing.TB, n int, s Spread, during time.Duration, sizes ...int) (Result, int) {
	var top Result
	at := 0
	for _, size := range sizes {
		r, err := Run(Experiment{Validators: n, Spread: s, Bytes: size, Uplink: uplink, Latency: latency, For: during})
		require.NoError(t, err)
		if r.Rate > top.Rate {
			top, at = r, size
		}
	}
	return top, at
}

var (
	blockSizes = []int{64 << 10, 256 << 10, 1 << 20, 4 << 20}
	batchSizes = []int{64 << 10, 256 << 10}
)

func TestLanesDecideSeveralTimesWhatOneLeaderDoes(t *testing.T) {
	const n = 13
	single, size := best(t, n, Direct, 24*time.Second, 256<<10)
	gossip, _ := best(t, n, Gossip, 24*time.Second, 256<<10)
	lanes, batch := best(t, n, Lanes, 12*time.Second, 64<<10)
	t.Logf("one leader %.2f MB/s (%d KiB blocks), gossip %.2f MB/s, lanes %.2f MB/s (%d KiB batches)", single.Rate/1e6, size>>10, gossip.Rate/1e6, lanes.Rate/1e6, batch>>10)
	require.Greater(t, lanes.Rate, 3*max(single.Rate, gossip.Rate))
}

func TestLanesGoOnWithoutTheCrashed(t *testing.T) {
	e := Experiment{Validators: 16, Spread: Lanes, Bytes: 64 << 10, Uplink: uplink, Latency: latency, For: 16 * time.Second}
	whole, err := Run(e)
	require.NoError(t, err)
	e.Crashed = []int{1, 4, 6, 11, 15}
	crashed, err := Run(e)
	require.NoError(t, err)
	t.Logf("whole %.2f MB/s, with 5 of 16 crashed %.2f MB/s", whole.Rate/1e6, crashed.Rate/1e6)
	require.Greater(t, crashed.Rate, 0.8*whole.Rate)
}

func TestSweep(t *testing.T) {
	if *sweep == "" {
		t.Skip("make lanes-plot runs it")
	}
	out, err := os.Create(*sweep)
	require.NoError(t, err)
	fmt.Fprintln(out, "validators,spread,best_size_bytes,bytes_per_second,blocks,mean_delay_ms")
	for _, n := range []int{4, 7, 10, 16, 31, 64} {
		for _, s := range []Spread{Direct, Gossip, Lanes} {
			sizes := blockSizes
			if s == Lanes {
				sizes = batchSizes
			}
			r, size := best(t, n, s, 60*time.Second, sizes...)
			fmt.Fprintf(out, "%d,%q,%d,%.0f,%d,%d\n", n, s, size, r.Rate, r.Blocks, r.Delay.Milliseconds())
			t.Logf("%d validators, %s: %.2f MB/s with %d KiB, delay %s", n, s, r.Rate/1e6, size>>10, r.Delay.Round(time.Millisecond))
		}
	}
	require.NoError(t, out.Close())
}
