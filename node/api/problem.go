package api

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/starlingmesh/starling/chain/types"
)

// Problem is the body of every answer that is not a success (RFC 9457). Code is
// stable and meant for programs, Detail for people.
type Problem struct {
	Title  string `json:"title" doc:"the status in words" example:"Not Found"`
	Status int    `json:"status" doc:"the HTTP status" example:"404"`
	Code   string `json:"code" doc:"stable word for what is wrong" example:"not_found"`
	Detail string `json:"detail" doc:"what is wrong here and what to do next"`
	Reason string `json:"reason,omitempty" doc:"for tx_rejected: the ledger's or the mempool's word, such as underfunded"`
	retry  int    // seconds, for Retry-After
}

// The codes of problems.
const (
	CodeNotFound    = "not_found"
	CodeNoMethod    = "method_not_allowed"
	CodeInvalid     = "invalid_request"
	CodeMalformedTx = "malformed_tx"
	CodeRejected    = "tx_rejected"
	CodeBusy        = "busy"
	CodeNotReady    = "not_ready"
	CodeTooLarge    = "body_too_large"
	CodeRateLimit   = "rate_limited"
	CodeHost        = "wrong_host"
	CodeOrigin      = "wrong_origin"
	CodeTimeout     = "timeout"
	CodeInternal    = "internal"
)

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status; huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders says when to try again; huma asks for it.
func (p *Problem) GetHeaders() http.Header {
	if p.retry == 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(p.retry)}}
}

// ContentType is that of RFC 9457; huma asks for it.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// Is lets callers of the client match the sentinels of this package.
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return p.Code == CodeNotFound
	case ErrRejected:
		return p.Code == CodeRejected
	case ErrInvalid:
		return p.Code == CodeInvalid || p.Code == CodeMalformedTx
	case ErrBusy:
		return p.Code == CodeBusy || p.Code == CodeRateLimit
	case ErrNotReady:
		return p.Code == CodeNotReady
	default:
		return false
	}
}

func newProblem(status int, code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// problemOf maps an error to the answer. It reports whether the error is a
// defect, which belongs into the log.
func problemOf(err error) (p *Problem, defect bool) {
	var rejection *Rejection
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
	case errors.As(err, &rejection):
		p = newProblem(http.StatusUnprocessableEntity, CodeRejected, rejection.Reason)
		p.Reason = rejection.Code
	case errors.Is(err, ErrRejected):
		p = newProblem(http.StatusUnprocessableEntity, CodeRejected, err.Error())
	case errors.Is(err, types.ErrTx):
		p = newProblem(http.StatusUnprocessableEntity, CodeMalformedTx, err.Error())
	case errors.Is(err, ErrInvalid):
		p = newProblem(http.StatusUnprocessableEntity, CodeInvalid, err.Error())
	case errors.Is(err, ErrNotFound):
		p = newProblem(http.StatusNotFound, CodeNotFound, err.Error())
	case errors.Is(err, ErrBusy), errors.Is(err, errHeld), errors.Is(err, errGone), errors.Is(err, context.Canceled):
		p = newProblem(http.StatusServiceUnavailable, CodeBusy, err.Error())
		p.retry = 1
	case errors.Is(err, ErrNotReady):
		p = newProblem(http.StatusServiceUnavailable, CodeNotReady, err.Error())
		p.retry = 5
	case errors.Is(err, errTooMany):
		p = newProblem(http.StatusTooManyRequests, CodeRateLimit, err.Error()+"; slow down, or ask the operator for a higher api.rate_limit")
		p.retry = 1
	case errors.Is(err, context.DeadlineExceeded):
		p = newProblem(http.StatusGatewayTimeout, CodeTimeout, "the node took too long; try again")
	case errors.As(err, &tooLarge):
		p = newProblem(http.StatusRequestEntityTooLarge, CodeTooLarge, "the body is larger than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes (api.max_body_bytes); send less at once")
	default:
		return newProblem(http.StatusInternalServerError, CodeInternal, "the node met an error of its own; its log says more"), true
	}
	return p, false
}

// asProblem turns what huma itself refuses into a Problem. It is a response
// transformer.
func (s *Server) asProblem(_ huma.Context, _ string, body any) (any, error) {
	e, ok := body.(*huma.ErrorModel)
	if !ok {
		return body, nil
	}
	detail := []string{}
	if e.Detail != "" {
		detail = append(detail, e.Detail)
	}
	for _, d := range e.Errors {
		if d != nil {
			detail = append(detail, strings.TrimSpace(d.Location+" "+d.Message))
		}
	}
	code := CodeInvalid
	switch e.Status {
	case http.StatusRequestEntityTooLarge:
		p, _ := problemOf(&http.MaxBytesError{Limit: s.cfg.MaxBodyBytes})
		return p, nil
	case http.StatusRequestTimeout:
		code = CodeTimeout
	case http.StatusInternalServerError:
		s.log.Error("api defect", "detail", strings.Join(detail, ": "))
		p, _ := problemOf(errors.New("hidden"))
		return p, nil
	}
	return newProblem(e.Status, code, strings.Join(detail, ": ")+"; /docs shows what is expected"), nil
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, p *Problem) {
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone: nobody to tell
}
