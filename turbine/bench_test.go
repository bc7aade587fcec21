package turbine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/fec"
)

// BenchmarkReceive measures what one member does with 8 MiB that come shred by shred:
// check, relay to the children, rebuild. The bytes are those of the packets.
func BenchmarkReceive(b *testing.B) {
	for _, shape := range []fec.Shape{{Data: 32, Parity: 32}, {Data: 128, Parity: 43}} {
		b.Run(shape.String(), func(b *testing.B) {
			w := newWorld(b, 50, 1, nil)
			var packets [][]byte
			bytes := 0
			require.NoError(b, encoderOf(b, 0, shape).Cut(fec.Stream{Channel: 1, Slot: 1}, fec.Plain, randomBytes(8<<20, 1), func(s *fec.Set) error {
				for _, raw := range s.Shreds {
					packets = append(packets, append([]byte{kindShred}, raw...))
					bytes += 1 + len(raw)
				}
				return nil
			}))
			b.SetBytes(int64(bytes))
			for b.Loop() {
				c := New(w.cores[3].cfg)
				finished := 0
				for _, p := range packets {
					finished += len(c.Receive(w.clock(), 0, p).Finished)
				}
				require.Equal(b, 1, finished)
			}
		})
	}
}
