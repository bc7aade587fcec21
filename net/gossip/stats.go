package gossip

import (
	"maps"
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Stats counts messages of all topics since the start.
type Stats struct {
	Delivered  uint64 // accepted, or published here
	Duplicates uint64 // copies that arrived though the message was known
	Refused    uint64 // rejected or ignored by a validator
	Limited    uint64 // beyond a peer's budget
	Overrun    uint64 // dropped because validators or handlers were too slow
	Unsent     uint64 // dropped because a peer was too slow to take them
	// Links counts the peers, topic by topic, to which messages of others are
	// relayed at present. What is published here goes to all peers at once.
	Links int
}

// Stats reads the counters.
func (g *Gossip) Stats() Stats {
	return Stats{
		Delivered: g.stats.delivered.Load(), Duplicates: g.stats.duplicates.Load(), Refused: g.stats.refused.Load(),
		Limited: g.stats.limited.Load(), Overrun: g.stats.overrun.Load(), Unsent: g.stats.unsent.Load(), Links: g.stats.count(),
	}
}

// stats is a pubsub.RawTracer that counts.
type stats struct {
	delivered, duplicates, refused, limited, overrun, unsent atomic.Uint64

	mu    sync.Mutex
	links map[link]struct{}
}

type link struct {
	peer  peer.ID
	topic string
}

func (s *stats) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links)
}

// Graft implements pubsub.RawTracer.
func (s *stats) Graft(p peer.ID, topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links == nil {
		s.links = map[link]struct{}{}
	}
	s.links[link{p, topic}] = struct{}{}
}

// Prune implements pubsub.RawTracer.
func (s *stats) Prune(p peer.ID, topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, link{p, topic})
}

// OnClosedOutboundStream implements pubsub.RawTracer: the peer is gone.
func (s *stats) OnClosedOutboundStream(p peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.links, func(l link, _ struct{}) bool { return l.peer == p })
}

// DeliverMessage implements pubsub.RawTracer.
func (s *stats) DeliverMessage(*pubsub.Message) { s.delivered.Add(1) }

// DuplicateMessage implements pubsub.RawTracer.
func (s *stats) DuplicateMessage(*pubsub.Message) { s.duplicates.Add(1) }

// RejectMessage implements pubsub.RawTracer.
func (s *stats) RejectMessage(_ *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectValidationQueueFull, pubsub.RejectValidationThrottled:
		s.overrun.Add(1)
	default:
		s.refused.Add(1)
	}
}

// UndeliverableMessage implements pubsub.RawTracer.
func (s *stats) UndeliverableMessage(*pubsub.Message) { s.overrun.Add(1) }

// DropRPC implements pubsub.RawTracer.
func (s *stats) DropRPC(rpc *pubsub.RPC, _ peer.ID) { s.unsent.Add(uint64(len(rpc.GetPublish()))) }

// The rest is not counted.

// OnNewOutboundStream implements pubsub.RawTracer.
func (*stats) OnNewOutboundStream(peer.ID, protocol.ID) {}

// Join implements pubsub.RawTracer.
func (*stats) Join(string) {}

// Leave implements pubsub.RawTracer.
func (*stats) Leave(string) {}

// ValidateMessage implements pubsub.RawTracer.
func (*stats) ValidateMessage(*pubsub.Message) {}

// ThrottlePeer implements pubsub.RawTracer.
func (*stats) ThrottlePeer(peer.ID) {}

// RecvRPC implements pubsub.RawTracer.
func (*stats) RecvRPC(*pubsub.RPC) {}

// SendRPC implements pubsub.RawTracer.
func (*stats) SendRPC(*pubsub.RPC, peer.ID) {}
