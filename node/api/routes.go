package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const description = "A node of a Starling network. Amounts are shown in coins and in drops, a millionth of a coin. " +
	"Errors are RFC 9457 problems with a stable code. GET /v1/events is a stream of server-sent events that resumes by Last-Event-ID."

// routes builds the mux: huma describes and serves what is under /v1.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	c := huma.DefaultConfig("Starling node", s.cfg.Version)
	c.Info.Description = description
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{s.asProblem}
	api := humago.New(mux, c)

	s.nodeRoutes(api)
	s.ledgerRoutes(api)
	s.stakeRoutes(api)
	s.txRoutes(api)
	s.eventRoutes(api)
	s.dataRoutes(api)
	s.confidentialRoutes(api)
	schemas := api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own; answers use Problem
	delete(schemas, "ErrorDetail")

	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{}))
	}
	mux.HandleFunc("GET /livez", s.probe(func(h Health) bool { return h.Live }))
	mux.HandleFunc("GET /readyz", s.probe(func(h Health) bool { return h.Live && h.Ready }))
	mux.Handle("GET /docs/", docsHandler())
	mux.Handle("GET /docs", http.RedirectHandler("/docs/", http.StatusFound))
	mux.Handle("GET /{$}", http.RedirectHandler("/docs/", http.StatusFound))
	mux.HandleFunc("/", elsewhere(mux))
	return mux
}

// elsewhere answers for paths and methods that do not exist.
func elsewhere(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
			other := r.Clone(r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" && method != r.Method {
				w.Header().Set("Allow", method)
				writeProblem(w, newProblem(http.StatusMethodNotAllowed, CodeNoMethod, r.URL.Path+" takes "+method+" only"))
				return
			}
		}
		writeProblem(w, newProblem(http.StatusNotFound, CodeNotFound, "there is nothing at this path; /docs lists what there is"))
	}
}

// probe answers for load balancers and supervisors, in plain text.
func (s *Server) probe(ok func(Health) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := s.backend.Health()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if ok(h) {
			_, _ = w.Write([]byte("ok\n")) // the prober has gone: nobody to tell
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(strings.Join(append(h.Reasons, ""), "\n")))
	}
}

// reply is an answer with a body.
type reply[T any] struct{ Body T }

// get registers an operation that only reads.
func get[I, O any](s *Server, api huma.API, path, id, tag, summary string, handle func(context.Context, *I) (O, error)) {
	op := operation(api, http.MethodGet, path, id, tag, summary)
	huma.Register(api, op, func(ctx context.Context, in *I) (*reply[O], error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &reply[O]{out}, nil
	})
}

func operation(api huma.API, method, path, id, tag, summary string) huma.Operation {
	problem := api.OpenAPI().Components.Schemas.Schema(typeOf[Problem](), true, "Problem")
	return huma.Operation{
		Method: method, Path: path, OperationID: id, Tags: []string{tag}, Summary: summary,
		Responses: map[string]*huma.Response{"default": {
			Description: "What is wrong",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}},
	}
}

// problem maps an error to the answer and logs defects.
func (s *Server) problem(ctx context.Context, err error) error {
	p, defect := problemOf(err)
	if defect {
		s.log.ErrorContext(ctx, "api defect", "error", err)
	}
	return p
}
