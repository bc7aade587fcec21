package dgram

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"
)

// Mode is how packets travel to a peer.
type Mode uint8

// The modes. Auto picks by what it measures.
const (
	Auto Mode = iota
	Streams
	Datagrams
)

// String names the mode.
func (m Mode) String() string { return [...]string{"auto", "streams", "datagrams"}[m] }

// MaxPacket is the longest packet in bytes: it fits a DATAGRAM frame from a connection's
// first moment on.
const MaxPacket = 1240

// Config says how much is queued. The zero value has defaults.
type Config struct {
	QueueBytes int // for a peer; 0 is 4 MiB
	Coalesce   int // bytes of a write to a stream; 0 is 32 KiB
	Mode       Mode
	// Rate bounds what is sent to all peers together, in bytes a second; 0 is no bound. A
	// node that knows its uplink should stay a little below: many connections that each
	// probe for room fill its queue and lose packets.
	Rate int
	// Measure is how often a path's loss is looked at; 0 is 500 ms.
	Measure time.Duration
}

// What callers decide on.
var (
	ErrLength       = errors.New("a packet of a bad length")
	ErrNotConnected = errors.New("peer is not connected")
)

// Service sends and receives packets. All methods are safe for concurrent use.
type Service struct {
	host host.Host
	id   protocol.ID
	cfg  Config
	log  *slog.Logger

	ports [256]atomic.Pointer[handler]

	mu      sync.Mutex
	paths   map[peer.ID]*path
	readers map[network.Conn]struct{}
	ctx     context.Context // of Run; nil outside of it
	group   sync.WaitGroup
	urgent  atomic.Int64 // bytes queued that may not wait, to all peers
	pace    *rate.Limiter
	moved   atomic.Int64 // when some of them last left, in nanoseconds
}

// handler takes packets. It keeps nothing of them.
type handler func(from peer.ID, packet []byte)

// New makes a service. Nothing runs before Run. A host has one: it reads all DATAGRAM
// frames of the host's connections.
func New(h host.Host, id protocol.ID, cfg Config, log *slog.Logger) *Service {
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = 4 << 20
	}
	if cfg.Coalesce == 0 {
		cfg.Coalesce = 32 << 10
	}
	if cfg.Measure == 0 {
		cfg.Measure = 500 * time.Millisecond
	}
	pace := rate.NewLimiter(rate.Inf, 0)
	if cfg.Rate > 0 {
		pace = rate.NewLimiter(rate.Limit(cfg.Rate), 2*cfg.Coalesce)
	}
	return &Service{pace: pace, host: h, id: id, cfg: cfg, log: log, paths: map[peer.ID]*path{}, readers: map[network.Conn]struct{}{}}
}

// Run carries packets until ctx ends, and returns when all its goroutines have.
func (s *Service) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	bundle := &network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { s.read(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { s.disconnected(c) },
	}
	s.host.Network().Notify(bundle)
	s.host.SetStreamHandler(s.id, s.accept)
	for _, c := range s.host.Network().Conns() {
		s.read(c)
	}
	<-ctx.Done()
	s.host.RemoveStreamHandler(s.id)
	s.host.Network().StopNotify(bundle)
	s.mu.Lock()
	s.ctx = nil
	for id, p := range s.paths {
		p.close()
		delete(s.paths, id)
	}
	s.mu.Unlock()
	s.group.Wait()
	return nil
}

// start runs f in a goroutine that Run waits for, unless Run is over.
func (s *Service) start(f func(ctx context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		return false
	}
	ctx := s.ctx
	s.group.Go(func() { f(ctx) })
	return true
}

// path finds the way to a connected peer; nil if there is none.
func (s *Service) path(to peer.ID) *path {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.paths[to]; p != nil {
		return p
	}
	if s.ctx == nil || s.host.Network().Connectedness(to) != network.Connected {
		return nil
	}
	p := newPath(s, to)
	s.paths[to] = p
	ctx := s.ctx
	s.group.Go(func() { p.run(ctx) })
	return p
}

// disconnected ends the path to a peer that has no connection left.
func (s *Service) disconnected(c network.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.readers, c)
	id := c.RemotePeer()
	if p := s.paths[id]; p != nil && s.host.Network().Connectedness(id) != network.Connected {
		p.close()
		delete(s.paths, id)
	}
}

// quicOf is the QUIC connection below a libp2p one, if it carries datagrams.
func quicOf(c network.Conn) *quic.Conn {
	var q *quic.Conn
	if !c.As(&q) || !q.ConnectionState().SupportsDatagrams.Remote {
		return nil
	}
	return q
}

// read takes the datagrams of a new connection.
func (s *Service) read(c network.Conn) {
	q := quicOf(c)
	if q == nil {
		return
	}
	s.mu.Lock()
	_, twice := s.readers[c]
	s.readers[c] = struct{}{}
	s.mu.Unlock()
	if twice {
		return
	}
	from := c.RemotePeer()
	s.start(func(ctx context.Context) {
		for {
			frame, err := q.ReceiveDatagram(ctx)
			if err != nil {
				return
			}
			s.handle(from, frame)
		}
	})
}

// Loss is the share of packets that got lost on the QUIC connection to a peer since it
// began; false if there is none, or too few packets were sent to say.
func (s *Service) Loss(to peer.ID) (float64, bool) {
	for _, c := range s.host.Network().ConnsToPeer(to) {
		if q := quicOf(c); q != nil {
			stats := q.ConnectionStats()
			return float64(stats.PacketsLost) / float64(max(stats.PacketsSent, 1)), stats.PacketsSent >= enough
		}
	}
	return 0, false
}

// PathStats is what is known of the way to a peer.
type PathStats struct {
	Peer    peer.ID
	Mode    Mode
	Packets uint64 // sent
	Dropped uint64 // for want of room
	Loss    float64
}

// Paths tells of all peers to which something was sent, in order of their ids.
func (s *Service) Paths() []PathStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]PathStats, 0, len(s.paths))
	for id, p := range s.paths {
		out = append(out, PathStats{id, Mode(p.mode.Load()), p.sent.Load(), p.dropped.Load(), float64(p.loss.Load()) / 1e6})
	}
	slices.SortFunc(out, func(a, b PathStats) int { return slices.Compare([]byte(a.Peer), []byte(b.Peer)) })
	return out
}
