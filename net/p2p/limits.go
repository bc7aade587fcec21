package p2p

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
)

// What one peer may hold open. A node needs about ten streams with a peer; the
// rest is room for bursts of requests.
const (
	peerConns   = 8
	peerStreams = 256
)

// resources bounds memory, connections and streams: libp2p's limits scaled to
// this machine, raised where the configuration asks for more connections.
func resources(cfg Config) (network.ResourceManager, error) {
	scaling := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&scaling)
	scaled := scaling.AutoScale()
	limits := scaled.ToPartialLimitConfig()
	atLeast := func(v *rcmgr.LimitVal, n int) {
		if *v != rcmgr.Unlimited {
			*v = max(*v, rcmgr.LimitVal(n))
		}
	}
	atLeast(&limits.System.Conns, 4*cfg.High)
	atLeast(&limits.System.ConnsInbound, 3*cfg.High)
	atLeast(&limits.System.ConnsOutbound, 3*cfg.High)
	atLeast(&limits.System.Streams, 64*cfg.High)
	atLeast(&limits.System.StreamsInbound, 48*cfg.High)
	atLeast(&limits.System.StreamsOutbound, 48*cfg.High)
	atLeast(&limits.Transient.Conns, cfg.High)
	atLeast(&limits.Transient.ConnsInbound, cfg.High)
	limits.PeerDefault.Conns, limits.PeerDefault.ConnsInbound, limits.PeerDefault.ConnsOutbound = peerConns, peerConns, peerConns
	limits.PeerDefault.Streams, limits.PeerDefault.StreamsInbound = 2*peerStreams, peerStreams
	m, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(scaled)), addressLimits(cfg)...)
	if err != nil {
		return nil, fmt.Errorf("p2p resource manager: %w", err)
	}
	return m, nil
}

// addressLimits bounds connections from one address, and lifts the bound for
// loopback, where a whole test network shares 127.0.0.1.
func addressLimits(cfg Config) []rcmgr.Option {
	loopback4 := rcmgr.NetworkPrefixLimit{Network: netip.MustParsePrefix("127.0.0.0/8"), ConnCount: math.MaxInt}
	loopback6 := rcmgr.NetworkPrefixLimit{Network: netip.MustParsePrefix("::1/128"), ConnCount: math.MaxInt}
	opts := []rcmgr.Option{
		rcmgr.WithNetworkPrefixLimit([]rcmgr.NetworkPrefixLimit{loopback4}, []rcmgr.NetworkPrefixLimit{loopback6}),
	}
	if cfg.Metrics == nil {
		opts = append(opts, rcmgr.WithMetricsDisabled())
	}
	if cfg.loopbackOnly() {
		opts = append(opts, rcmgr.WithConnRateLimiters(&rate.Limiter{}))
	}
	return opts
}

// tcpFirst dials plain TCP at once and everything else a moment later, if there
// is plain TCP.
func tcpFirst(addrs []ma.Multiaddr) []network.AddrDelay {
	out := make([]network.AddrDelay, len(addrs))
	plain := false
	for i, a := range addrs {
		out[i].Addr = a
		plain = plain || transportOf(a) == "tcp"
	}
	for i, a := range addrs {
		if plain && transportOf(a) != "tcp" {
			out[i].Delay = 100 * time.Millisecond
		}
	}
	return out
}

// Protect keeps the connection manager from closing connections to a peer.
func (h *Host) Protect(id peer.ID, why string) { h.ConnManager().Protect(id, why) }
