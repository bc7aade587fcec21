package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
)

// Host is a running libp2p host. Its methods are safe for concurrent use.
type Host struct {
	host.Host
	gater *gater
	log   *slog.Logger
	local bool
	bans  atomic.Int64
	// started holds the host once it runs: libp2p asks for relays before
	// its constructor returns.
	started atomic.Pointer[host.Host]
	stop    context.CancelFunc
	wg      sync.WaitGroup

	mu       sync.Mutex
	seen     map[peer.ID]time.Time // connected since
	subs     []*subscriber
	offences [offenceKinds]int64
}

// Peer is a connected peer.
type Peer struct {
	ID      peer.ID
	Addr    ma.Multiaddr
	Inbound bool
	Agent   string
	Latency time.Duration // 0 if not measured yet
	Since   time.Time
	Score   float64 // 0 is good, 100 is banned
}

// New starts a host. Close it when done.
func New(cfg Config, log *slog.Logger) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	h := &Host{
		gater: &gater{scores: NewScores(cfg.BanTime)}, log: log, local: cfg.loopbackOnly(), seen: map[peer.ID]time.Time{},
	}
	opts, err := h.options(cfg)
	if err != nil {
		return nil, err
	}
	if h.Host, err = libp2p.New(opts...); err != nil {
		return nil, fmt.Errorf("start p2p host: %w", err)
	}
	h.Network().Notify(&network.NotifyBundle{ConnectedF: h.connected, DisconnectedF: h.disconnected})
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	if err := h.listen(ctx, cfg.Listen); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.started.Store(&h.Host)
	h.wg.Go(func() { h.measure(ctx) })
	return h, nil
}

// Close closes all connections and stops listening.
func (h *Host) Close() error {
	h.stop()
	h.wg.Wait()
	if err := h.Host.Close(); err != nil {
		return fmt.Errorf("close p2p host: %w", err)
	}
	return nil
}

func (h *Host) options(cfg Config) ([]libp2p.Option, error) {
	resources, err := resources(cfg)
	if err != nil {
		return nil, err
	}
	connections, err := connmgr.NewConnManager(cfg.Low, cfg.High, connmgr.WithGracePeriod(20*time.Second))
	if err != nil {
		return nil, fmt.Errorf("p2p connection manager: %w", err)
	}
	opts := []libp2p.Option{
		libp2p.Identity(cfg.Identity), libp2p.NoListenAddrs, libp2p.UserAgent(cfg.UserAgent), // listens later, one by one
		libp2p.Transport(libp2pquic.NewTransport), libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(websocket.New),
		libp2p.DefaultSecurity, libp2p.DefaultMuxers, // Noise and TLS 1.3; yamux
		libp2p.ResourceManager(resources), libp2p.ConnectionManager(connections), libp2p.ConnectionGater(h.gater),
	}
	if cfg.Metrics == nil {
		opts = append(opts, libp2p.DisableMetrics())
	} else {
		opts = append(opts, libp2p.PrometheusRegisterer(cfg.Metrics))
	}
	if h.local {
		// On loopback all addresses are equally near: dial in the order they are
		// given in, TCP first.
		opts = append(opts, libp2p.SwarmOpts(swarm.WithDialRanker(tcpFirst)))
	}
	if len(cfg.Announce) > 0 {
		announce := make([]ma.Multiaddr, len(cfg.Announce))
		for i, s := range cfg.Announce {
			announce[i] = ma.StringCast(s) // validated
		}
		opts = append(opts, libp2p.AddrsFactory(func([]ma.Multiaddr) []ma.Multiaddr { return announce }))
	}
	if !cfg.NAT {
		return append(opts, libp2p.DisableRelay()), nil
	}
	return append(opts, libp2p.EnableAutoNATv2(), libp2p.NATPortMap(), libp2p.EnableHolePunching(),
		libp2p.EnableRelay(), libp2p.EnableRelayService(), libp2p.EnableAutoRelayWithPeerSource(h.relayCandidates)), nil
}

// relayCandidates offers connected peers as relays to a node that cannot be
// reached directly.
func (h *Host) relayCandidates(ctx context.Context, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo, n)
	defer close(out)
	running := h.started.Load()
	if running == nil {
		return out
	}
	for _, id := range (*running).Network().Peers() {
		if len(out) == n || ctx.Err() != nil {
			break
		}
		out <- (*running).Peerstore().PeerInfo(id)
	}
	return out
}

// ID is the node's identity in the mesh.
func (h *Host) ID() peer.ID { return h.Host.ID() }

// Local reports whether the host can be reached from this machine alone.
func (h *Host) Local() bool { return h.local }

// FullAddrs lists the node's addresses, each ending in /p2p/ and its identity,
// as others need them to connect.
func (h *Host) FullAddrs() []string {
	var out []string
	for _, a := range h.Addrs() {
		out = append(out, a.String()+"/p2p/"+h.ID().String())
	}
	return out
}

// Dial connects to a full address.
func (h *Host) Dial(ctx context.Context, addr string) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return fmt.Errorf("address %q: want a multiaddr that ends in /p2p/PEER-ID: %w", addr, err)
	}
	return h.Connect(ctx, *info)
}

// Peers lists the connected peers, those known longest first.
func (h *Host) Peers() []Peer {
	var out []Peer
	for _, id := range h.Network().Peers() {
		conns := h.Network().ConnsToPeer(id)
		if len(conns) == 0 {
			continue
		}
		p := Peer{
			ID: id, Addr: conns[0].RemoteMultiaddr(), Inbound: conns[0].Stat().Direction == network.DirInbound,
			Latency: h.Peerstore().LatencyEWMA(id), Since: conns[0].Stat().Opened, Score: h.gater.score(id),
		}
		if agent, err := h.Peerstore().Get(id, "AgentVersion"); err == nil {
			p.Agent, _ = agent.(string)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Peer) int { return a.Since.Compare(b.Since) })
	return out
}

// Penalise notes an offence of a peer. One that goes too far is disconnected and
// kept out for a time.
func (h *Host) Penalise(id peer.ID, o Offence) {
	if id == h.ID() || o.price() == 0 {
		return
	}
	h.mu.Lock()
	h.offences[o]++
	h.mu.Unlock()
	if !h.gater.penalise(id, o) {
		return
	}
	h.bans.Add(1)
	h.log.Warn("peer banned", "peer", id.String(), "for", o.String())
	_ = h.Network().ClosePeer(id)
}

// Score is a peer's score: 0 is good, 100 is banned.
func (h *Host) Score(id peer.ID) float64 { return h.gater.score(id) }

// Banned reports whether a peer is kept out at present.
func (h *Host) Banned(id peer.ID) bool { return h.gater.banned(id) }

// Offences counts the offences of one kind since the start, of all peers.
func (h *Host) Offences(o Offence) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o < 0 || o >= offenceKinds {
		return 0
	}
	return h.offences[o]
}

// Bans counts the bans since the start.
func (h *Host) Bans() int64 { return h.bans.Load() }
