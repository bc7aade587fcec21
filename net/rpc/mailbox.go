package rpc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/time/rate"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/net/p2p"
)

// Letters describes one-way messages.
type Letters[T any] struct {
	ID      protocol.ID
	Codec   canon.Codec[T]
	MaxSize int // bytes
	// PerSecond is how many one peer may send, in bursts of four times as many.
	PerSecond int
	// Handle takes what comes in, one message of a peer after the other.
	Handle func(from peer.ID, msg T)
}

const (
	outboxSize   = 256
	sendTimeout  = 3 * time.Second
	idleTimeout  = 2 * time.Minute
	reopenDelay  = 50 * time.Millisecond
	maxReopening = 2 * time.Second
)

// Mailbox sends one-way messages over one long-lived stream a peer, so that a
// message costs no round trip. Messages to a peer keep their order; while it
// cannot be reached the newest wait, older ones are dropped and counted.
type Mailbox[T any] struct {
	host    *p2p.Host
	letters Letters[T]
	log     *slog.Logger
	ctx     context.Context // of the senders, ended by Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	dropped atomic.Uint64

	mu      sync.Mutex
	outbox  map[peer.ID]chan []byte
	streams map[network.Stream]struct{}
}

// NewMailbox begins to receive. Close it before the host.
func NewMailbox[T any](h *p2p.Host, l Letters[T], log *slog.Logger) *Mailbox[T] {
	ctx, cancel := context.WithCancel(context.Background())
	m := &Mailbox[T]{
		host: h, letters: l, log: log, ctx: ctx, cancel: cancel,
		outbox: map[peer.ID]chan []byte{}, streams: map[network.Stream]struct{}{},
	}
	h.SetStreamHandler(l.ID, m.receive)
	return m
}

// Close stops sending and receiving and waits for both to end.
func (m *Mailbox[T]) Close() {
	m.host.RemoveStreamHandler(m.letters.ID)
	m.mu.Lock()
	m.cancel()
	for s := range m.streams {
		_ = s.Reset()
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
		return err
	}
	if len(data) > m.letters.MaxSize {
		return ErrTooLarge
	}
	box := m.box(to)
	if box == nil {
		return context.Canceled
	}
	for {
		select {
		case box <- data:
			return nil
		default:
		}
		select {
		case <-box:
			m.dropped.Add(1)
		default:
		}
	}
}

// box finds the outbox of a peer and its sender, or starts them.
func (m *Mailbox[T]) box(to peer.ID) chan []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return nil
	}
	box := m.outbox[to]
	if box == nil {
		box = make(chan []byte, outboxSize)
		m.outbox[to] = box
		m.wg.Go(func() { m.deliver(to, box) })
	}
	return box
}

// deliver sends what is in the outbox, reopening the stream when it breaks. It
// ends when nothing was to be sent for a while.
func (m *Mailbox[T]) deliver(to peer.ID, box chan []byte) {
	var s network.Stream
	delay := reopenDelay
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	defer func() {
		if s != nil {
			m.untrack(s)
			_ = s.Close()
		}
	}()
	for {
		var data []byte
		idle.Reset(idleTimeout)
		select {
		case <-m.ctx.Done():
			return
		case <-idle.C:
			if m.retire(to, box) {
				return
			}
			continue
		case data = <-box:
		}
		for attempt := 0; attempt < 2; attempt++ {
			if s == nil {
				s = m.open(to)
			}
			if s == nil {
				break
			}
			_ = s.SetWriteDeadline(time.Now().Add(sendTimeout))
			if _, err := s.Write(coalesce(data, box)); err == nil {
				delay = reopenDelay
				data = nil
				break
			}
			m.untrack(s)
			_ = s.Reset()
			s = nil
		}
		if data == nil {
			continue
		}
		m.dropped.Add(1)
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(delay):
			delay = min(2*delay, maxReopening)
		}
	}
}

// coalesce frames a message and whatever else waits already, in one write.
func coalesce(data []byte, box chan []byte) []byte {
	const enough = 64 << 10
	b := appendFrame(make([]byte, 0, len(data)+8), data)
	for len(b) < enough {
		select {
		case more := <-box:
			b = appendFrame(b, more)
		default:
			return b
		}
	}
	return b
}

// retire removes an idle outbox, unless a message came meanwhile.
func (m *Mailbox[T]) retire(to peer.ID, box chan []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(box) > 0 {
		return false
	}
	delete(m.outbox, to)
	return true
}

func (m *Mailbox[T]) open(to peer.ID) network.Stream {
	ctx, cancel := context.WithTimeout(network.WithNoDial(m.ctx, "one-way messages use what connections there are"), sendTimeout)
	defer cancel()
	s, err := m.host.NewStream(ctx, to, m.letters.ID)
	if err != nil {
		return nil
	}
	if !m.track(s) {
		_ = s.Reset()
		return nil
	}
	return s
}

func (m *Mailbox[T]) track(s network.Stream) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return false
	}
	m.streams[s] = struct{}{}
	return true
}

func (m *Mailbox[T]) untrack(s network.Stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, s)
}

// receive handles one peer's stream until it ends.
func (m *Mailbox[T]) receive(s network.Stream) {
	m.mu.Lock()
	if m.ctx.Err() != nil {
		m.mu.Unlock()
		_ = s.Reset()
		return
	}
	m.streams[s] = struct{}{}
	m.wg.Add(1) // under the lock: Close waits only after it has closed the door
	m.mu.Unlock()
	defer m.wg.Done()
	defer m.untrack(s)
	from := s.Conn().RemotePeer()
	budget := rate.NewLimiter(rate.Limit(m.letters.PerSecond), 4*m.letters.PerSecond)
	r := bufio.NewReader(s)
	for {
		data, err := readFrame(r, m.letters.MaxSize)
		if err == nil {
			var msg T
			if msg, err = m.letters.Codec.Decode(data); err == nil {
				if budget.Allow() {
					m.letters.Handle(from, msg)
				} else {
					m.host.Penalise(from, p2p.Flood)
				}
				continue
			}
			err = errors.Join(errRubbish, err)
		}
		if errors.Is(err, ErrTooLarge) || errors.Is(err, errRubbish) {
			m.log.Debug("bad message", "protocol", string(m.letters.ID), "peer", from.String(), "error", err)
			m.host.Penalise(from, p2p.InvalidMessage)
		}
		if errors.Is(err, io.EOF) {
			_ = s.Close()
		} else {
			_ = s.Reset()
		}
		return
	}
}

var errRubbish = errors.New("message does not decode")
