// Package dht finds peers: it keeps a Kademlia routing table under the network's
// own protocol, joins through a few known addresses or mDNS, and stays connected
// to the peers that matter. Look at [Discovery].
//
// No node has a list of all others: who knows one address finds the rest. The
// package knows nothing of the chain.
package dht

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingmesh/starling/net/p2p"
)

// Config is what discovery is made of.
type Config struct {
	// Network names the network; nodes of different networks never meet.
	Network string
	// Bootstrap are full addresses to join by. None: wait to be found.
	Bootstrap []string
	// MDNS announces the node on the local network and finds others there.
	MDNS bool
	// Wanted lists the peers to stay connected to, by identity alone. Optional.
	Wanted func() []peer.ID
	// MinPeers is how many connections to look for in any case.
	MinPeers int
}

// Validate checks the name and the addresses.
func (c Config) Validate() error {
	var faults []error
	if c.Network == "" {
		faults = append(faults, errors.New("start discovery: the network has no name"))
	}
	for _, s := range c.Bootstrap {
		if _, err := peer.AddrInfoFromString(s); err != nil {
			faults = append(faults, fmt.Errorf("p2p.bootstrap: %q: want a multiaddr that ends in /p2p/PEER-ID: %w", s, err))
		}
	}
	return errors.Join(faults...)
}

// Discovery finds peers. Its methods are safe for concurrent use.
type Discovery struct {
	cfg  Config
	host *p2p.Host
	log  *slog.Logger
	kad  *kad.IpfsDHT
}

// New sets discovery up; Run does the work.
func New(h *p2p.Host, cfg Config, log *slog.Logger) (*Discovery, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	mode := kad.ModeAutoServer
	opts := []kad.Option{kad.ProtocolPrefix(protocol.ID("/starling/" + cfg.Network)), kad.DisableProviders(), kad.DisableValues()}
	if h.Local() {
		mode = kad.ModeServer
		// Private addresses are all there are here.
		opts = append(opts, kad.AddressFilter(func(a []ma.Multiaddr) []ma.Multiaddr { return a }), kad.RoutingTablePeerDiversityFilter(nil))
	}
	k, err := kad.New(h.Host, append(opts, kad.Mode(mode))...)
	if err != nil {
		return nil, fmt.Errorf("start discovery: %w", err)
	}
	if cfg.Wanted == nil {
		cfg.Wanted = func() []peer.ID { return nil }
	}
	return &Discovery{cfg: cfg, host: h, log: log, kad: k}, nil
}

// Close ends discovery.
func (d *Discovery) Close() error { return d.kad.Close() }

// Known is the number of peers in the routing table.
func (d *Discovery) Known() int { return d.kad.RoutingTable().Size() }

// FindPeer looks up where a peer is and connects to it.
func (d *Discovery) FindPeer(ctx context.Context, id peer.ID) error {
	if d.host.Network().Connectedness(id) == network.Connected {
		return nil
	}
	info, err := d.kad.FindPeer(ctx, id)
	if err != nil {
		return fmt.Errorf("find %s: %w", id, err)
	}
	if err := d.host.Connect(ctx, info); err != nil {
		return fmt.Errorf("connect to %s: %w", id, err)
	}
	return nil
}
