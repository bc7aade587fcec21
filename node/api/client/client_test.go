package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a handler and a client for it.
func serve(t *testing.T, handle http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(handle)
	c, err := New(srv.URL)
	require.NoError(t, err)
	c.backoff = time.Millisecond
	t.Cleanup(func() { c.Close(); srv.CloseClientConnections(); srv.Close() })
	return c
}

func answer(t *testing.T, w http.ResponseWriter, status int, v any) {
	t.Helper()
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		t.Error(err)
	}
}

func TestAddressForms(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8420": "http://127.0.0.1:8420", "http://x:1/": "http://x:1", "https://node.example": "https://node.example",
	} {
		c, err := New(address)
		require.NoError(t, err)
		require.Equal(t, want, c.Address())
	}
	for _, bad := range []string{"", "ftp://x", "http://"} {
		_, err := New(bad)
		require.Error(t, err, bad)
	}
}

func TestUnreachableNodeIsNamedWithTheCure(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	c, err := New(srv.URL)
	require.NoError(t, err)
	_, err = c.Status(t.Context())
	var away *Unreachable
	require.ErrorAs(t, err, &away)
	require.ErrorContains(t, err, "no node answers at "+srv.URL+" (connection refused)")
	require.ErrorContains(t, err, "--api")

	n := 0
	for _, err := range c.Events(t.Context(), 0) {
		require.ErrorAs(t, err, &away)
		n++
	}
	require.Equal(t, 1, n)
}

func TestProblemsKeepTheirCode(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(t, w, 422, api.Problem{Status: 422, Code: api.CodeRejected, Reason: "underfunded", Detail: "no money"})
	})
	_, err := c.Submit(t.Context(), []byte{1}, false)
	var p *api.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, "underfunded", p.Reason)
	require.ErrorIs(t, err, api.ErrRejected)
	require.NotErrorIs(t, err, api.ErrNotFound)
}

func TestForeignServerIsNoNode(t *testing.T) {
	for _, handle := range []http.HandlerFunc{
		http.NotFound,
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		_, err := serve(t, handle).Status(t.Context())
		require.ErrorContains(t, err, "is it a Starling node?")
	}
}

func TestUnreadyNodeIsNoError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(t, w, 503, api.Health{Live: true, Reasons: []string{"behind"}})
	})
	h, err := c.Health(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"behind"}, h.Reasons)
}

func TestSubmitWaitsOverSeveralAnswers(t *testing.T) {
	var calls atomic.Int32
	id := hash.Sum("tx")
	applied := true
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait") != "decided" {
			t.Errorf("%s does not wait", r.URL)
		}
		if calls.Add(1) < 3 {
			answer(t, w, 202, api.Tx{ID: id, Status: api.TxPending})
			return
		}
		answer(t, w, 200, api.Tx{ID: id, Status: api.TxDecided, Success: &applied, Height: 7})
	})
	tx, err := c.Submit(t.Context(), []byte{1}, true)
	require.NoError(t, err)
	require.EqualValues(t, 7, tx.Height)
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Wait(ctx, hash.Sum("tx"))
	require.ErrorIs(t, err, context.Canceled)
}

func TestEventsResumeWhereTheConnectionBroke(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var from uint64
		_, _ = fmt.Sscan(r.Header.Get("Last-Event-ID"), &from)
		if calls.Add(1)%3 == 2 {
			answer(t, w, 503, api.Problem{Status: 503, Code: api.CodeBusy, Detail: "busy"})
			return
		}
		fmt.Fprint(w, "retry: 1000\n\n: hello\n\n")
		for id := from + 1; id <= from+2; id++ {
			fmt.Fprintf(w, "id: %d\nevent: view\ndata: {\"id\":%d,\"kind\":\"view\",\"time\":\"2026-01-01T00:00:00Z\",\"data\":{}}\n\n", id, id)
		}
	})
	var got []uint64
	var faults int
	for e, err := range c.Events(t.Context(), 10, events.KindView) {
		if err != nil {
			faults++
			continue
		}
		if got = append(got, e.ID); len(got) == 6 {
			break
		}
	}
	require.Equal(t, []uint64{11, 12, 13, 14, 15, 16}, got)
	require.Equal(t, 1, faults)
}

func TestRefusedStreamEnds(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(t, w, 422, api.Problem{Status: 422, Code: api.CodeInvalid, Detail: "no such kind"})
	})
	n := 0
	for _, err := range c.Events(t.Context(), 0, "nonsense") {
		require.ErrorIs(t, err, api.ErrInvalid)
		n++
	}
	require.Equal(t, 1, n)
}
