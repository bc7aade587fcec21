package rpc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
)

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
	// Total bounds the requests of all peers that are served at a time; 0 is
	// eight times PerPeer.
	Total int
}

// An answer is one frame: the code, then the encoded response or, if the code is
// not OK, a text.

// Call sends a request and waits for the answer. The error is a [*RemoteError] if
// the other side could not serve it.
func Call[Req, Resp any](ctx context.Context, h *p2p.Host, to peer.ID, p Protocol[Req, Resp], req Req) (Resp, error) {
	resp, err := call(ctx, h, to, p, req)
	if err != nil {
		return resp, fmt.Errorf("call %s at %s: %w", p.ID, to, err)
	}
	return resp, nil
}

func call[Req, Resp any](ctx context.Context, h *p2p.Host, to peer.ID, p Protocol[Req, Resp], req Req) (resp Resp, err error) {
	raw, err := p.Request.Encode(req)
	if err != nil {
		return resp, err
	}
	if len(raw) > p.MaxRequest {
		return resp, fmt.Errorf("request of %d bytes, at most %d are allowed: %w", len(raw), p.MaxRequest, ErrTooLarge)
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	s, err := h.NewStream(ctx, to, p.ID)
	if err != nil {
		return resp, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	body, err := exchange(s, raw, p.MaxResponse)
	if err == nil {
		if resp, err = p.Response.Decode(body); err != nil {
			err = fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	if err != nil {
		_ = s.Reset()
		blame(h, to, err)
		return resp, errors.Join(err, ctx.Err())
	}
	_ = s.Close() // everything was read and written
	return resp, nil
}

func exchange(s network.Stream, req []byte, maxResponse int) ([]byte, error) {
	if _, err := s.Write(appendFrame(make([]byte, 0, len(req)+binary.MaxVarintLen32), req)); err != nil {
		return nil, err
	}
	// On QUIC this fails if the other side has answered already, and so wants
	// no more of the request: whether it has shows in the answer.
	_ = s.CloseWrite()
	frame, err := readFrame(bufio.NewReader(s), 1+max(maxResponse, maxErrorText))
	if err != nil {
		return nil, err
	}
	if len(frame) == 0 {
		return nil, fmt.Errorf("%w: empty answer", ErrMalformed)
	}
	code, body := Code(frame[0]), frame[1:]
	switch {
	case code > Internal:
		return nil, fmt.Errorf("%w: unknown %s", ErrMalformed, code)
	case code != OK:
		return nil, &RemoteError{Code: code, Text: string(body[:min(len(body), maxErrorText)])}
	case len(body) > maxResponse:
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(body), maxResponse)
	}
	return body, nil
}
