package rpc

import (
	"context"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

var transports = []struct{ name, listen string }{
	{"tcp", "/ip4/127.0.0.1/tcp/0"}, {"quic", "/ip4/127.0.0.1/udp/0/quic-v1"},
}

func BenchmarkCall(b *testing.B) {
	for _, tr := range transports {
		b.Run(tr.name, func(b *testing.B) {
			hosts := p2ptest.Mesh(b, 2, tr.listen)
			serve(b, hosts[1], echo, echoes)
			req := make([]byte, 128)
			for b.Loop() {
				_, err := Call(b.Context(), hosts[0], hosts[1].ID(), echo, req)
				require.NoError(b, err)
			}
		})
	}
}

func BenchmarkCallOneMegabyte(b *testing.B) {
	for _, tr := range transports {
		b.Run(tr.name, func(b *testing.B) {
			hosts := p2ptest.Mesh(b, 2, tr.listen)
			serve(b, hosts[1], echo, func(context.Context, peer.ID, []byte) ([]byte, error) { return make([]byte, 1<<20), nil })
			b.SetBytes(1 << 20)
			for b.Loop() {
				_, err := Call(b.Context(), hosts[0], hosts[1].ID(), echo, nil)
				require.NoError(b, err)
			}
		})
	}
}

// A letter there and one back: what a vote and the answer to it cost.
func BenchmarkLetterRoundTrip(b *testing.B) {
	for _, tr := range transports {
		b.Run(tr.name, func(b *testing.B) {
			hosts := p2ptest.Mesh(b, 2, tr.listen)
			back := make(chan letter, 1)
			there := mailbox(b, hosts[0], into(back))
			var here *Mailbox[letter]
			ready := make(chan struct{})
			here = mailbox(b, hosts[1], func(from peer.ID, l letter) {
				<-ready
				_ = here.Send(from, l)
			})
			close(ready)
			for b.Loop() {
				require.NoError(b, there.Send(hosts[1].ID(), letter{B: make([]byte, 200)}))
				<-back
			}
		})
	}
}

func BenchmarkLetters(b *testing.B) {
	for _, tr := range transports {
		b.Run(tr.name, func(b *testing.B) {
			hosts := p2ptest.Mesh(b, 2, tr.listen)
			tokens := make(chan struct{}, outboxSize/2)
			mailbox(b, hosts[1], func(peer.ID, letter) { <-tokens })
			from := mailbox(b, hosts[0], nobody)
			l := letter{B: make([]byte, 200)}
			for b.Loop() {
				tokens <- struct{}{}
				require.NoError(b, from.Send(hosts[1].ID(), l))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "letters/s")
			require.Zero(b, from.Dropped())
		})
	}
}
