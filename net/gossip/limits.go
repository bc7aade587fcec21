package gossip

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/net/p2p"
)

// limits drops what peers send beyond their budgets before anything remembers it
// as seen. A validator would be too late: what it ignores counts as seen, so a
// peer that has used up its budget could relay a message first and have everybody
// drop the honest copies.
type limits struct {
	host  *p2p.Host
	stats *stats

	mu     sync.Mutex
	topics map[string]*p2p.Budgets
}

func newLimits(h *p2p.Host, s *stats) *limits {
	return &limits{host: h, stats: s, topics: map[string]*p2p.Budgets{}}
}

func (l *limits) set(topic string, b *p2p.Budgets) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topics[topic] = b
}

func (l *limits) of(topic string) *p2p.Budgets {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.topics[topic]
}

// inspect takes messages beyond the budget out of what a peer sent; the control
// messages beside them stay. pubsub calls it in its main loop: it must be quick.
func (l *limits) inspect(from peer.ID, rpc *pubsub.RPC) error {
	now := time.Now()
	kept := rpc.Publish[:0]
	for _, m := range rpc.Publish {
		if l.take(now, from, m) {
			kept = append(kept, m)
		}
	}
	clear(rpc.Publish[len(kept):])
	rpc.Publish = kept
	return nil
}

func (l *limits) take(now time.Time, from peer.ID, m *pb.Message) bool {
	b := l.of(m.GetTopic())
	if b == nil {
		return true // not joined: pubsub drops it
	}
	switch b.Take(now, from, len(m.GetData())) {
	case p2p.Within:
		return true
	case p2p.Flooding:
		l.host.Penalise(from, p2p.Flood)
	}
	l.stats.limited.Add(1)
	return false
}
