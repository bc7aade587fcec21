package dgram

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/quic-go/quic-go"
)

// path is the way to one peer: its queues and the goroutine that empties them.
type path struct {
	s      *Service
	to     peer.ID
	queue  *ring
	later  *ring // what may wait
	filled chan struct{}
	closed chan struct{}

	mode    atomic.Uint32
	sent    atomic.Uint64
	dropped atomic.Uint64
	loss    atomic.Uint64 // millionths

	// Of the goroutine in run.
	conn     network.Conn
	quic     *quic.Conn
	stream   network.Stream
	release  func() bool
	measured time.Time
	last     quic.ConnectionStats
	calm     int // measurements in a row without loss
}

const (
	// lossy is the part of packets lost, in millionths, from which on datagrams are
	// better: at 0.5% a stream stands still once in 200 packets.
	lossy = 5000
	// clean is the part below which streams are tried again, after calmFor measurements.
	clean   = 1000
	calmFor = 10
	// far is the round trip from which on datagrams are tried first: there a stream's
	// retransmissions take long, and below it the processor is what is short.
	far = 5 * time.Millisecond
	// enough is how many packets make a measurement.
	enough = 100

	openTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
)

func newPath(s *Service, to peer.ID) *path {
	filled := make(chan struct{}, 1)
	p := &path{
		s: s, to: to, queue: newRing(s.cfg.QueueBytes, filled), later: newRing(s.cfg.QueueBytes, filled), filled: filled, closed: make(chan struct{}),
	}
	p.mode.Store(uint32(Streams))
	return p
}

func (p *path) queueFor(mayWait bool) *ring {
	if mayWait {
		return p.later
	}
	return p.queue
}

func (p *path) put(port byte, packet []byte, mayWait bool) bool {
	if mayWait {
		return p.later.put(port, packet)
	}
	if !p.queue.put(port, packet) {
		return false
	}
	p.s.urgent.Add(int64(headSize + len(packet)))
	return true
}

// close ends the path. It must be called once.
func (p *path) close() {
	p.queue.close()
	p.later.close()
	close(p.closed)
}

const (
	// patience is how long what may wait does at most while other packets are queued.
	patience = 200 * time.Millisecond
	// idle is how long after the last urgent packet left those still queued do not count:
	// they are for peers that take nothing.
	idle = 20 * time.Millisecond
	// pause is how often it is looked whether the others have gone.
	pause = 2 * time.Millisecond
	// piece is how many bytes of what may wait go at a time.
	piece = 8 << 10
)

// run sends what is queued until the path is closed.
func (p *path) run(ctx context.Context) {
	defer p.reset()
	batch := make([]byte, 0, p.s.cfg.Coalesce+MaxPacket+headSize)
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.closed:
			p.s.urgent.Add(-int64(len(p.queue.take(nil, 1<<30))))
			return
		case <-p.filled:
		}
		for {
			urgent := true
			if batch = p.queue.take(batch[:0], p.s.cfg.Coalesce); len(batch) == 0 {
				if urgent = false; p.later.empty() {
					break
				}
				if p.wait(ctx) {
					continue
				}
				batch = p.later.take(batch[:0], piece)
			}
			p.choose()
			err := p.send(ctx, batch)
			if urgent {
				p.s.urgent.Add(-int64(len(batch)))
				p.s.moved.Store(time.Now().UnixNano())
			}
			if err != nil {
				if ctx.Err() != nil {
					return
				}
				p.s.log.Debug("packets lost on their way out", "peer", p.to, "error", err)
				p.reset()
			}
		}
	}
}

// busy reports whether urgent packets are on their way out.
func (s *Service) busy() bool {
	return s.urgent.Load() > 0 && time.Now().UnixNano()-s.moved.Load() < int64(idle)
}

// wait lets what is urgent go first, to whomever it is, as long as patience lasts. It
// returns true if something urgent came for this peer.
func (p *path) wait(ctx context.Context) bool {
	for waited := time.Duration(0); waited < patience && p.s.busy(); waited += pause {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-p.closed:
		case <-ctx.Done():
		}
		timer.Stop()
		if !p.queue.empty() {
			return true
		}
	}
	return false
}

func (p *path) reset() {
	if p.stream != nil {
		p.release()
		_ = p.stream.Reset()
		p.stream = nil
	}
	p.conn, p.quic = nil, nil
}

// choose finds the connection and measures it now and then.
func (p *path) choose() {
	if p.conn == nil || p.conn.IsClosed() {
		p.reset()
		for _, c := range p.s.host.Network().ConnsToPeer(p.to) {
			p.conn = c
			if q := quicOf(c); q != nil {
				p.quic, p.last, p.measured, p.calm = q, q.ConnectionStats(), time.Now(), 0
				p.mode.Store(uint32(Streams))
				if p.last.SmoothedRTT >= far {
					p.mode.Store(uint32(Datagrams))
				}
				break
			}
		}
	}
	switch {
	case p.quic == nil || p.s.cfg.Mode == Streams:
		p.mode.Store(uint32(Streams))
	case p.s.cfg.Mode == Datagrams:
		p.mode.Store(uint32(Datagrams))
	case time.Since(p.measured) >= p.s.cfg.Measure:
		p.measure()
	}
}

// measure looks at what QUIC lost since the last time.
func (p *path) measure() {
	now := p.quic.ConnectionStats()
	sent, lost := now.PacketsSent-p.last.PacketsSent, now.PacketsLost-p.last.PacketsLost
	if sent < enough {
		return
	}
	p.last, p.measured = now, time.Now()
	loss := lost * 1_000_000 / sent
	p.loss.Store(loss)
	if loss >= clean {
		p.calm = 0
	} else {
		p.calm++
	}
	switch {
	case loss >= lossy:
		p.mode.Store(uint32(Datagrams))
	case p.calm >= calmFor && now.SmoothedRTT < far:
		p.mode.Store(uint32(Streams))
	}
}

// send sends packets that each stand after their length.
func (p *path) send(ctx context.Context, batch []byte) error {
	if Mode(p.mode.Load()) == Datagrams {
		return p.sendDatagrams(ctx, batch)
	}
	for rest := batch; len(rest) > 0; rest = rest[lengthSize+int(binary.BigEndian.Uint16(rest)):] {
		p.sent.Add(1)
	}
	if err := p.s.pace.WaitN(ctx, len(batch)+len(batch)/MaxPacket*overhead); err != nil {
		return err
	}
	return p.sendStream(ctx, batch)
}

// overhead is about what QUIC adds to a packet.
const overhead = 40

func (p *path) sendDatagrams(ctx context.Context, batch []byte) error {
	for len(batch) > 0 {
		end := lengthSize + int(binary.BigEndian.Uint16(batch))
		p.sent.Add(1)
		if err := p.s.pace.WaitN(ctx, end+overhead); err != nil {
			return err
		}
		// It waits while the connection's own queue is full.
		err := p.quic.SendDatagram(batch[lengthSize:end])
		if _, large := errors.AsType[*quic.DatagramTooLargeError](err); large {
			err = p.sendStream(ctx, batch[:end])
		}
		if err != nil {
			return err
		}
		batch = batch[end:]
	}
	return nil
}

func (p *path) sendStream(ctx context.Context, batch []byte) error {
	if p.stream == nil {
		opening, cancel := context.WithTimeout(network.WithNoDial(ctx, "packets"), openTimeout)
		defer cancel()
		st, err := p.s.host.NewStream(opening, p.to, p.s.id)
		if err != nil {
			return err
		}
		p.stream = st
		p.release = context.AfterFunc(ctx, func() { _ = st.Reset() }) // ends a write that waits
	}
	_ = p.stream.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := p.stream.Write(batch)
	return err
}

// maxStreams is how many streams a peer may send packets on at a time.
const maxStreams = 4

// accept takes the packets of a stream.
func (s *Service) accept(st network.Stream) {
	open := 0
	for _, other := range st.Conn().GetStreams() {
		if other.Protocol() == s.id && other.Stat().Direction == network.DirInbound {
			open++
		}
	}
	if open > maxStreams {
		_ = st.Reset()
		return
	}
	from := st.Conn().RemotePeer()
	if !s.start(func(ctx context.Context) {
		defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
		if err := readPackets(st, func(packet []byte) { s.handle(from, packet) }); err != nil && ctx.Err() == nil {
			s.log.Debug("stream of packets ended", "peer", from, "error", err)
		}
		_ = st.Reset()
	}) {
		_ = st.Reset()
	}
}

// readPackets hands over packets, each of which stands after its length, until the stream
// ends or breaks its rules.
func readPackets(in io.Reader, handle func([]byte)) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		head, err := r.Peek(lengthSize)
		if err != nil {
			return err
		}
		length := int(binary.BigEndian.Uint16(head))
		if length < 2 || length > 1+MaxPacket {
			return ErrLength
		}
		packet, err := r.Peek(lengthSize + length)
		if err != nil {
			return err
		}
		handle(packet[lengthSize:])
		if _, err := r.Discard(lengthSize + length); err != nil {
			return err
		}
	}
}
