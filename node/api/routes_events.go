package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/starlingmesh/starling/node/events"
)

// Event is what one server-sent event carries in its data field.
type Event struct {
	ID   uint64          `json:"id"`
	Kind events.Kind     `json:"kind"`
	Time time.Time       `json:"time"`
	Data json.RawMessage `json:"data"`
}

type eventsInput struct {
	After       string `query:"after" doc:"resume behind this event id; 0 is everything remembered; without it, only new events"`
	LastEventID string `header:"Last-Event-ID" doc:"as after; browsers send it when they reconnect"`
	Kinds       string `query:"kinds" doc:"comma-separated: block, transaction, view, peer; without it, all" example:"block,view"`
}

func (s *Server) eventRoutes(api huma.API) {
	op := operation(api, http.MethodGet, "/v1/events", "events", "events",
		"What happens, as server-sent events; a gap event tells that some were missed")
	op.Responses["200"] = &huma.Response{
		Description: "Each event has an id, its kind as event, and JSON data with id, kind, time and data",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
	}
	huma.Register(api, op, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		after, kinds, err := in.parse()
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		held, release, err := s.hold(ctx, 0)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer release()
			_, w := humago.Unwrap(hc)
			s.stream(held, w, after, kinds)
		}}, nil
	})
}

func (in *eventsInput) parse() (after uint64, kinds []events.Kind, err error) {
	after = events.Live
	position := in.LastEventID
	if position == "" {
		position = in.After
	}
	if position != "" {
		if after, err = strconv.ParseUint(position, 10, 64); err != nil {
			return 0, nil, fmt.Errorf("%w event id %q: want a number, as the stream gave it", ErrInvalid, position)
		}
	}
	for name := range strings.SplitSeq(in.Kinds, ",") {
		k := events.Kind(strings.TrimSpace(name))
		if k == "" {
			continue
		}
		if !slices.Contains(events.Kinds(), k) {
			return 0, nil, fmt.Errorf("%w kind %q: want some of %v", ErrInvalid, name, events.Kinds())
		}
		kinds = append(kinds, k)
	}
	return after, kinds, nil
}

// stream writes events until ctx ends, the client is too slow for a single
// write, or it fell behind the ring and was told so.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, after uint64, kinds []events.Kind) {
	ctx, cancel := context.WithCancel(ctx)
	queue := make(chan events.Event, 16)
	subscription := s.backend.Events().Subscribe(ctx, after, kinds...)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	reader.Go(func() {
		defer close(queue)
		for e := range subscription {
			select {
			case queue <- e:
			case <-ctx.Done():
				return
			}
		}
	})

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	out := sseWriter{w, http.NewResponseController(w), s.patience}
	if out.write([]byte("retry: 1000\n\n"), true) != nil {
		return
	}
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for {
		select {
		case e, ok := <-queue:
			if !ok {
				return
			}
			frame, err := frameOf(e)
			if err != nil {
				s.log.ErrorContext(ctx, "api defect", "error", err)
				return
			}
			if out.write(frame, len(queue) == 0) != nil {
				return
			}
		case <-beat.C:
			if out.write([]byte(": still here\n\n"), true) != nil {
				return
			}
		}
	}
}

func frameOf(e events.Event) ([]byte, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, fmt.Errorf("encode %s event: %w", e.Kind, err)
	}
	body, err := json.Marshal(Event{ID: e.ID, Kind: e.Kind, Time: e.Time.UTC(), Data: data})
	if err != nil {
		return nil, fmt.Errorf("encode %s event: %w", e.Kind, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, body)
	return b.Bytes(), nil
}

// sseWriter gives every write its own deadline.
type sseWriter struct {
	w        http.ResponseWriter
	rc       *http.ResponseController
	patience time.Duration
}

func (o sseWriter) write(b []byte, flush bool) error {
	_ = o.rc.SetWriteDeadline(time.Now().Add(o.patience)) // not supported by some test recorders
	if _, err := o.w.Write(b); err != nil {
		return err
	}
	if flush {
		return o.rc.Flush()
	}
	return nil
}
