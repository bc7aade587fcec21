package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/node/events"
)

func jsonTx(raw []byte) string { return fmt.Sprintf(`{"tx":%q}`, hex.EncodeToString(raw)) }

func TestSubmitIsIdempotentInEveryForm(t *testing.T) {
	r := start(t)
	tx := payment(t, r.fake, 1)
	var first string
	for _, form := range [][2]string{
		{"application/json", jsonTx(tx.Raw())},
		{"application/json; charset=utf-8", jsonTx(tx.Raw())},
		{"application/cbor", string(tx.Raw())},
		{"application/octet-stream", string(tx.Raw())},
		{"", jsonTx(tx.Raw())},
	} {
		status, body := r.post(t, "/v1/tx", form[0], form[1])
		require.Equal(t, http.StatusAccepted, status, "%s: %s", form[0], body)
		require.Contains(t, body, tx.ID().String())
		if first == "" {
			first = body
		}
		require.Equal(t, first, body)
	}
	r.decide(tx.ID())
	status, body := r.post(t, "/v1/tx", "application/json", jsonTx(tx.Raw()))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"status":"decided"`)
	_, again := r.get(t, "/v1/tx/"+tx.ID().String())
	require.Equal(t, body, again)
}

func TestSubmittedBytesSurviveTheRequest(t *testing.T) {
	r := start(t)
	tx := payment(t, r.fake, 1)
	r.post(t, "/v1/tx", "application/octet-stream", string(tx.Raw()))
	for i := range 20 { // reuse the pooled buffers
		r.post(t, "/v1/tx", "application/octet-stream", string(payment(t, r.fake, uint64(i+2)).Raw()))
	}
	rec, err := r.Tx(t.Context(), tx.ID())
	require.NoError(t, err)
	require.Equal(t, tx.Raw(), rec.Tx.Raw())
}

func TestWaitHoldsUntilDecided(t *testing.T) {
	r := start(t)
	tx := payment(t, r.fake, 1)
	go func() {
		for range r.hub.Subscribe(t.Context(), 0, events.KindTransaction) { // the request is held
			r.decide(tx.ID())
			return
		}
	}()
	status, body := r.post(t, "/v1/tx?wait=decided", "application/json", jsonTx(tx.Raw()))
	require.Equal(t, http.StatusOK, status, body)
	var got Tx
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.True(t, got.Final())
	require.EqualValues(t, 31, got.Height)
	require.True(t, *got.Success)
}

func TestWaitEndsWithItsTimeoutAndWithTheServer(t *testing.T) {
	r := start(t)
	tx := payment(t, r.fake, 1)
	status, body := r.post(t, "/v1/tx?wait=decided&timeout=1", "application/json", jsonTx(tx.Raw()))
	require.Equal(t, http.StatusAccepted, status)
	require.Contains(t, body, `"status":"pending"`)

	after := r.hub.Last()
	go func() {
		for range r.hub.Subscribe(t.Context(), after) {
			_ = r.Close()
			return
		}
	}()
	status, body = r.get(t, "/v1/tx/"+tx.ID().String()+"?wait=decided&timeout=120")
	require.Equal(t, http.StatusOK, status, body)
	require.Contains(t, body, `"status":"pending"`)
}

func TestRefusalsNameTheirReason(t *testing.T) {
	r := start(t)
	tx := jsonTx(payment(t, r.fake, 1).Raw())
	for name, c := range map[string]struct {
		contentType, body string
		refuse            error
		status            int
		code, reason      string
	}{
		"ledger":       {"application/json", tx, fmt.Errorf("submit: %w", &Rejection{"underfunded", "send at most 3 coins"}), 422, CodeRejected, "underfunded"},
		"full":         {"application/json", tx, fmt.Errorf("mempool: %w", ErrBusy), 503, CodeBusy, ""},
		"defect":       {"application/json", tx, errors.New("disk on fire"), 500, CodeInternal, ""},
		"no tx":        {"application/cbor", "garbage", nil, 422, CodeMalformedTx, ""},
		"no hex":       {"application/json", `{"tx":"xyz"}`, nil, 422, CodeInvalid, ""},
		"empty":        {"application/json", `{"tx":""}`, nil, 422, CodeInvalid, ""},
		"no body":      {"application/json", ``, nil, 400, CodeInvalid, ""},
		"no json":      {"application/json", `{"tx"`, nil, 400, CodeInvalid, ""},
		"unknown":      {"application/json", `{"transaction":"00"}`, nil, 400, CodeInvalid, ""},
		"two":          {"application/json", tx + tx, nil, 400, CodeInvalid, ""},
		"content type": {"text/plain", tx, nil, 415, CodeInvalid, ""},
	} {
		r.fake.guard.Lock()
		r.refuse = c.refuse
		r.fake.guard.Unlock()
		status, body := r.post(t, "/v1/tx", c.contentType, c.body)
		var p Problem
		require.NoError(t, json.Unmarshal([]byte(body), &p), name)
		require.Equal(t, c.status, status, "%s: %s", name, body)
		require.Equal(t, c.code, p.Code, name)
		require.Equal(t, c.reason, p.Reason, name)
		require.NotContains(t, body, "on fire")
	}
}

func TestBatchAnswersItemByItem(t *testing.T) {
	r := start(t)
	good, other := payment(t, r.fake, 1).Raw(), payment(t, r.fake, 2).Raw()
	cbor, err := canon.Marshal([][]byte{good, []byte("garbage"), other})
	require.NoError(t, err)
	inJSON := fmt.Sprintf(`{"txs":[%q,%q,%q]}`, hex.EncodeToString(good), hex.EncodeToString([]byte("garbage")), hex.EncodeToString(other))
	for contentType, body := range map[string]string{"application/cbor": string(cbor), "application/json": inJSON} {
		status, answer := r.post(t, "/v1/txs", contentType, body)
		require.Equal(t, http.StatusOK, status, answer)
		var got SubmitManyReply
		require.NoError(t, json.Unmarshal([]byte(answer), &got))
		require.Equal(t, 2, got.Accepted)
		require.Len(t, got.Results, 3)
		require.True(t, got.Results[0].Accepted)
		require.Equal(t, CodeMalformedTx, got.Results[1].Error.Code)
		require.Nil(t, got.Results[1].ID)
	}
	for _, body := range []string{`{"txs":[]}`, `{"txs":["` + strings.Repeat(`00","`, MaxBatch) + `00"]}`} {
		status, _ := r.post(t, "/v1/txs", "application/json", body)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
}

// endless counts what is read from it.
type endless struct{ left, read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	n := min(int64(len(p)), e.left.Load())
	if n == 0 {
		return 0, io.EOF
	}
	e.left.Add(-n)
	e.read.Add(n)
	return int(n), nil
}

func TestHugeBodyIsCutOffAtTheCap(t *testing.T) {
	r := start(t)
	const size = 200 << 20
	for name, declared := range map[string]bool{"declared": true, "chunked": false} {
		body := new(endless)
		body.left.Store(size)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http.URL+"/v1/tx", body)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/octet-stream")
		if declared {
			req.ContentLength = size
		}
		resp, err := r.http.Client().Do(req)
		if err == nil { // the server may also close before the answer is read
			require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode, name)
			require.Contains(t, read(t, resp), CodeTooLarge)
			require.NoError(t, resp.Body.Close())
		}
		require.Less(t, body.read.Load(), int64(32<<20), "%s: the rest must not be read", name)
	}
}
