package rpc

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// sender writes one peer's outbox to a stream that it reopens when it breaks.
type sender[T any] struct {
	m      *Mailbox[T]
	to     peer.ID
	box    *outbox
	stream network.Stream // nil when there is none
	buf    []byte
	until  time.Time // the stream's write deadline
}

// run ends when the mailbox closes or nothing was sent for a while.
func (s *sender[T]) run() {
	defer s.drop(network.Stream.Close)
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	delay := reopenDelay
	for {
		before, ok := s.next()
		if !ok {
			select {
			case <-s.m.ctx.Done():
				return
			case <-s.box.wake:
			case <-idle.C:
				if s.retire() {
					return
				}
			}
			continue
		}
		idle.Reset(idleTimeout)
		if s.write() {
			s.written(before)
			delay = reopenDelay
			continue
		}
		wait := time.NewTimer(delay)
		select {
		case <-s.m.ctx.Done():
			wait.Stop()
			return
		case <-s.box.up:
			delay = reopenDelay
		case <-wait.C:
			delay = min(2*delay, maxReopening)
		}
		wait.Stop()
	}
}

// next fills the buffer with what waits.
func (s *sender[T]) next() (before uint64, ok bool) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.buf, before = s.box.batch(s.buf[:0], writeSize)
	return before, len(s.buf) > 0
}

func (s *sender[T]) written(before uint64) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.box.written(before)
}

// write writes the buffer. A stream of before may have broken unnoticed: then a
// new one is tried at once.
func (s *sender[T]) write() bool {
	for range 2 {
		fresh := s.stream == nil
		if fresh && !s.open() {
			return false
		}
		if now := time.Now(); fresh || s.until.Sub(now) < sendTimeout { // seldom, as it makes a timer
			s.until = now.Add(2 * sendTimeout)
			_ = s.stream.SetWriteDeadline(s.until)
		}
		if _, err := s.stream.Write(s.buf); err == nil {
			return true
		}
		s.drop(network.Stream.Reset)
		if fresh {
			return false
		}
	}
	return false
}

func (s *sender[T]) open() bool {
	ctx, cancel := context.WithTimeout(network.WithNoDial(s.m.ctx, "one-way messages use what connections there are"), sendTimeout)
	defer cancel()
	stream, err := s.m.host.NewStream(ctx, s.to, s.m.letters.ID)
	if err != nil {
		return false
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.ctx.Err() != nil {
		_ = stream.Reset()
		return false
	}
	s.m.outbound[stream] = struct{}{}
	s.stream = stream
	return true
}

func (s *sender[T]) drop(end func(network.Stream) error) {
	if s.stream == nil {
		return
	}
	s.m.mu.Lock()
	delete(s.m.outbound, s.stream)
	s.m.mu.Unlock()
	_ = end(s.stream)
	s.stream = nil
}

// retire removes an idle outbox, unless a message came meanwhile.
func (s *sender[T]) retire() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if len(s.box.queue) > 0 {
		return false
	}
	delete(s.m.outboxes, s.to)
	return true
}
