package rpc

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Against a plain list: messages leave in order, none twice, and every message is
// written, waiting, or counted as dropped. A write may fail, and messages may come
// while it lasts.
func TestOutboxLosesNothingUncounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutbox()
		var pushed, next, dropped uint64
		push := func(n int) {
			for range n {
				pushed++
				dropped += o.push(binary.BigEndian.AppendUint64(nil, pushed))
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			push(rapid.IntRange(0, 200).Draw(t, "push"))
			wire, before := o.batch(nil, rapid.IntRange(1, 2000).Draw(t, "enough"))
			r := reader(wire)
			var sent []uint64
			for {
				frame, err := readFrame(r, 8)
				if err != nil {
					break
				}
				sent = append(sent, binary.BigEndian.Uint64(frame))
			}
			push(rapid.IntRange(0, 50).Draw(t, "push during the write"))
			if rapid.Bool().Draw(t, "written") {
				for _, n := range sent {
					require.Greater(t, n, next)
					next = n
				}
				o.written(before)
			}
			require.LessOrEqual(t, len(o.queue), outboxSize)
			if len(o.queue) > 0 {
				require.Equal(t, pushed, o.first+uint64(len(o.queue)))
				require.Equal(t, o.first+1, binary.BigEndian.Uint64(o.queue[0]))
				require.GreaterOrEqual(t, binary.BigEndian.Uint64(o.queue[0]), next)
			}
			require.LessOrEqual(t, dropped, o.first)
		}
	})
}
