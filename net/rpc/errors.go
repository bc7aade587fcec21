package rpc

import (
	"errors"
	"fmt"
	"os"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/net/p2p"
)

var (
	// ErrTooLarge means that a frame is larger than its protocol allows.
	ErrTooLarge = errors.New("frame too large")
	// ErrMalformed means that a frame or the message in it does not decode.
	ErrMalformed = errors.New("malformed message")
	// ErrClosed means that a mailbox is closed.
	ErrClosed = errors.New("mailbox closed")
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

// String names the code.
func (c Code) String() string {
	switch c {
	case OK:
		return "ok"
	case BadRequest:
		return "bad request"
	case NotFound:
		return "not found"
	case Busy:
		return "busy"
	case Internal:
		return "internal error"
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// maxErrorText caps the text of a [RemoteError], bytes.
const maxErrorText = 200

// RemoteError is a failure that the other side reported, or that a handler
// wants reported.
type RemoteError struct {
	Code Code
	Text string // at most 200 bytes; of a stranger's making
}

// Error implements error.
func (e *RemoteError) Error() string { return fmt.Sprintf("peer answered %s: %q", e.Code, e.Text) }

// CodeOf finds the code that a peer answered with; OK if err is nil or of
// another kind.
func CodeOf(err error) Code {
	if remote := (*RemoteError)(nil); errors.As(err, &remote) {
		return remote.Code
	}
	return OK
}

// blame penalises a peer for what its bytes showed. A stream that breaks is
// nobody's fault: callers give up and connections die among the honest.
func blame(h *p2p.Host, id peer.ID, err error) {
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrMalformed):
		h.Penalise(id, p2p.InvalidMessage)
	case errors.Is(err, os.ErrDeadlineExceeded):
		h.Penalise(id, p2p.Slow)
	}
}
