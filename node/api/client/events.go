package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/events"
)

// maxBackoff bounds the pause between reconnections.
const maxBackoff = 5 * time.Second

// maxFrame bounds one line of an event stream.
const maxFrame = 1 << 20

// Events yields the node's events after an id: 0 for all that the node
// remembers, [events.Live] for new ones only. When the connection breaks it
// yields the error, reconnects and resumes behind the last event; break out of
// the loop to give up. It ends when ctx does, or, after its error, when the node
// refuses the request or cannot be reached the first time.
func (c *Client) Events(ctx context.Context, after uint64, kinds ...events.Kind) iter.Seq2[api.Event, error] {
	return func(yield func(api.Event, error) bool) {
		pause := c.backoff
		for attempt := 0; ; attempt++ {
			seen := after
			keep, err := c.follow(ctx, &after, kinds, func(e api.Event) bool { return yield(e, nil) })
			if !keep || ctx.Err() != nil {
				return
			}
			var refused *api.Problem
			var away *Unreachable
			final := errors.As(err, &refused) && refused.Status < 500 || errors.As(err, &away) && attempt == 0
			if err != nil && !yield(api.Event{}, err) || final {
				return
			}
			if after != seen {
				pause = c.backoff
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, maxBackoff)
		}
	}
}

// follow reads one connection until it ends. Keep is false if the consumer has
// had enough; a stream that the node ended is no error.
func (c *Client) follow(ctx context.Context, after *uint64, kinds []events.Kind, yield func(api.Event) bool) (keep bool, err error) {
	header := http.Header{"Accept": {"text/event-stream"}}
	if *after != events.Live {
		header.Set("Last-Event-ID", strconv.FormatUint(*after, 10))
	}
	path := "/v1/events"
	if len(kinds) > 0 {
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = string(k)
		}
		path += "?" + url.Values{"kinds": {strings.Join(names, ",")}}.Encode()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.send(ctx, http.MethodGet, path, "", nil, header)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxFrame)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e api.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return true, fmt.Errorf("event of %s: %w", c.base, err)
		}
		*after = e.ID
		if !yield(e) {
			return false, nil
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return true, fmt.Errorf("event stream of %s broke: %w", c.base, err)
	}
	return true, nil
}
