package api

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

type submitInput struct {
	ContentType string `header:"Content-Type" doc:"application/json for hexadecimal in JSON; application/cbor or application/octet-stream for the bytes"`
	Wait        string `query:"wait" enum:"decided" doc:"hold the answer until the transaction is decided or expired"`
	Timeout     int    `query:"timeout" default:"30" minimum:"1" maximum:"120" doc:"longest wait, seconds; then the status is still pending"`
	RawBody     []byte
}

type submitReply struct {
	Status int
	Body   Tx
}

type submitManyInput struct {
	ContentType string `header:"Content-Type" doc:"application/json for hexadecimal in JSON; application/cbor for an array of byte strings"`
	RawBody     []byte
}

func (s *Server) txRoutes(api huma.API) {
	op := s.posting(api, "/v1/tx", "submit-tx", "Hand in a signed transaction; doing it again is harmless and gives the same answer")
	huma.Register(api, op, s.submit)
	describeBody[SubmitRequest](api, op.Path, "application/cbor", "application/octet-stream")

	op = s.posting(api, "/v1/txs", "submit-txs", fmt.Sprintf("Hand in up to %d signed transactions", MaxBatch))
	huma.Register(api, op, s.submitMany)
	describeBody[SubmitManyRequest](api, op.Path, "application/cbor")
}

func (s *Server) posting(api huma.API, path, id, summary string) huma.Operation {
	op := operation(api, http.MethodPost, path, id, "transactions", summary)
	op.MaxBodyBytes, op.BodyReadTimeout = s.cfg.MaxBodyBytes, bodyTimeout
	return op
}

// describeBody replaces the description that huma derives from a raw body. The
// handlers decode by content type themselves: binary forms are for machines
// that send thousands a second.
func describeBody[T any](api huma.API, path string, binary ...string) {
	doc := api.OpenAPI()
	content := map[string]*huma.MediaType{
		"application/json": {Schema: doc.Components.Schemas.Schema(typeOf[T](), true, "")},
	}
	for _, ct := range binary {
		content[ct] = &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	}
	doc.Paths[path].Post.RequestBody.Content = content
}

func (s *Server) submit(ctx context.Context, in *submitInput) (*submitReply, error) {
	raw, err := decodeTxBody(in.ContentType, in.RawBody)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	id, err := s.backend.Submit(ctx, raw)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	rec, err := s.backend.Tx(ctx, id)
	if errors.Is(err, ErrNotFound) {
		rec, err = TxRecord{ID: id, Status: TxPending}, nil
	}
	if err == nil && in.Wait != "" {
		rec, err = s.wait(ctx, id, time.Duration(in.Timeout)*time.Second, rec)
	}
	if err != nil {
		return nil, s.problem(ctx, fmt.Errorf("transaction %s: %w", id, err))
	}
	out := &submitReply{Status: http.StatusOK, Body: s.render.tx(rec)}
	if !out.Body.Final() {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

// wait holds a request until the transaction is final, the time is up, or the
// server stops; in the latter cases it answers with what was known before.
func (s *Server) wait(ctx context.Context, id hash.Hash, d time.Duration, known TxRecord) (TxRecord, error) {
	held, release, err := s.hold(ctx, d)
	if err != nil {
		return known, err
	}
	defer release()
	rec, err := s.backend.Wait(held, id)
	if err != nil && held.Err() != nil {
		return known, ctx.Err()
	}
	return rec, err
}

func (s *Server) submitMany(ctx context.Context, in *submitManyInput) (*reply[SubmitManyReply], error) {
	raws, err := decodeBatchBody(in.ContentType, in.RawBody)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	out := &reply[SubmitManyReply]{Body: SubmitManyReply{Results: make([]SubmitItem, 0, len(raws))}}
	for _, res := range s.backend.SubmitMany(ctx, raws) {
		item, defect := s.render.submitted(res)
		if defect {
			s.log.ErrorContext(ctx, "api defect", "error", res.Err)
		}
		if item.Accepted {
			out.Body.Accepted++
		}
		out.Body.Results = append(out.Body.Results, item)
	}
	return out, nil
}

func decodeTxBody(contentType string, body []byte) ([]byte, error) {
	switch mediaType(contentType) {
	case "application/cbor", "application/octet-stream":
		return bytes.Clone(body), nil // the buffer goes back to a pool
	case "application/json":
		var req SubmitRequest
		if err := decodeJSON(body, &req); err != nil {
			return nil, err
		}
		return decodeHex(req.Tx)
	default:
		return nil, unsupported(contentType)
	}
}

func decodeBatchBody(contentType string, body []byte) ([][]byte, error) {
	var raws [][]byte
	switch mediaType(contentType) {
	case "application/cbor":
		if err := canon.Unmarshal(body, &raws); err != nil {
			return nil, fmt.Errorf("%w body: %w", ErrInvalid, err)
		}
	case "application/json":
		var req SubmitManyRequest
		if err := decodeJSON(body, &req); err != nil {
			return nil, err
		}
		for i, text := range req.Txs {
			raw, err := decodeHex(text)
			if err != nil {
				return nil, fmt.Errorf("transaction %d of %d: %w", i+1, len(req.Txs), err)
			}
			raws = append(raws, raw)
		}
	default:
		return nil, unsupported(contentType)
	}
	if len(raws) == 0 || len(raws) > MaxBatch {
		return nil, fmt.Errorf("%w batch of %d transactions: want 1 to %d", ErrInvalid, len(raws), MaxBatch)
	}
	return raws, nil
}

func mediaType(contentType string) string {
	if contentType == "" {
		return "application/json"
	}
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return contentType
	}
	return t
}

func unsupported(contentType string) error {
	return newProblem(http.StatusUnsupportedMediaType, CodeInvalid,
		fmt.Sprintf("Content-Type %q is not taken here: send application/json or application/cbor", contentType))
}

func decodeJSON(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return newProblem(http.StatusBadRequest, CodeInvalid, "the body is not the JSON that is expected: "+err.Error())
	}
	if d.More() {
		return newProblem(http.StatusBadRequest, CodeInvalid, "something follows the JSON object in the body")
	}
	return nil
}

func decodeHex(text string) ([]byte, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("%w: want a signed transaction in hexadecimal digits", ErrInvalid)
	}
	return raw, nil
}
