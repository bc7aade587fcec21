package rpc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

var echo = Protocol[[]byte, []byte]{
	ID: "/test/echo/1", Request: canon.CBOR[[]byte](), Response: canon.CBOR[[]byte](),
	MaxRequest: 4 << 20, MaxResponse: 4 << 20, Timeout: 10 * time.Second, PerPeer: 4,
}

var quiet = slog.New(slog.DiscardHandler)

func pair(tb testing.TB) (client, server *p2p.Host) {
	tb.Helper()
	hosts := p2ptest.Mesh(tb, 2)
	return hosts[0], hosts[1]
}

func serve(tb testing.TB, h *p2p.Host, p Protocol[[]byte, []byte], handle Handler[[]byte, []byte]) {
	tb.Helper()
	tb.Cleanup(Serve(h, p, quiet, handle))
}

func echoes(_ context.Context, _ peer.ID, req []byte) ([]byte, error) { return req, nil }

func TestRequestsOfAllSizesAreAnswered(t *testing.T) {
	client, server := pair(t)
	serve(t, server, echo, echoes)
	for _, size := range []int{0, 1, 16 << 10, 16<<10 + 1, 3 << 20} {
		req := bytes.Repeat([]byte{7}, size)
		got, err := Call(t.Context(), client, server.ID(), echo, req)
		require.NoError(t, err)
		require.True(t, bytes.Equal(req, got))
	}
}

// The server may answer before the client has said that its request is complete.
func TestQuickAnswersAreNoErrorsOnAnyTransport(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			hosts := p2ptest.Mesh(t, 2, tr.listen)
			serve(t, hosts[1], echo, echoes)
			for range 1000 {
				_, err := Call(t.Context(), hosts[0], hosts[1].ID(), echo, []byte{1})
				require.NoError(t, err)
			}
		})
	}
}

func TestHandlerLearnsWhoAsks(t *testing.T) {
	client, server := pair(t)
	serve(t, server, echo, func(_ context.Context, from peer.ID, _ []byte) ([]byte, error) { return []byte(from), nil })
	got, err := Call(t.Context(), client, server.ID(), echo, nil)
	require.NoError(t, err)
	require.Equal(t, client.ID(), peer.ID(got))
}

func TestErrorsArriveAsTheirCodes(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code Code
		text string
	}{
		"remote error": {&RemoteError{NotFound, "no block 7"}, NotFound, "no block 7"},
		"wrapped":      {errors.Join(errors.New("x"), &RemoteError{BadRequest, "from after to"}), BadRequest, "from after to"},
		"secret":       {errors.New("/home/alice/keys: permission denied"), Internal, "internal error"},
		"long text":    {&RemoteError{NotFound, strings.Repeat("x", 999)}, NotFound, strings.Repeat("x", maxErrorText)},
		"not an error": {&RemoteError{OK, "never"}, Internal, "internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			serve(t, server, echo, func(context.Context, peer.ID, []byte) ([]byte, error) { return nil, c.err })
			_, err := Call(t.Context(), client, server.ID(), echo, nil)
			var remote *RemoteError
			require.ErrorAs(t, err, &remote)
			require.Equal(t, c.code, CodeOf(err))
			require.Equal(t, c.text, remote.Text)
		})
	}
}

func TestPanickingHandlerIsAnInternalError(t *testing.T) {
	client, server := pair(t)
	var log bytes.Buffer
	stop := Serve(server, echo, slog.New(slog.NewTextHandler(&log, nil)), func(context.Context, peer.ID, []byte) ([]byte, error) { panic("bug") })
	_, err := Call(t.Context(), client, server.ID(), echo, nil)
	require.Equal(t, Internal, CodeOf(err))
	stop()
	require.Contains(t, log.String(), "panic=bug")
	require.Contains(t, log.String(), "call_test.go", "with the stack")
}

func TestTooManyRequestsAtATimeAreBusy(t *testing.T) {
	for name, limits := range map[string]struct{ perPeer, total int }{"of a peer": {2, 9}, "of all": {9, 2}} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			p := echo
			p.PerPeer, p.Total = limits.perPeer, limits.total
			entered, release := make(chan struct{}, 2), make(chan struct{})
			serve(t, server, p, func(context.Context, peer.ID, []byte) ([]byte, error) {
				entered <- struct{}{}
				<-release
				return nil, nil
			})
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					_, err := Call(t.Context(), client, server.ID(), p, nil)
					require.NoError(t, err)
				})
			}
			<-entered
			<-entered
			_, err := Call(t.Context(), client, server.ID(), p, nil)
			require.Equal(t, Busy, CodeOf(err))
			close(release)
			wg.Wait()
			_, err = Call(t.Context(), client, server.ID(), p, nil)
			require.NoError(t, err, "places become free")
		})
	}
}

func TestSizesAreCappedInBothDirections(t *testing.T) {
	client, server := pair(t)
	small := echo
	small.MaxRequest, small.MaxResponse = 1000, 1000
	serve(t, server, small, func(context.Context, peer.ID, []byte) ([]byte, error) { return make([]byte, 2000), nil })
	_, err := Call(t.Context(), client, server.ID(), small, make([]byte, 2000))
	require.ErrorIs(t, err, ErrTooLarge, "not even sent")
	_, err = Call(t.Context(), client, server.ID(), small, nil)
	require.Equal(t, Internal, CodeOf(err), "not even answered")
	require.Zero(t, server.Score(client.ID()))
	require.Zero(t, client.Score(server.ID()))
}

func TestRubbishIsPenalised(t *testing.T) {
	for name, wire := range map[string][]byte{
		"too large":     appendFrame(nil, make([]byte, 5<<20)),
		"not canonical": {2, 0x58, 0x00}, // a byte string with a longer head than it needs
		"bad length":    bytes.Repeat([]byte{0xff}, 12),
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			serve(t, server, echo, echoes)
			s, err := client.NewStream(t.Context(), server.ID(), echo.ID)
			require.NoError(t, err)
			_, _ = s.Write(wire) // may be cut off while writing
			require.Eventually(t, func() bool { return server.Score(client.ID()) > 0 }, 5*time.Second, time.Millisecond)
			_ = s.Reset()
		})
	}
}

func TestRubbishAnswersArePenalised(t *testing.T) {
	for name, wire := range map[string][]byte{
		"too large": appendFrame(nil, make([]byte, 5<<20)), "empty": {0}, "unknown code": {1, 99}, "undecodable": {2, 0, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			server.SetStreamHandler(echo.ID, func(s network.Stream) {
				_, _ = s.Write(wire)
				_ = s.CloseWrite()
			})
			_, err := Call(t.Context(), client, server.ID(), echo, nil)
			require.Error(t, err)
			require.Positive(t, client.Score(server.ID()))
		})
	}
}

func TestGivingUpACallIsNoOffence(t *testing.T) {
	client, server := pair(t)
	entered := make(chan struct{}, 1)
	serve(t, server, echo, func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	p := echo
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := Call(ctx, client, server.ID(), p, nil)
			done <- err
		}()
		select {
		case <-entered:
		case err := <-done:
			require.Equal(t, Busy, CodeOf(err), "the handlers of before still run")
			cancel()
			continue
		}
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	}
	// Streams that break before they carry a request.
	for range 10 {
		s, err := client.NewStream(t.Context(), server.ID(), echo.ID)
		require.NoError(t, err)
		_, err = s.Write([]byte{100, 1, 2})
		require.NoError(t, err)
		_ = s.Reset()
	}
	require.Zero(t, server.Score(client.ID()))
}

func TestCallEndsWithItsTimeout(t *testing.T) {
	client, server := pair(t)
	stuck := echo
	stuck.Timeout = 50 * time.Millisecond
	server.SetStreamHandler(stuck.ID, func(network.Stream) {})
	_, err := Call(t.Context(), client, server.ID(), stuck, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestStopWaitsForHandlers(t *testing.T) {
	client, server := pair(t)
	entered := make(chan struct{})
	var finished bool
	stop := Serve(server, echo, quiet, func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		finished = true
		return nil, nil
	})
	done := make(chan error)
	go func() {
		_, err := Call(t.Context(), client, server.ID(), echo, nil)
		done <- err
	}()
	<-entered
	stop()
	require.True(t, finished)
	if err := <-done; err != nil {
		t.Log("the answer did not get through:", err)
	}
	_, err := Call(t.Context(), client, server.ID(), echo, nil)
	require.Error(t, err, "nothing is served any more")
}

func TestUnknownProtocolIsAnError(t *testing.T) {
	client, server := pair(t)
	p := echo
	p.ID = protocol.ID("/test/nobody/1")
	_, err := Call(t.Context(), client, server.ID(), p, nil)
	require.ErrorContains(t, err, "call /test/nobody/1 at "+server.ID().String())
}
