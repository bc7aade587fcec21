package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
)

// Letters describes one-way messages.
type Letters[T any] struct {
	ID      protocol.ID
	Codec   canon.Codec[T]
	MaxSize int // bytes; 256 of them may wait for each peer
	// PerSecond is how many one peer may send, in bursts of four times as
	// many; more are dropped. 0 is 500.
	PerSecond int
	// Handle takes what comes in, one message of a peer after the other.
	Handle func(from peer.ID, msg T)
}

const (
	sendTimeout  = 3 * time.Second
	idleTimeout  = 2 * time.Minute
	reopenDelay  = 50 * time.Millisecond
	maxReopening = 2 * time.Second
	writeSize    = 64 << 10 // messages that wait are written together up to here
)

// Mailbox sends one-way messages over one long-lived stream a peer, so that a
// message costs no round trip. Messages to a peer keep their order; while it
// cannot be reached the newest wait, older ones are dropped and counted. What was
// written when a connection breaks may be lost: there are no receipts.
//
// Methods are safe for concurrent use.
type Mailbox[T any] struct {
	host    *p2p.Host
	letters Letters[T]
	log     *slog.Logger
	budgets *p2p.Budgets
	notify  *network.NotifyBundle
	ctx     context.Context // of the senders, ended by Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	dropped atomic.Uint64

	mu       sync.Mutex
	outboxes map[peer.ID]*outbox
	inbound  map[peer.ID]*inbound // the newest of each peer
	outbound map[network.Stream]struct{}
}

// NewMailbox begins to receive. Close it before the host.
func NewMailbox[T any](h *p2p.Host, l Letters[T], log *slog.Logger) *Mailbox[T] {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Mailbox[T]{
		host: h, letters: l, log: log, ctx: ctx, cancel: cancel, budgets: p2p.NewBudgets(l.PerSecond, 0),
		outboxes: map[peer.ID]*outbox{}, inbound: map[peer.ID]*inbound{}, outbound: map[network.Stream]struct{}{},
	}
	m.notify = &network.NotifyBundle{ConnectedF: m.connected}
	h.Network().Notify(m.notify)
	h.SetStreamHandler(l.ID, m.receive)
	return m
}

// Close stops sending and receiving and waits for both to end.
func (m *Mailbox[T]) Close() {
	m.host.RemoveStreamHandler(m.letters.ID)
	m.host.Network().StopNotify(m.notify)
	m.mu.Lock()
	m.cancel()
	for s := range m.outbound {
		_ = s.Reset()
	}
	for _, in := range m.inbound {
		_ = in.stream.Reset()
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// Dropped counts the messages that could not be sent.
func (m *Mailbox[T]) Dropped() uint64 { return m.dropped.Load() }

// Send queues a message. It never waits.
func (m *Mailbox[T]) Send(to peer.ID, msg T) error {
	data, err := m.letters.Codec.Encode(msg)
	if err != nil {
		return fmt.Errorf("send on %s: %w", m.letters.ID, err)
	}
	if len(data) > m.letters.MaxSize {
		return fmt.Errorf("send on %s: %d bytes, at most %d are allowed: %w", m.letters.ID, len(data), m.letters.MaxSize, ErrTooLarge)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return fmt.Errorf("send on %s: %w", m.letters.ID, ErrClosed)
	}
	box := m.outboxes[to]
	if box == nil {
		box = newOutbox()
		m.outboxes[to] = box
		m.wg.Go(func() { (&sender[T]{m: m, to: to, box: box}).run() })
	}
	m.dropped.Add(box.push(data))
	return nil
}

// connected lets the sender to a peer that is back try at once.
func (m *Mailbox[T]) connected(_ network.Network, c network.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if box := m.outboxes[c.RemotePeer()]; box != nil {
		signal(box.up)
	}
}
