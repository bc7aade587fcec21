package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/multiformats/go-multiaddr"
)

// Validate reports everything that is wrong with the values, at once. It looks
// at nothing outside the configuration.
func (c *Config) Validate() error {
	var v faults
	v.check(c.Home != "", "home", "must name a folder")
	v.check(c.Genesis != "", "genesis", "must name a file")

	v.multiaddrs("p2p.listen", c.P2P.Listen, false)
	v.multiaddrs("p2p.announce", c.P2P.Announce, false)
	v.multiaddrs("p2p.bootstrap", c.P2P.Bootstrap, true)
	v.within("p2p.max_peers", int64(c.P2P.MaxPeers), 4, 10_000)

	v.hostPort("api.listen", c.API.Listen)
	v.origins("api.cors_origins", c.API.CORSOrigins)
	v.within("api.max_body_bytes", c.API.MaxBodyBytes, 64<<10, 64<<20)
	v.within("api.rate_limit", int64(c.API.RateLimit), 0, 1_000_000)
	if c.Admin.Listen != "" {
		v.hostPort("admin.listen", c.Admin.Listen)
		v.check(IsLoopback(c.Admin.Listen), "admin.listen", "%s is open to others: profiles show memory, so only a loopback address such as 127.0.0.1:6060 is taken", c.Admin.Listen)
	}

	v.within("turbine.min_bytes", c.Turbine.MinBytes, 1, 4<<20)
	v.within("turbine.uplink_mbit", int64(c.Turbine.Uplink), 0, 1_000_000)
	v.within("turbine.max_memory_bytes", c.Turbine.MaxMemory, 64<<20, 1<<40)
	v.within("dht.max_bytes", c.DHT.MaxBytes, 1<<20, 1<<40)
	v.within("dht.owner_bytes", c.DHT.OwnerBytes, 64<<10, c.DHT.MaxBytes)
	v.within("dht.peer_bytes_per_second", int64(c.DHT.PeerRate), 64<<10, 1<<30)
	v.within("dht.repair_bytes_per_second", int64(c.DHT.RepairRate), 64<<10, 1<<30)
	v.check(c.DHT.Leave >= 0 && c.DHT.Leave <= 10*time.Minute, "dht.leave", "%s: want 0 to 10 minutes", c.DHT.Leave)
	v.within("mempool.max_txs", int64(c.Mempool.MaxTxs), 1, 10_000_000)
	v.within("mempool.max_bytes", c.Mempool.MaxBytes, 1<<20, 16<<30)
	v.check(c.Mempool.TTL > 0, "mempool.ttl", "%s: must be more than 0", c.Mempool.TTL)

	v.check(c.Consensus.ViewTimeout > 0, "consensus.view_timeout", "%s: must be more than 0", c.Consensus.ViewTimeout)
	v.check(c.Consensus.LaneAfter >= 0, "consensus.lane_after", "%s: must be at least 0", c.Consensus.LaneAfter)
	v.check(c.Consensus.BlockInterval >= 0 && c.Consensus.BlockInterval <= c.Consensus.EmptyBlockInterval,
		"consensus.block_interval", "%s: must be at least 0 and at most empty_block_interval (%s)", c.Consensus.BlockInterval, c.Consensus.EmptyBlockInterval)
	v.check(c.Consensus.EmptyBlockInterval >= 0 && c.Consensus.EmptyBlockInterval < c.Consensus.ViewTimeout,
		"consensus.empty_block_interval", "%s: must be at least 0 and below view_timeout (%s), or every idle view times out",
		c.Consensus.EmptyBlockInterval, c.Consensus.ViewTimeout)

	v.within("store.history", int64(c.Store.History), 1, 1_000_000_000)
	v.check(c.Store.KeepBlocks == 0 || c.Store.KeepBlocks >= 100, "store.keep_blocks", "%d: want 0 (all) or at least 100, so that peers can catch up from this node", c.Store.KeepBlocks)

	v.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", c.Log.Format, "human", "json")
	return errors.Join(v...)
}

// IsLoopback reports whether a host:port is reachable from this machine only.
func IsLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// faults collects what is wrong.
type faults []error

func (v *faults) check(ok bool, key, format string, args ...any) {
	if !ok {
		*v = append(*v, fmt.Errorf(key+": "+format, args...))
	}
}

func (v *faults) within(key string, n, lo, hi int64) {
	v.check(n >= lo && n <= hi, key, "%d: want %d to %d", n, lo, hi)
}

func (v *faults) oneOf(key, value string, choices ...string) {
	v.check(slices.Contains(choices, value), key, "%q: want %s%s", value, strings.Join(choices, ", "), suggest(value, choices))
}

func (v *faults) hostPort(key, value string) {
	host, port, err := net.SplitHostPort(value)
	n, portErr := strconv.Atoi(port)
	v.check(err == nil && portErr == nil && n >= 0 && n < 1<<16 && !strings.ContainsAny(host, " /"),
		key, "%q: want host:port, such as 127.0.0.1:8420 (port 0 picks a free one)", value)
}

func (v *faults) multiaddrs(key string, values []string, withPeer bool) {
	for _, value := range values {
		m, err := multiaddr.NewMultiaddr(value)
		if err != nil {
			v.check(false, key, "%q is no multiaddr, such as /ip4/0.0.0.0/tcp/8421: %w", value, err)
			continue
		}
		_, peerErr := m.ValueForProtocol(multiaddr.P_P2P)
		v.check(!withPeer || peerErr == nil, key, "%s must end in /p2p/ and the node's peer id, which `starling status` shows there", value)
	}
}

func (v *faults) origins(key string, values []string) {
	for _, value := range values {
		if value == "*" {
			continue
		}
		u, err := url.Parse(value)
		v.check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Path == "" && u.RawQuery == "",
			key, "%q: want an origin such as https://wallet.example, without a path", value)
	}
}
