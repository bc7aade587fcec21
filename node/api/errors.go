package api

import "errors"

// What a [Backend] wraps to choose the answer's status. Anything else is shown
// as a defect of the node.
var (
	ErrNotFound = errors.New("not found")                           // 404
	ErrInvalid  = errors.New("invalid")                             // 422
	ErrRejected = errors.New("rejected")                            // 422
	ErrBusy     = errors.New("busy, try again in a moment")         // 503
	ErrNotReady = errors.New("this node is still catching up")      // 503
	ErrListen   = errors.New("the API cannot listen")               // from Server.Listen
	errGone     = errors.New("the node is stopping")                // 503
	errHeld     = errors.New("too many open streams and waits")     // 503
	errTooMany  = errors.New("too many requests from your address") // 429
)

// Rejection is the mempool's or the ledger's refusal of a transaction. Code is a
// stable word such as "underfunded"; Reason tells a person what to do.
type Rejection struct{ Code, Reason string }

// Error implements error.
func (r *Rejection) Error() string { return r.Reason }

// Is makes every rejection match [ErrRejected].
func (r *Rejection) Is(target error) bool { return target == ErrRejected }
