package api

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/node/events"
)

// frames parses a stream into events; comments are given as events without id.
func frames(t *testing.T, body io.Reader, n int) (out []Event) {
	t.Helper()
	lines := bufio.NewScanner(body)
	for len(out) < n && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var e Event
			require.NoError(t, json.Unmarshal([]byte(data), &e))
			out = append(out, e)
		}
		if strings.HasPrefix(lines.Text(), ":") {
			out = append(out, Event{})
		}
	}
	return out
}

func TestStreamResumesBehindTheLastEvent(t *testing.T) {
	r := start(t)
	for h := range uint64(10) {
		r.hub.Publish(events.Block{Height: h + 1})
	}
	for _, how := range []struct{ path, header string }{{"/v1/events?after=4", ""}, {"/v1/events", "4"}} {
		headers := []string{}
		if how.header != "" {
			headers = []string{"Last-Event-ID", how.header}
		}
		resp := r.do(t, http.MethodGet, how.path, nil, headers...)
		require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
		for i, e := range frames(t, resp.Body, 6) {
			require.EqualValues(t, 5+i, e.ID)
			require.Equal(t, events.KindBlock, e.Kind)
		}
		require.NoError(t, resp.Body.Close())
	}
}

func TestStreamFiltersAndGoesLive(t *testing.T) {
	r := start(t)
	r.hub.Publish(events.Peer{ID: "a"})
	r.hub.Publish(events.Block{Height: 1})
	resp := r.do(t, http.MethodGet, "/v1/events?after=0&kinds=block", nil)
	stream := bufio.NewReader(resp.Body)
	require.EqualValues(t, 2, frames(t, oneFrame(t, stream), 1)[0].ID)
	r.hub.Publish(events.View{View: 9})
	r.hub.Publish(events.Block{Height: 2})
	require.EqualValues(t, 4, frames(t, oneFrame(t, stream), 1)[0].ID)
}

// oneFrame reads up to the empty line behind the next data line.
func oneFrame(t *testing.T, stream *bufio.Reader) io.Reader {
	t.Helper()
	var frame strings.Builder
	for seen := false; ; {
		line, err := stream.ReadString('\n')
		require.NoError(t, err)
		frame.WriteString(line)
		seen = seen || strings.HasPrefix(line, "data: ")
		if seen && line == "\n" {
			return strings.NewReader(frame.String())
		}
	}
}

func TestStreamOfAForgottenPastBeginsWithAGap(t *testing.T) {
	r := start(t)
	for range 100 {
		r.hub.Publish(events.View{})
	}
	resp := r.do(t, http.MethodGet, "/v1/events?after=3", nil)
	got := frames(t, resp.Body, 2)
	require.Equal(t, events.KindGap, got[0].Kind)
	require.JSONEq(t, `{"from":3,"next":37}`, string(got[0].Data))
	require.EqualValues(t, 37, got[1].ID)
}

func TestQuietStreamShowsThatItIsAlive(t *testing.T) {
	r := start(t, func(s *Server, _ *Config) {
		if s != nil {
			s.heartbeat = time.Millisecond
		}
	})
	resp := r.do(t, http.MethodGet, "/v1/events", nil)
	require.Len(t, frames(t, resp.Body, 3), 3)
}

func TestSlowConsumerIsCutOff(t *testing.T) {
	r := start(t, func(s *Server, _ *Config) {
		if s != nil {
			s.patience = 100 * time.Millisecond
		}
	})
	resp := r.do(t, http.MethodGet, "/v1/events?after=0", nil)
	// More than socket buffers hold, while nobody reads.
	big := strings.Repeat("x", 1<<20)
	for range 64 {
		r.hub.Publish(events.Peer{ID: big})
	}
	require.Eventually(t, func() bool { return r.held.count() == 0 }, 20*time.Second, 5*time.Millisecond, "the stream is still held")
	n, err := io.Copy(io.Discard, resp.Body)
	require.Error(t, err)
	require.Less(t, n, int64(64<<20))
}

func TestStoppingServerEndsStreams(t *testing.T) {
	r := start(t)
	resp := r.do(t, http.MethodGet, "/v1/events", nil)
	require.NoError(t, r.Close())
	_, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
}
