package events

import (
	"context"
	"iter"
	"math"
	"slices"
	"sync"
	"time"
)

// DefaultSize is a ring that bridges a minute or so of a busy node.
const DefaultSize = 8192

// Live asks [Hub.Subscribe] for what happens from now on only.
const Live = math.MaxUint64

// Hub keeps the newest events and wakes who waits for more. It is safe for
// concurrent use.
type Hub struct {
	mu      sync.Mutex
	ring    []Event       // event id is at id % len(ring)
	last    uint64        // newest id, 0 before the first event
	wake    chan struct{} // closed by the next Publish
	waiting bool          // somebody holds wake
}

// NewHub makes a hub that remembers size events, at least one.
func NewHub(size int) *Hub {
	return &Hub{ring: make([]Event, max(1, size)), wake: make(chan struct{})}
}

// Publish appends an event and returns its id. It never waits for subscribers.
func (h *Hub) Publish(p Payload) uint64 {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.ring[h.last%uint64(len(h.ring))] = Event{ID: h.last, Kind: p.kind(), Time: now, Data: p}
	if h.waiting {
		close(h.wake)
		h.wake, h.waiting = make(chan struct{}), false
	}
	return h.last
}

// Last is the id of the newest event, 0 before the first.
func (h *Hub) Last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// Subscribe yields the events after an id, of the given kinds or of all: first
// those that the ring still holds, then live ones, until ctx ends. After is 0
// for everything remembered, and [Live] for new events only.
//
// If events after that id are forgotten already, or the id is from another
// lifetime of the node, the first event is a [Gap]. A subscriber that falls
// behind later gets a [Gap] as its last event, and is cut off: it may subscribe
// again when it can keep up.
func (h *Hub) Subscribe(ctx context.Context, after uint64, kinds ...Kind) iter.Seq[Event] {
	if after == Live {
		after = h.Last()
	}
	return func(yield func(Event) bool) {
		next := after + 1
		var batch []Event
		for first := true; ; first = false {
			oldest, last, events, more := h.since(next, batch[:0])
			if next > last+1 || next < oldest {
				gap := Gap{From: next - 1, Next: oldest}
				if !yield(Event{ID: oldest - 1, Kind: KindGap, Time: time.Now(), Data: gap}) || !first {
					return
				}
				next = oldest
				continue
			}
			batch = events
			for _, e := range batch {
				next = e.ID + 1
				if ctx.Err() != nil || wanted(kinds, e.Kind) && !yield(e) {
					return
				}
			}
			if len(batch) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-more:
			}
		}
	}
}

// batchSize bounds what a subscriber copies under the lock.
const batchSize = 64

// since copies up to batchSize events from next on. If there are none yet, the
// channel is closed when one comes.
func (h *Hub) since(next uint64, into []Event) (oldest, last uint64, events []Event, more <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	size := uint64(len(h.ring))
	oldest = 1
	if h.last > size {
		oldest = h.last - size + 1
	}
	if next < oldest || next > h.last+1 {
		return oldest, h.last, nil, nil
	}
	for id := next; id <= h.last && len(into) < batchSize; id++ {
		into = append(into, h.ring[id%size])
	}
	if len(into) == 0 {
		h.waiting = true
	}
	return oldest, h.last, into, h.wake
}

func wanted(kinds []Kind, k Kind) bool { return len(kinds) == 0 || slices.Contains(kinds, k) }
