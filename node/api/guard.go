package api

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"

	"github.com/starlingmesh/starling/node/config"
)

// contentPolicy lets pages of this server load their own files and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard wraps the routes in what every request passes first, outermost first.
func (s *Server) guard(next http.Handler) (http.Handler, error) {
	next = s.limitBody(next)
	next = newLimiter(s.cfg.RateLimit, s.cfg.RateLimitLoopback).wrap(next)
	next, err := s.crossOrigin(next)
	if err != nil {
		return nil, err
	}
	if config.IsLoopback(s.cfg.Listen) {
		next = loopbackOnly(next)
	}
	return s.recoverPanic(securityHeaders(next)), nil
}

func securityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// loopbackOnly refuses requests that name another host than this machine. A web
// page can make a browser resolve the page's own name to 127.0.0.1 and would
// then count as the same origin (DNS rebinding); the Host header gives it away.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(trimBrackets(host), "80")
		}
		if !config.IsLoopback(host) {
			writeProblem(w, newProblem(http.StatusMisdirectedRequest, CodeHost,
				fmt.Sprintf("this node serves 127.0.0.1 and localhost only, not %q; set api.listen to an outside address to open it", r.Host)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func trimBrackets(host string) string {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1]
	}
	return host
}

// crossOrigin keeps pages of other origins from sending anything, and lets those
// of api.cors_origins read and send.
func (s *Server) crossOrigin(next http.Handler) (http.Handler, error) {
	protection := http.NewCrossOriginProtection()
	all := slices.Contains(s.cfg.CORSOrigins, "*")
	for _, origin := range s.cfg.CORSOrigins {
		if origin == "*" {
			continue
		}
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("api.cors_origins: %w", err)
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		trusted := origin != "" && (all || slices.Contains(s.cfg.CORSOrigins, origin))
		if trusted {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Add("Vary", "Origin")
		}
		if trusted && r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Last-Event-ID")
			w.Header().Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err := protection.Check(r); err != nil && !trusted {
			writeProblem(w, newProblem(http.StatusForbidden, CodeOrigin,
				fmt.Sprintf("pages of %q may not send to this node; the operator can name them in api.cors_origins", origin)))
			return
		}
		next.ServeHTTP(w, r)
	}), nil
}

// limitBody cuts bodies off at the cap, so that more is neither read nor kept.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > s.cfg.MaxBodyBytes {
			w.Header().Set("Connection", "close")
			p, _ := problemOf(&http.MaxBytesError{Limit: s.cfg.MaxBodyBytes})
			writeProblem(w, p)
			return
		}
		// One byte more, because huma needs to see that there is more.
		r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBodyBytes+1)
		next.ServeHTTP(w, withConnection(w, r))
	})
}

// recoverPanic turns a defect into an answer and a log line with its stack.
func (s *Server) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == any(http.ErrAbortHandler) {
				panic(v) // net/http's own way to drop a connection
			}
			s.log.Error("api panic", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
			p, _ := problemOf(fmt.Errorf("panic: %v", v))
			writeProblem(w, p)
		}()
		next.ServeHTTP(w, r)
	})
}

// clientAddr is the address that limits are counted by: an IPv6 customer
// usually has a whole /64.
func clientAddr(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap()
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil && !addr.IsLoopback() {
			return prefix.Addr()
		}
	}
	return addr
}
