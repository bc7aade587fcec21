package api

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Bounds on the streams and waits that are open at once: in all, and from one
// address that is not this machine's, so that no stranger takes them all.
const (
	maxHeld     = 4096
	maxHeldEach = 64
)

// connection is what handlers, which see only a context, know of theirs.
type connection struct {
	control *http.ResponseController
	addr    netip.Addr
}

type connectionKey struct{}

func withConnection(w http.ResponseWriter, r *http.Request) *http.Request {
	c := connection{http.NewResponseController(w), clientAddr(r)}
	return r.WithContext(context.WithValue(r.Context(), connectionKey{}, c))
}

// holders counts the open streams and waits.
type holders struct {
	mu   sync.Mutex
	all  int
	each map[netip.Addr]int
}

func (h *holders) add(addr netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all >= maxHeld || !addr.IsLoopback() && h.each[addr] >= maxHeldEach {
		return false
	}
	if h.each == nil {
		h.each = map[netip.Addr]int{}
	}
	h.all++
	h.each[addr]++
	return true
}

func (h *holders) remove(addr netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all--
	if h.each[addr]--; h.each[addr] == 0 {
		delete(h.each, addr)
	}
}

// count is how many are open.
func (h *holders) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}

// hold prepares a request for lasting up to d, or without limit if d is 0. The
// returned context ends with the request, after d, or when the server stops.
func (s *Server) hold(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc, error) {
	conn, _ := ctx.Value(connectionKey{}).(connection)
	if !s.held.add(conn.addr) {
		return nil, nil, errHeld
	}
	if conn.control != nil {
		// A read deadline that passes while nothing is read would end the
		// request: net/http watches the connection by reading from it.
		_ = conn.control.SetReadDeadline(time.Time{}) // unsupported by some test recorders
		var until time.Time
		if d > 0 {
			until = time.Now().Add(d + writeTimeout)
		}
		_ = conn.control.SetWriteDeadline(until)
	}
	var cancel context.CancelFunc
	if d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	detach := context.AfterFunc(s.stopping, cancel)
	return ctx, func() {
		detach()
		cancel()
		s.held.remove(conn.addr)
	}, nil
}
