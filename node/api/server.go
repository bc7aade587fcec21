package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/starlingmesh/starling/node/config"
)

// Time limits of the HTTP server. Streams and waits are exempt from the write
// limit as a whole, but not each of their writes.
const (
	headerTimeout   = 5 * time.Second
	bodyTimeout     = 20 * time.Second
	writeTimeout    = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	maxHeaderBytes  = 16 << 10
)

// Config is what a [Server] is set up with.
type Config struct {
	config.API
	Version string              // of the program, for the description
	Metrics prometheus.Gatherer // shown at /metrics, if not nil
}

// Server serves the API. Its methods are safe for concurrent use.
type Server struct {
	cfg     Config
	backend Backend
	log     *slog.Logger
	render  renderer
	handler http.Handler

	held      holders
	heartbeat time.Duration
	patience  time.Duration // for one write to a stream
	stopping  context.Context
	stop      context.CancelFunc

	mu       sync.Mutex
	listener net.Listener
}

// New makes a server. The backend's genesis must be valid. Nothing is opened
// before [Server.Listen] or [Server.Serve].
func New(cfg Config, backend Backend, log *slog.Logger) (*Server, error) {
	genesis := backend.Genesis()
	set, err := genesis.Set()
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s := &Server{
		cfg: cfg, backend: backend, log: log, render: renderer{genesis, set},
		heartbeat: 15 * time.Second, patience: 10 * time.Second,
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	if s.handler, err = s.guard(s.routes()); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler is the whole API, for tests and embedding.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen opens the address of api.listen. It does nothing if that is done.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := listen(s.cfg.Listen, "api.listen")
	s.listener = l
	return err
}

// listen opens a TCP address that the configuration key names.
func listen(address, key string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w: %s is in use by another program: stop that, or set %s to another port (0 picks a free one)", ErrListen, address, key)
	case err != nil:
		return nil, fmt.Errorf("%w on %s: %w (see %s)", ErrListen, address, err, key)
	}
	return l, nil
}

// Addr is the address that is listened on, with the real port if 0 was
// configured; it is empty before [Server.Listen].
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL is where clients on this machine reach the API; empty before [Server.Listen].
func (s *Server) URL() string {
	addr := s.Addr()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Serve answers requests until ctx ends, then ends streams and waits, lets
// running requests finish for a few seconds, and returns nil. A server serves once.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	defer s.stop()
	return serve(ctx, s.listener, s.handler, s.stop, s.log)
}

// Close frees the address of a server that is not going to serve.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop()
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// serve runs one HTTP server; stopping is called when it begins to stop.
func serve(ctx context.Context, l net.Listener, h http.Handler, stopping func(), log *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers do wrong
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stopping()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close() // Shutdown's deadline passed: what still runs is cut off
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
