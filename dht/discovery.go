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
	"math/rand/v2"
	"sync"
	"time"

	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

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
	// Wanted lists the peers to stay connected to, by identity alone.
	Wanted func() []peer.ID
	// MinPeers is how many connections to look for in any case.
	MinPeers int
}

// Validate checks the addresses.
func (c Config) Validate() error {
	var faults []error
	for _, s := range c.Bootstrap {
		if _, err := peer.AddrInfoFromString(s); err != nil {
			faults = append(faults, fmt.Errorf("p2p.bootstrap: %q: want a multiaddr that ends in /p2p/PEER-ID: %w", s, err))
		}
	}
	return errors.Join(faults...)
}

const (
	busyInterval  = 150 * time.Millisecond // between rounds while somebody wanted is missing
	calmInterval  = 5 * time.Second
	maxBackoff    = 5 * time.Second
	lookupTimeout = 5 * time.Second
	lookups       = 8 // at a time
)

// Discovery finds peers. Its methods are safe for concurrent use.
type Discovery struct {
	cfg  Config
	host *p2p.Host
	log  *slog.Logger
	kad  *kad.IpfsDHT
	mdns mdns.Service

	mu    sync.Mutex
	tries map[peer.ID]*try
}

// try remembers failed attempts to reach a peer.
type try struct {
	next  time.Time
	delay time.Duration
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
	return &Discovery{cfg: cfg, host: h, log: log, kad: k, tries: map[peer.ID]*try{}}, nil
}

// Close ends discovery.
func (d *Discovery) Close() error { return d.kad.Close() }

// Known is the number of peers in the routing table.
func (d *Discovery) Known() int { return d.kad.RoutingTable().Size() }

// Run joins the mesh and stays in it until ctx ends.
func (d *Discovery) Run(ctx context.Context) error {
	if d.cfg.MDNS {
		d.mdns = mdns.NewMdnsService(d.host.Host, "_starling-"+d.cfg.Network+"._udp", found{ctx, d})
		if err := d.mdns.Start(); err != nil {
			d.log.Info("no mDNS on this machine", "error", err)
		} else {
			defer d.mdns.Close()
		}
	}
	changes := d.host.Changes()
	var refreshed time.Time
	for {
		missing := d.round(ctx)
		if missing && time.Since(refreshed) > time.Second && d.kad.RoutingTable().Size() > 0 {
			refreshed = time.Now()
			d.kad.RefreshRoutingTable() // runs in the DHT's own goroutine
		}
		wait := calmInterval
		if missing {
			wait = busyInterval
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case c := <-changes:
			timer.Stop()
			if connected := drain(changes) || c.Connected; connected {
				// A new neighbour may know where those are who could not be found.
				d.mu.Lock()
				clear(d.tries)
				d.mu.Unlock()
			}
		case <-timer.C:
		}
	}
}

// drain takes what else has changed, and reports whether somebody came.
func drain(c <-chan p2p.PeerChange) (connected bool) {
	for {
		select {
		case change := <-c:
			connected = connected || change.Connected
		default:
			return connected
		}
	}
}

// round tries to connect to everybody who is missing, and reports whether
// somebody was.
func (d *Discovery) round(ctx context.Context) bool {
	missing := false
	var g errgroup.Group
	g.SetLimit(lookups)
	for _, s := range d.cfg.Bootstrap {
		info, err := peer.AddrInfoFromString(s)
		if err != nil || !d.lacks(info.ID) {
			continue
		}
		if enough := len(d.host.Network().Peers()) >= d.cfg.MinPeers; enough {
			continue
		}
		missing = true
		g.Go(func() error { return d.attempt(ctx, *info) })
	}
	for _, id := range d.cfg.Wanted() {
		if d.lacks(id) {
			missing = true
			g.Go(func() error { return d.seek(ctx, id) })
		}
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		d.log.Debug("peers not reached", "error", err)
	}
	return missing
}

// lacks reports whether a peer is not connected and may be tried.
func (d *Discovery) lacks(id peer.ID) bool {
	return id != d.host.ID() && d.host.Network().Connectedness(id) != network.Connected && !d.host.Banned(id)
}

// seek finds a peer's addresses, if they are not known, and connects.
func (d *Discovery) seek(ctx context.Context, id peer.ID) error {
	if !d.due(id) {
		return nil
	}
	info := d.host.Peerstore().PeerInfo(id)
	if len(info.Addrs) == 0 {
		find, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		var err error
		if info, err = d.kad.FindPeer(find, id); err != nil {
			d.failed(id)
			return fmt.Errorf("find %s: %w", id, err)
		}
	}
	return d.connect(ctx, info)
}

func (d *Discovery) attempt(ctx context.Context, info peer.AddrInfo) error {
	if !d.due(info.ID) {
		return nil
	}
	return d.connect(ctx, info)
}

func (d *Discovery) connect(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	if err := d.host.Connect(ctx, info); err != nil {
		d.failed(info.ID)
		// The address may be of a node that has moved: look it up next time.
		d.host.Peerstore().ClearAddrs(info.ID)
		return fmt.Errorf("connect to %s: %w", info.ID, err)
	}
	d.mu.Lock()
	delete(d.tries, info.ID)
	d.mu.Unlock()
	return nil
}

func (d *Discovery) due(id peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tries[id]
	return t == nil || time.Now().After(t.next)
}

// failed puts the next attempt off, twice as long each time, unevenly so that
// nodes that lost each other do not call at once.
func (d *Discovery) failed(id peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tries[id]
	if t == nil {
		t = &try{delay: busyInterval / 2}
		d.tries[id] = t
	}
	t.delay = min(t.delay*3/2, maxBackoff)
	t.next = time.Now().Add(t.delay/2 + rand.N(t.delay))
}

// found connects to peers that mDNS saw.
type found struct {
	ctx context.Context // of Run
	d   *Discovery
}

// HandlePeerFound implements mdns.Notifee.
func (f found) HandlePeerFound(info peer.AddrInfo) {
	if f.d.lacks(info.ID) {
		_ = f.d.attempt(f.ctx, info)
	}
}
