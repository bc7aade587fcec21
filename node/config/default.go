package config

import (
	"path/filepath"
	"time"

	"github.com/adrg/xdg"
)

// Default is the configuration of a node that nobody configured: it joins the
// mesh on a free port and serves its API to this machine only.
func Default() Config {
	return Config{
		Home:    DefaultHome(),
		Genesis: "genesis.json",
		P2P: P2P{
			Listen: []string{
				"/ip4/0.0.0.0/udp/8421/quic-v1", "/ip4/0.0.0.0/tcp/8421", "/ip4/0.0.0.0/tcp/8422/ws",
				"/ip6/::/udp/8421/quic-v1", "/ip6/::/tcp/8421", "/ip6/::/tcp/8422/ws",
			},
			Announce:  []string{},
			Bootstrap: []string{},
			MDNS:      true,
			NAT:       true,
			MaxPeers:  96,
		},
		API: API{
			Listen:       "127.0.0.1:8420",
			CORSOrigins:  []string{},
			MaxBodyBytes: 1 << 20,
			RateLimit:    100,
		},
		Turbine:   Turbine{MinBytes: 64 << 10, MaxMemory: 1 << 30},
		DHT:       DHT{Hold: true, MaxBytes: 4 << 30, OwnerBytes: 256 << 20, PeerRate: 16 << 20, RepairRate: 16 << 20},
		Mempool:   Mempool{MaxTxs: 50_000, MaxBytes: 64 << 20, TTL: 10 * time.Minute},
		Consensus: Consensus{Validate: true, LaneAfter: 300 * time.Millisecond, Trusted: []string{}, ViewTimeout: 2 * time.Second, BlockInterval: 20 * time.Millisecond, EmptyBlockInterval: time.Second},
		Store:     Store{History: 1_000},
		Log:       Log{Level: "info", Format: "human"},
	}
}

// DefaultHome is the folder used without --home: the user's data folder by the
// XDG convention, such as ~/.local/share/starling.
func DefaultHome() string { return filepath.Join(xdg.DataHome, "starling") }
