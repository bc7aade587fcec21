package api

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

type nothing struct{}

func (s *Server) nodeRoutes(api huma.API) {
	get(s, api, "/v1/status", "status", "node", "What the node is and where it stands",
		func(context.Context, *nothing) (Status, error) { return s.status(), nil })
	get(s, api, "/v1/peers", "peers", "node", "Connected nodes",
		func(context.Context, *nothing) ([]Peer, error) { return nonNil(s.backend.Peers()), nil })
	get(s, api, "/v1/validators", "validators", "node", "The validators that decide blocks",
		func(context.Context, *nothing) ([]Validator, error) { return nonNil(s.backend.Validators()), nil })

	get(s, api, "/v1/turbine", "turbine", "node", "How large blocks and batches travel, as seen from here",
		func(context.Context, *nothing) (Turbine, error) { return s.backend.Turbine(), nil })
	type bySlot struct {
		Slot uint64 `path:"slot" doc:"view of a proposal, or height of a batch in its lane"`
	}
	get(s, api, "/v1/turbine/{slot}", "turbine-slot", "node", "How the large payloads of a slot came, set by set",
		func(_ context.Context, in *bySlot) ([]TurbineReceipt, error) {
			if out := s.backend.TurbineSlot(in.Slot); len(out) > 0 {
				return out, nil
			}
			return nil, fmt.Errorf("%w: no large payload of this slot is remembered: smaller ones are gossiped, and receipts are kept of the newest only", ErrNotFound)
		})

	type health struct {
		Status int
		Body   Health
	}
	op := operation(api, http.MethodGet, "/v1/health", "health", "node", "Whether the node works; 503 with reasons if not")
	huma.Register(api, op, func(context.Context, *nothing) (*health, error) {
		out := &health{Status: http.StatusOK, Body: s.backend.Health()}
		out.Body.Reasons = nonNil(out.Body.Reasons)
		if !out.Body.Live || !out.Body.Ready {
			out.Status = http.StatusServiceUnavailable
		}
		return out, nil
	})

	type genesis struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	op = operation(api, http.MethodGet, "/v1/genesis", "genesis", "node", "The genesis file, as a node or a light client needs it")
	huma.Register(api, op, func(ctx context.Context, _ *nothing) (*genesis, error) {
		file, err := s.render.genesis.Encode()
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &genesis{"application/json", file}, nil
	})
}

func (s *Server) status() Status {
	st := s.render.status(s.backend.Status())
	st.Addresses = nonNil(st.Addresses)
	if st.Version == "" {
		st.Version = s.cfg.Version
	}
	return st
}

// nonNil keeps an empty list from being written as null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
