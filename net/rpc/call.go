// Package rpc sends typed messages to one peer over libp2p streams: requests that
// are answered ([Serve], [Call]) and one-way messages ([Mailbox]).
//
// Both directions have size caps and deadlines, and a peer that sends rubbish pays
// for it in score. The package knows nothing of what the messages mean.
package rpc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
)

// Code says why a request failed at the other side.
type Code uint8

// The codes.
const (
	OK Code = iota
	BadRequest
	NotFound
	Busy
	Internal
)

// RemoteError is a failure that the other side reported.
type RemoteError struct {
	Code Code
	Text string // at most 200 bytes
}

// Error implements error.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("peer answered with code %d: %s", e.Code, e.Text)
}

// Protocol describes a request and its answer.
type Protocol[Req, Resp any] struct {
	ID          protocol.ID
	Request     canon.Codec[Req]
	Response    canon.Codec[Resp]
	MaxRequest  int // bytes
	MaxResponse int // bytes
	// Timeout bounds a whole exchange where the context has no earlier deadline.
	Timeout time.Duration
	// PerPeer bounds the requests of one peer that are served at a time; more
	// are answered with Busy.
	PerPeer int
}

// reply is the frame that answers: a code and the response or a text.
type reply struct {
	_    struct{} `cbor:",toarray"`
	Code Code
	Body []byte
}

const replyOverhead = 16

// Serve answers requests until the host closes. A handler's error becomes a
// [RemoteError]: as it is if it is one, else [Internal] without its text.
func Serve[Req, Resp any](h *p2p.Host, p Protocol[Req, Resp], log *slog.Logger, handle func(ctx context.Context, from peer.ID, req Req) (Resp, error)) {
	var mu sync.Mutex
	busy := map[peer.ID]int{}
	h.SetStreamHandler(p.ID, func(s network.Stream) {
		from := s.Conn().RemotePeer()
		mu.Lock()
		busy[from]++
		allowed := busy[from] <= p.PerPeer
		mu.Unlock()
		defer func() {
			mu.Lock()
			if busy[from]--; busy[from] == 0 {
				delete(busy, from)
			}
			mu.Unlock()
		}()
		answer(h, p, log, s, allowed, handle)
	})
}

func answer[Req, Resp any](h *p2p.Host, p Protocol[Req, Resp], log *slog.Logger, s network.Stream, allowed bool, handle func(context.Context, peer.ID, Req) (Resp, error)) {
	defer s.Close()
	from := s.Conn().RemotePeer()
	deadline := time.Now().Add(p.Timeout)
	_ = s.SetDeadline(deadline) // a stream without deadlines does its work all the same
	raw, err := readFrame(bufio.NewReader(s), p.MaxRequest)
	var req Req
	if err == nil {
		req, err = p.Request.Decode(raw)
	}
	if err != nil {
		h.Penalise(from, p2p.InvalidMessage)
		_ = s.Reset()
		return
	}
	out := reply{Code: Busy, Body: []byte("too many requests at a time")}
	if allowed {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		out = run(ctx, p, log, from, req, handle)
		cancel()
	}
	if _, err := s.Write(appendFrame(nil, canon.MustMarshal(out))); err != nil {
		_ = s.Reset()
	}
}

// run calls the handler. A panic in it is a bug of this program, which must show
// in the log, but must not let a peer take the node down.
func run[Req, Resp any](ctx context.Context, p Protocol[Req, Resp], log *slog.Logger, from peer.ID, req Req, handle func(context.Context, peer.ID, Req) (Resp, error)) (out reply) {
	defer func() {
		if r := recover(); r != nil {
			log.Error("request handler panicked", "protocol", string(p.ID), "panic", r, "stack", string(debug.Stack()))
			out = reply{Code: Internal, Body: []byte("internal error")}
		}
	}()
	resp, err := handle(ctx, from, req)
	if remote := (*RemoteError)(nil); errors.As(err, &remote) {
		return reply{Code: remote.Code, Body: []byte(remote.Text)}
	}
	if err == nil {
		var body []byte
		if body, err = p.Response.Encode(resp); err == nil {
			return reply{Body: body}
		}
	}
	log.Warn("request failed", "protocol", string(p.ID), "peer", from.String(), "error", err)
	return reply{Code: Internal, Body: []byte("internal error")}
}

// Call sends a request and waits for the answer. The error is a [*RemoteError] if
// the other side could not serve it.
func Call[Req, Resp any](ctx context.Context, h *p2p.Host, to peer.ID, p Protocol[Req, Resp], req Req) (Resp, error) {
	var zero Resp
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	s, err := h.NewStream(ctx, to, p.ID)
	if err != nil {
		return zero, fmt.Errorf("call %s at %s: %w", p.ID, to, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	defer s.Close()
	body, err := exchange(s, p, req)
	if err != nil {
		_ = s.Reset()
		return zero, fmt.Errorf("call %s at %s: %w", p.ID, to, errors.Join(err, ctx.Err()))
	}
	resp, err := p.Response.Decode(body)
	if err != nil {
		h.Penalise(to, p2p.InvalidMessage)
		return zero, fmt.Errorf("call %s at %s: %w", p.ID, to, err)
	}
	return resp, nil
}

func exchange[Req, Resp any](s network.Stream, p Protocol[Req, Resp], req Req) ([]byte, error) {
	raw, err := p.Request.Encode(req)
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(appendFrame(nil, raw)); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	frame, err := readFrame(bufio.NewReader(s), p.MaxResponse+replyOverhead)
	if err != nil {
		return nil, err
	}
	var out reply
	if err := canon.Unmarshal(frame, &out); err != nil {
		return nil, err
	}
	if out.Code != OK {
		return nil, &RemoteError{Code: out.Code, Text: string(out.Body[:min(len(out.Body), 200)])}
	}
	return out.Body, nil
}
