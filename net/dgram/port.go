package dgram

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Port tells packets of different use apart, as UDP's ports do: what is sent from a port
// arrives at the other's port of the same number. All methods are safe for concurrent use.
type Port struct {
	s      *Service
	number byte
	handle atomic.Pointer[handler]
}

// Port returns a port of a number. Nothing is taken before [Port.Handle].
func (s *Service) Port(number byte) *Port { return &Port{s: s, number: number} }

// Handle takes the packets that come to the port from now on, in the place of whoever took
// them before. handle is called from several goroutines and keeps nothing of a packet.
func (p *Port) Handle(handle func(from peer.ID, packet []byte)) {
	h := (*handler)(&handle)
	p.handle.Store(h)
	p.s.ports[p.number].Store(h)
}

// Close takes nothing any more. It leaves alone whoever took the port's place. Packets that
// are being handled may go on for a moment.
func (p *Port) Close() {
	if h := p.handle.Load(); h != nil {
		p.s.ports[p.number].CompareAndSwap(h, nil)
	}
}

// handle hands a packet, that stands after its port, over. What nobody wants is dropped.
func (s *Service) handle(from peer.ID, packet []byte) {
	if len(packet) < 2 {
		return
	}
	if h := s.ports[packet[0]].Load(); h != nil {
		(*h)(from, packet[1:])
	}
}

// TrySend queues a packet, which it copies. It returns false if the peer is not connected
// or its queue is full: the packet is then dropped. In the steady state it allocates
// nothing. What may wait goes when nothing else is queued to anybody, or after a while.
func (p *Port) TrySend(to peer.ID, packet []byte, mayWait bool) bool {
	way := p.s.path(to)
	if way == nil || len(packet) == 0 || len(packet) > MaxPacket {
		return false
	}
	if !way.put(p.number, packet, mayWait) {
		way.dropped.Add(1)
		return false
	}
	return true
}

// Send queues a packet, and waits for room as long as ctx lasts.
func (p *Port) Send(ctx context.Context, to peer.ID, packet []byte, mayWait bool) error {
	if len(packet) == 0 || len(packet) > MaxPacket {
		return fmt.Errorf("send to %s: %w: %d bytes, from 1 to %d", to, ErrLength, len(packet), MaxPacket)
	}
	for {
		way := p.s.path(to)
		if way == nil {
			return fmt.Errorf("send to %s: %w", to, ErrNotConnected)
		}
		room := way.queueFor(mayWait).waitRoom()
		if way.put(p.number, packet, mayWait) {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("send to %s: %w", to, ctx.Err())
		}
	}
}

// Connected reports whether packets can be sent to a peer now.
func (p *Port) Connected(to peer.ID) bool {
	return p.s.host.Network().Connectedness(to) == network.Connected
}
