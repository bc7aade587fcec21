package gossip

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

// One of four nodes in this process publishes, three receive. CPU is that of the
// whole process, for each byte that is delivered to somebody.
func BenchmarkGossip(b *testing.B) {
	for _, tr := range []struct{ name, listen string }{
		{"tcp", "/ip4/127.0.0.1/tcp/0"}, {"quic", "/ip4/127.0.0.1/udp/0/quic-v1"},
	} {
		for _, size := range []int{1 << 10, 32 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", tr.name, size>>10), func(b *testing.B) { benchGossip(b, tr.listen, size) })
		}
	}
}

func benchGossip(b *testing.B, listen string, size int) {
	const nodes = 4
	window := max(2, min(64, (4<<20)/size)) // messages under way
	tokens := make(chan struct{}, window*(nodes-1))
	ms := members(b, p2ptest.Hosts(b, nodes, listen), func(_ int, s *Spec[note]) {
		s.Handle = func(peer.ID, note) { tokens <- struct{}{} }
		s.PerSecond, s.BytesPerSecond = 1<<20, 1<<32
		raw := func(n note) (note, error) { return n, nil }
		s.Codec = canon.Codec[note]{Encode: raw, Decode: raw} // what gossip costs, not what CBOR does
	})
	for range cap(tokens) {
		tokens <- struct{}{}
	}
	cpu := processCPU(b)
	var n uint64
	for b.Loop() {
		for range nodes - 1 { // what all got of the message a window ago
			<-tokens
		}
		msg := make(note, size)
		binary.BigEndian.PutUint64(msg[1:], n)
		n++
		require.NoError(b, ms[0].Publish(b.Context(), msg))
	}
	for range cap(tokens) {
		<-tokens
	}
	delivered := float64(n) * (nodes - 1)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(n)*float64(size)/b.Elapsed().Seconds()/1e6, "MB/s")
	b.ReportMetric(float64((processCPU(b)-cpu).Nanoseconds())/delivered/1e3, "cpu-us/delivery")
	var copies uint64
	for _, m := range ms {
		copies += m.gossip.Stats().Duplicates
	}
	b.ReportMetric(float64(copies)/delivered, "duplicates/delivery")
}

func processCPU(tb testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
