package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"time"
)

// DebugHandler serves profiles under /debug/pprof. It belongs on a listener of
// its own that only the operator reaches: profiles show memory.
func DebugHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	for path, h := range map[string]http.HandlerFunc{"profile": pprof.Profile, "trace": pprof.Trace} {
		mux.HandleFunc("GET /debug/pprof/"+path, func(w http.ResponseWriter, r *http.Request) {
			// They run for ?seconds=, longer than the server's write limit.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			h(w, r)
		})
	}
	return mux
}

// ServeDebug serves [DebugHandler] on the address of admin.listen until ctx ends.
func ServeDebug(ctx context.Context, address string, log *slog.Logger) error {
	l, err := listen(address, "admin.listen")
	if err != nil {
		return err
	}
	return serve(ctx, l, loopbackOnly(DebugHandler()), func() {}, log)
}
