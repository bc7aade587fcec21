// Package p2p is the node's place in the mesh: a libp2p host with its
// transports, limits, persistent identity, and a memory of who misbehaved. Look
// at [Host], made by [New] from a [Config].
//
// It knows nothing of blocks or transactions: what to send is the business of
// packages gossip and rpc, who is out there of package dht.
package p2p

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
)

// Config is what a host is made of. Start from [Default] or [Loopback].
type Config struct {
	// Identity is the node's Ed25519 key. Required; see [LoadOrCreateIdentity].
	Identity crypto.PrivKey
	// Listen are the multiaddrs to listen on; QUIC, TCP and WebSocket are
	// understood. None makes a host that only dials.
	Listen []string
	// Announce replaces the addresses that others are told, such as those of
	// a load balancer. Empty: what the host finds out about itself.
	Announce []string
	// NAT turns on AutoNAT, UPnP and NAT-PMP port mapping, hole punching, the
	// relay client and a limited relay service. Off on loopback networks.
	NAT bool
	// Low and High are the marks between which the connection manager keeps
	// the number of connections: past High the least useful go, down to Low.
	// More connections spread messages in fewer hops and cost memory and CPU.
	// Past four times High connections are refused at once.
	Low, High int
	// UserAgent is told to peers.
	UserAgent string
	// BanTime is the length of a first ban; each further one is twice as long,
	// up to a day.
	BanTime time.Duration
	// Metrics takes libp2p's own metrics. nil: none are kept, as suits many
	// hosts in one process.
	Metrics prometheus.Registerer
}

// Default suits a node on the public internet.
func Default() Config {
	return Config{
		Listen: []string{
			"/ip4/0.0.0.0/udp/8421/quic-v1", "/ip4/0.0.0.0/tcp/8421", "/ip4/0.0.0.0/tcp/8422/ws",
			"/ip6/::/udp/8421/quic-v1", "/ip6/::/tcp/8421", "/ip6/::/tcp/8422/ws",
		},
		NAT: true, Low: 64, High: 96, UserAgent: "starling", BanTime: 10 * time.Minute,
	}
}

// Loopback suits one of many nodes on one machine: free ports, no NAT. TCP
// comes before QUIC because on loopback it costs less CPU a byte.
func Loopback() Config {
	c := Default()
	c.Listen, c.NAT = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, false
	return c
}

// Validate reports everything that is wrong with the configuration, at once.
func (c Config) Validate() error {
	var faults []error
	if c.Identity == nil {
		faults = append(faults, errors.New("p2p: no identity key"))
	} else if c.Identity.Type() != crypto.Ed25519 {
		faults = append(faults, errors.New("p2p: the identity must be an Ed25519 key"))
	}
	for _, s := range c.Listen {
		if a, err := ma.NewMultiaddr(s); err != nil {
			faults = append(faults, fmt.Errorf("p2p.listen: %q is not a multiaddr, such as /ip4/0.0.0.0/udp/8421/quic-v1: %w", s, err))
		} else if transportOf(a) == "" {
			faults = append(faults, fmt.Errorf("p2p.listen: %q: want an address that ends in /udp/PORT/quic-v1, /tcp/PORT or /tcp/PORT/ws", s))
		}
	}
	for _, s := range c.Announce {
		if _, err := ma.NewMultiaddr(s); err != nil {
			faults = append(faults, fmt.Errorf("p2p.announce: %q is not a multiaddr, such as /dns4/node.example/tcp/8421: %w", s, err))
		}
	}
	if c.Low < 1 || c.High < c.Low {
		faults = append(faults, fmt.Errorf("p2p: connection marks %d and %d: want 1 or more, low first", c.Low, c.High))
	}
	if c.BanTime <= 0 || c.BanTime > maxBan {
		faults = append(faults, fmt.Errorf("p2p: ban time %s: want more than 0 and at most %s", c.BanTime, maxBan))
	}
	return errors.Join(faults...)
}

// transportOf names the transport that can listen on an address, "" for none.
func transportOf(a ma.Multiaddr) string {
	var last string
	for _, c := range a {
		last = c.Protocol().Name
	}
	switch last {
	case "quic-v1", "tcp", "ws":
		return last
	}
	return ""
}

// loopbackOnly reports whether the host can be reached from this machine alone.
func (c Config) loopbackOnly() bool {
	for _, s := range c.Listen {
		if !strings.HasPrefix(s, "/ip4/127.") && !strings.HasPrefix(s, "/ip6/::1/") {
			return false
		}
	}
	return true
}
