package rpc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/net/p2p"
)

// inbound is a stream that is being read.
type inbound struct {
	stream network.Stream
	done   chan struct{} // closed when the last message is handled
}

// receive handles one peer's stream until it ends.
func (m *Mailbox[T]) receive(s network.Stream) {
	from := s.Conn().RemotePeer()
	in, old := m.admit(from, s)
	if in == nil {
		_ = s.Reset()
		return
	}
	defer m.wg.Done()
	defer m.dismiss(from, in)
	if old != nil {
		_ = old.stream.Reset()
		<-old.done // one message of a peer after the other
	}
	r := bufio.NewReaderSize(s, 16<<10)
	for {
		if err := m.read(from, r); err != nil {
			if errors.Is(err, io.EOF) {
				_ = s.Close()
				return
			}
			m.log.Debug("one-way stream ended", "protocol", string(m.letters.ID), "peer", from.String(), "error", err)
			blame(m.host, from, err)
			_ = s.Reset()
			return
		}
	}
}

// admit makes s the peer's only stream: an older one is of a connection that the
// peer has given up, or a try to get more than its share.
func (m *Mailbox[T]) admit(from peer.ID, s network.Stream) (in, old *inbound) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return nil, nil
	}
	in, old = &inbound{stream: s, done: make(chan struct{})}, m.inbound[from]
	m.inbound[from] = in
	m.wg.Add(1) // under the lock: Close waits only after it has closed the door
	return in, old
}

func (m *Mailbox[T]) dismiss(from peer.ID, in *inbound) {
	close(in.done)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inbound[from] == in {
		delete(m.inbound, from)
	}
}

func (m *Mailbox[T]) read(from peer.ID, r *bufio.Reader) error {
	data, err := readFrame(r, m.letters.MaxSize)
	if err != nil {
		return err
	}
	switch m.budgets.Take(time.Now(), from, len(data)) {
	case p2p.Flooding:
		m.host.Penalise(from, p2p.Flood)
		return nil
	case p2p.Beyond:
		return nil
	}
	msg, err := m.letters.Codec.Decode(data)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	m.handle(from, msg)
	return nil
}

// handle calls the handler. A panic in it is a bug of this program, which must
// show in the log, but must not let a peer take the node down.
func (m *Mailbox[T]) handle(from peer.ID, msg T) {
	defer func() {
		if r := recover(); r != nil {
			m.log.Error("message handler panicked", "protocol", string(m.letters.ID), "panic", r, "stack", string(debug.Stack()))
		}
	}()
	m.letters.Handle(from, msg)
}
