package rpc

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

func talkOver(tb testing.TB, h *p2p.Host, handle func(peer.ID, []byte) []byte) *Exchange[[]byte, []byte] {
	tb.Helper()
	x := NewExchange(h, Talk[[]byte, []byte]{
		ID: "/test/exchange/1", Request: canon.CBOR[[]byte](), Response: canon.CBOR[[]byte](), MaxSize: 1 << 20, PerSecond: 100_000, Timeout: 5 * time.Second,
		Handle: handle, Reach: func(ctx context.Context, to peer.ID) error { return h.Connect(ctx, h.Peerstore().PeerInfo(to)) },
	}, quiet)
	tb.Cleanup(x.Close)
	return x
}

// ask waits for an answer.
func ask(x *Exchange[[]byte, []byte], to peer.ID, req []byte) (resp []byte, err error) {
	done := make(chan struct{})
	x.Call(to, req, func(r []byte, e error) { resp, err = r, e; close(done) })
	<-done
	return resp, err
}

func same(_ peer.ID, b []byte) []byte { return b }

func TestRequestsOfManyAtOnceGetTheirOwnAnswers(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			hosts := p2ptest.Mesh(t, 2, tr.listen)
			a, _ := talkOver(t, hosts[0], same), talkOver(t, hosts[1], same)
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					req := bytes.Repeat([]byte{byte(i)}, i*50)
					got, err := ask(a, hosts[1].ID(), req)
					require.NoError(t, err)
					require.True(t, bytes.Equal(req, got))
				})
			}
			wg.Wait()
		})
	}
}

func TestWhoIsNotConnectedIsReached(t *testing.T) {
	hosts := p2ptest.Hosts(t, 2)
	a, _ := talkOver(t, hosts[0], same), talkOver(t, hosts[1], same)
	hosts[0].Peerstore().AddAddrs(hosts[1].ID(), hosts[1].Addrs(), time.Hour)
	got, err := ask(a, hosts[1].ID(), []byte{1})
	require.NoError(t, err)
	require.Equal(t, []byte{1}, got)
	_, err = ask(a, p2ptest.New(t).ID(), nil)
	require.Error(t, err, "nobody knows where it is")
}

func TestCallsEndWithTheConnectionAndWithTheExchange(t *testing.T) {
	hosts := p2ptest.Mesh(t, 2)
	a := talkOver(t, hosts[0], same)
	entered, release := make(chan struct{}, 2), make(chan struct{})
	talkOver(t, hosts[1], func(_ peer.ID, b []byte) []byte {
		entered <- struct{}{}
		<-release
		return b
	})
	errs := make(chan error, 2)
	a.Call(hosts[1].ID(), []byte{1}, func(_ []byte, err error) { errs <- err })
	<-entered
	require.NoError(t, hosts[0].Network().ClosePeer(hosts[1].ID()))
	require.ErrorIs(t, <-errs, ErrGone)
	close(release)
	a.Close()
	a.Call(hosts[1].ID(), []byte{1}, func(_ []byte, err error) { errs <- err })
	require.ErrorIs(t, <-errs, ErrClosed)
}

func TestSilenceEndsACall(t *testing.T) {
	hosts := p2ptest.Mesh(t, 2)
	x := NewExchange(hosts[0], Talk[[]byte, []byte]{
		ID: "/test/exchange/1", Request: canon.CBOR[[]byte](), Response: canon.CBOR[[]byte](), MaxSize: 100, Timeout: 50 * time.Millisecond, Handle: same,
	}, quiet)
	t.Cleanup(x.Close)
	_, err := ask(x, hosts[1].ID(), []byte{1}) // who does not speak the protocol
	require.ErrorIs(t, err, ErrSilent)
}

func TestRubbishRequestsArePenalised(t *testing.T) {
	hosts := p2ptest.Mesh(t, 2)
	talkOver(t, hosts[1], same)
	for _, wire := range [][]byte{appendFrame(nil, []byte{1, 2}), appendFrame(nil, append(make([]byte, 8), 2)), appendFrame(nil, append(make([]byte, 9), 0xff))} {
		before := hosts[1].Score(hosts[0].ID())
		s, err := hosts[0].NewStream(t.Context(), hosts[1].ID(), "/test/exchange/1")
		require.NoError(t, err)
		_, err = s.Write(wire)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return hosts[1].Score(hosts[0].ID()) > before }, 5*time.Second, time.Millisecond)
		_ = s.Reset()
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, tr := range transports {
		b.Run(tr.name, func(b *testing.B) {
			hosts := p2ptest.Mesh(b, 2, tr.listen)
			x, _ := talkOver(b, hosts[0], same), talkOver(b, hosts[1], same)
			req := make([]byte, 128)
			for b.Loop() {
				_, err := ask(x, hosts[1].ID(), req)
				require.NoError(b, err)
			}
		})
	}
}
