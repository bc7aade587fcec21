package virtual

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestThingsHappenInOrderOfTimeAndThenOfPutting(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var q Queue
		times := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 40).Draw(rt, "times")
		var got []int
		for i, at := range times {
			q.Put(time.Duration(at), func() { got = append(got, i) })
		}
		var want []int
		for i := range times {
			want = append(want, i)
		}
		slices.SortStableFunc(want, func(a, b int) int { return times[a] - times[b] })
		for q.Due(10) {
			at, do := q.Pop()
			do()
			require.Equal(rt, times[got[len(got)-1]], int(at))
		}
		require.Equal(rt, want, got)
		require.False(rt, q.Due(10))
	})
}
