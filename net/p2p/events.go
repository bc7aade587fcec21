package p2p

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// PeerChange says that the first connection to a peer was made, or the last lost.
type PeerChange struct {
	ID          peer.ID
	Connected   bool
	Connections int // peers connected after the change
	// Missed counts the changes before this one that the reader was too slow
	// for; if it is not 0, read [Host.Peers] again.
	Missed int
}

const changesBuffer = 64

type subscriber struct {
	out    chan PeerChange
	missed int
}

// Changes returns a channel of connection changes. A reader that falls more than
// its buffer behind misses changes, and is told how many. The channel is never
// closed; give it to [Host.StopChanges] when done.
func (h *Host) Changes() <-chan PeerChange {
	s := &subscriber{out: make(chan PeerChange, changesBuffer)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs = append(h.subs, s)
	return s.out
}

// StopChanges ends a subscription.
func (h *Host) StopChanges(c <-chan PeerChange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs = slices.DeleteFunc(h.subs, func(s *subscriber) bool { return s.out == c })
}

func (h *Host) connected(_ network.Network, c network.Conn) {
	id := c.RemotePeer()
	if h.gater.banned(id) {
		_ = c.Close() // it was let in while the ban was being decided
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.seen[id]; !known {
		h.seen[id] = time.Now()
		h.tell(PeerChange{ID: id, Connected: true, Connections: len(h.seen)})
	}
}

func (h *Host) disconnected(n network.Network, c network.Conn) {
	id := c.RemotePeer()
	h.mu.Lock()
	defer h.mu.Unlock()
	// Asked under the lock: a connection made meanwhile was either seen here
	// or will tell itself.
	if len(n.ConnsToPeer(id)) > 0 {
		return
	}
	if _, known := h.seen[id]; known {
		delete(h.seen, id)
		h.tell(PeerChange{ID: id, Connections: len(h.seen)})
	}
}

func (h *Host) tell(change PeerChange) {
	for _, s := range h.subs {
		change.Missed = s.missed
		select {
		case s.out <- change:
			s.missed = 0
		default:
			s.missed++
		}
	}
}
