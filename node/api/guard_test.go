package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/node/config"
)

func TestForeignHostIsRefusedOnLoopback(t *testing.T) {
	r := start(t)
	for host, want := range map[string]int{
		"evil.example": 421, "evil.example:8420": 421, "127.0.0.1.evil.example": 421, "10.0.0.1": 421,
		"localhost:8420": 200, "127.0.0.1": 200, "[::1]:8420": 200, "[::1]": 200, "localhost": 200,
	} {
		resp := r.do(t, http.MethodGet, "/v1/status", nil, "Host", host)
		require.Equal(t, want, resp.StatusCode, host)
	}
	public := start(t, func(_ *Server, c *Config) { c.Listen = "0.0.0.0:0" })
	require.Equal(t, 200, public.do(t, http.MethodGet, "/v1/status", nil, "Host", "node.example").StatusCode)
}

func TestPagesOfOtherOriginsMayNotSend(t *testing.T) {
	r := start(t, func(_ *Server, c *Config) { c.CORSOrigins = []string{"https://wallet.example"} })
	tx := jsonTx(payment(t, r.fake, 1).Raw())
	for _, c := range []struct {
		headers []string
		want    int
	}{
		{nil, 202},
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 202},
		{[]string{"Origin", r.http.URL}, 202},
		{[]string{"Origin", "https://wallet.example", "Sec-Fetch-Site", "cross-site"}, 202},
	} {
		resp := r.do(t, http.MethodPost, "/v1/tx", strings.NewReader(tx), c.headers...)
		require.Equal(t, c.want, resp.StatusCode, "%v", c.headers)
	}
	resp := r.do(t, http.MethodOptions, "/v1/tx", nil, "Origin", "https://wallet.example")
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Equal(t, "https://wallet.example", resp.Header.Get("Access-Control-Allow-Origin"))
	resp = r.do(t, http.MethodGet, "/v1/status", nil, "Origin", "https://evil.example")
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
}

func TestRateLimitCountsOneAddress(t *testing.T) {
	r := start(t, func(_ *Server, c *Config) { c.RateLimit, c.RateLimitLoopback = 1, true })
	last := 0
	for range 10 {
		last, _ = r.get(t, "/v1/status")
	}
	require.Equal(t, http.StatusTooManyRequests, last)

	exempt := start(t, func(_ *Server, c *Config) { c.RateLimit = 1 })
	for range 10 {
		last, _ = exempt.get(t, "/v1/status")
	}
	require.Equal(t, http.StatusOK, last)
}

func TestOneStrangerCannotHoldEverything(t *testing.T) {
	var h holders
	stranger, other, local := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("127.0.0.1")
	for range maxHeldEach {
		require.True(t, h.add(stranger))
	}
	require.False(t, h.add(stranger))
	require.True(t, h.add(other))
	h.remove(stranger)
	require.True(t, h.add(stranger))
	for h.count() < maxHeld {
		require.True(t, h.add(local))
	}
	require.False(t, h.add(local))
}

func TestServeEndsWithItsContext(t *testing.T) {
	cfg := Config{API: config.Default().API}
	cfg.Listen = "127.0.0.1:0"
	s, err := New(cfg, newFake(t), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.Empty(t, s.Addr())
	require.NoError(t, s.Listen())

	second := cfg
	second.Listen = s.Addr()
	busy, err := New(second, newFake(t), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	err = busy.Serve(t.Context())
	require.ErrorIs(t, err, ErrListen)
	require.ErrorContains(t, err, "set api.listen to another port")

	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	resp, err := client.Get(s.URL() + "/v1/events")
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-served)
	require.NoError(t, resp.Body.Close())
	client.CloseIdleConnections()
}

func TestDebugHandlerServesProfilesToLoopbackOnly(t *testing.T) {
	for host, want := range map[string]int{"127.0.0.1:6060": 200, "evil.example": 421} {
		w := httptest.NewRecorder()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/debug/pprof/cmdline", nil)
		require.NoError(t, err)
		loopbackOnly(DebugHandler()).ServeHTTP(w, req)
		require.Equal(t, want, w.Code, host)
	}
}
