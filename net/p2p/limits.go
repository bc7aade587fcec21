package p2p

import (
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	ma "github.com/multiformats/go-multiaddr"
)

// addressLimits bounds connections from one address, and lifts the bound for
// loopback, where a whole test network shares 127.0.0.1.
func (h *Host) addressLimits(cfg Config) []rcmgr.Option {
	loopback4 := rcmgr.NetworkPrefixLimit{Network: netip.MustParsePrefix("127.0.0.0/8"), ConnCount: math.MaxInt}
	loopback6 := rcmgr.NetworkPrefixLimit{Network: netip.MustParsePrefix("::1/128"), ConnCount: math.MaxInt}
	opts := []rcmgr.Option{
		rcmgr.WithNetworkPrefixLimit([]rcmgr.NetworkPrefixLimit{loopback4}, []rcmgr.NetworkPrefixLimit{loopback6}),
		rcmgr.WithMetricsDisabled(),
	}
	if cfg.loopbackOnly() {
		opts = append(opts, rcmgr.WithConnRateLimiters(&rate.Limiter{}))
	}
	return opts
}

// tcpFirst dials TCP at once and everything else a moment later.
func tcpFirst(addrs []ma.Multiaddr) []network.AddrDelay {
	out := make([]network.AddrDelay, len(addrs))
	for i, a := range addrs {
		out[i] = network.AddrDelay{Addr: a}
		if _, err := a.ValueForProtocol(ma.P_TCP); err != nil {
			out[i].Delay = 100 * time.Millisecond
		}
	}
	return out
}

// Protect keeps the connection manager from closing connections to a peer.
func (h *Host) Protect(id peer.ID, why string) { h.ConnManager().Protect(id, why) }
