package turbine

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/fec"
)

// BenchmarkReceive measures what one member does, on one core, with 8 MiB that come shred
// by shred. relay: check and pass on; it never gets enough to rebuild a set. rebuild: the
// same, and each set is made whole and encoded again. The bytes are those of the packets.
func BenchmarkReceive(b *testing.B) {
	for _, shape := range []fec.Shape{{Data: 32, Parity: 32}, {Data: 128, Parity: 43}} {
		for name, enough := range map[string]bool{"relay": false, "rebuild": true} {
			b.Run(shape.String()+"/"+name, func(b *testing.B) {
				w := newWorld(b, 50, 1, nil)
				var packets [][]byte
				bytes := 0
				require.NoError(b, encoderOf(b, 0, shape).Cut(fec.Stream{Channel: 1, Slot: 1}, fec.Plain, randomBytes(8<<20, 1), func(s *fec.Set) error {
					shreds := s.Shreds
					if !enough {
						shreds = shreds[:shape.Data-1]
					}
					for _, raw := range shreds {
						packets = append(packets, append([]byte{kindShred}, raw...))
						bytes += 1 + len(raw)
					}
					return nil
				}))
				b.SetBytes(int64(bytes))
				for b.Loop() {
					c := New(w.cores[3].cfg)
					finished, sent := 0, 0
					for _, p := range packets {
						e := c.Receive(w.clock(), 0, p)
						finished, sent = finished+len(e.Finished), sent+len(e.Sends)
					}
					require.Equal(b, enough, finished == 1)
					require.Positive(b, sent)
				}
			})
		}
	}
}
