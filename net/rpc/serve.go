package rpc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/net/p2p"
)

// Handler answers requests. The context ends when the exchange must.
type Handler[Req, Resp any] = func(ctx context.Context, from peer.ID, req Req) (Resp, error)

// server is one protocol as it is served.
type server[Req, Resp any] struct {
	host   *p2p.Host
	proto  Protocol[Req, Resp]
	log    *slog.Logger
	handle Handler[Req, Resp]
	ctx    context.Context // of the handlers, ended by stop
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	total  int
	byPeer map[peer.ID]int
}

// Serve answers requests until stop is called, which waits for the handlers that
// run: call it before closing what they use, and before the host. A handler's error
// becomes a [RemoteError]: as it is if it is one, else [Internal] without its text,
// which is logged here.
func Serve[Req, Resp any](h *p2p.Host, p Protocol[Req, Resp], log *slog.Logger, handle Handler[Req, Resp]) (stop func()) {
	if p.Total == 0 {
		p.Total = 8 * p.PerPeer
	}
	s := &server[Req, Resp]{host: h, proto: p, log: log, handle: handle, byPeer: map[peer.ID]int{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	h.SetStreamHandler(p.ID, s.stream)
	return s.stop
}

func (s *server[Req, Resp]) stop() {
	s.host.RemoveStreamHandler(s.proto.ID)
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.wg.Wait()
}

// enter admits a request; running is false once the server is stopped, allowed
// if there are too many at a time.
func (s *server[Req, Resp]) enter(from peer.ID) (running, allowed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false, false
	}
	s.wg.Add(1) // under the lock: stop waits only after it has closed the door
	s.total++
	s.byPeer[from]++
	return true, s.total <= s.proto.Total && s.byPeer[from] <= s.proto.PerPeer
}

func (s *server[Req, Resp]) leave(from peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.byPeer[from]--; s.byPeer[from] == 0 {
		delete(s.byPeer, from)
	}
	s.wg.Done()
}

func (s *server[Req, Resp]) stream(st network.Stream) {
	from := st.Conn().RemotePeer()
	running, allowed := s.enter(from)
	if !running {
		_ = st.Reset()
		return
	}
	defer s.leave(from)
	ctx, cancel := context.WithTimeout(s.ctx, s.proto.Timeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, func() { _ = st.Reset() })()
	deadline, _ := ctx.Deadline()
	_ = st.SetDeadline(deadline) // streams of all transports have deadlines
	if err := s.answer(ctx, st, from, allowed); err != nil {
		blame(s.host, from, err)
		_ = st.Reset()
		return
	}
	_ = st.Close()
}

// answer returns an error if the request cannot be read; what goes wrong with the
// answer is for the other side to notice.
func (s *server[Req, Resp]) answer(ctx context.Context, st network.Stream, from peer.ID, allowed bool) error {
	raw, err := readFrame(bufio.NewReader(st), s.proto.MaxRequest)
	if err != nil {
		return err
	}
	req, err := s.proto.Request.Decode(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !allowed {
		_ = writeAnswer(st, Busy, []byte("too many requests at a time"))
		return nil
	}
	code, body := s.run(ctx, from, req)
	_ = writeAnswer(st, code, body)
	return nil
}

// run calls the handler. A panic in it is a bug of this program, which must show
// in the log, but must not let a peer take the node down.
func (s *server[Req, Resp]) run(ctx context.Context, from peer.ID, req Req) (code Code, body []byte) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("request handler panicked", "protocol", string(s.proto.ID), "panic", r, "stack", string(debug.Stack()))
			code, body = Internal, []byte(Internal.String())
		}
	}()
	resp, err := s.handle(ctx, from, req)
	if remote := (*RemoteError)(nil); errors.As(err, &remote) && remote.Code != OK {
		return remote.Code, []byte(remote.Text[:min(len(remote.Text), maxErrorText)])
	}
	if err == nil {
		if body, err = s.proto.Response.Encode(resp); err == nil && len(body) > s.proto.MaxResponse {
			err = fmt.Errorf("answer of %d bytes: %w", len(body), ErrTooLarge)
		}
	}
	if err != nil {
		s.log.Warn("request failed", "protocol", string(s.proto.ID), "peer", from.String(), "error", err)
		return Internal, []byte(Internal.String())
	}
	return OK, body
}

// writeAnswer writes a large body from where it is, a small one together with
// its head.
func writeAnswer(st network.Stream, code Code, body []byte) error {
	const small = 16 << 10
	head := binary.AppendUvarint(make([]byte, 0, min(len(body), small)+16), uint64(1+len(body)))
	head = append(head, byte(code))
	if len(body) <= small {
		head, body = append(head, body...), nil
	}
	if _, err := st.Write(head); err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	_, err := st.Write(body)
	return err
}
