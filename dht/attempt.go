package dht

import (
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	firstDelay = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	// maxDelay is for what costs others: walks through the whole network.
	maxDelay = time.Minute
	maxHurry = time.Second
)

// backoff says when to try again. The zero value is due at once.
type backoff struct {
	next  time.Time
	delay time.Duration
}

func (b *backoff) due(now time.Time) bool { return !now.Before(b.next) }

// failed puts the next attempt off, longer each time and unevenly, so that nodes
// that lost each other do not call at once.
func (b *backoff) failed(now time.Time, limit time.Duration) {
	b.delay = min(max(firstDelay, b.delay*3/2), limit)
	b.next = now.Add(b.delay/2 + rand.N(b.delay))
}

// soon brings the next attempt forward, but not so far that somebody who comes
// and goes could make this node try all the time.
func (b *backoff) soon(now time.Time) {
	if at := now.Add(maxHurry); b.next.After(at) {
		b.next = at
	}
}

// attempts remembers who is being tried and when to try whom again.
type attempts struct {
	byPeer  map[peer.ID]*backoff
	running map[peer.ID]bool
}

func newAttempts() *attempts {
	return &attempts{byPeer: map[peer.ID]*backoff{}, running: map[peer.ID]bool{}}
}

func (a *attempts) of(id peer.ID) *backoff {
	b := a.byPeer[id]
	if b == nil {
		b = &backoff{}
		a.byPeer[id] = b
	}
	return b
}

// keep forgets everybody else.
func (a *attempts) keep(ids map[peer.ID]bool) {
	for id := range a.byPeer {
		if !ids[id] {
			delete(a.byPeer, id)
		}
	}
}
