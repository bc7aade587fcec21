package config

import (
	"path/filepath"
	"time"
)

// Config is everything that can be set on one node. The koanf tag is the key in
// the file, the doc tag the comment that the sample file and the flags show.
//
// A key `max_peers` of the section `[p2p]` is STARLING_P2P_MAX_PEERS in the
// environment and --p2p-max-peers on the command line. Lists are comma-separated
// there. Durations are written as "250ms", "1s", "2m".
type Config struct {
	Home      string    `koanf:"home" doc:"folder that holds keys, ledger and blocks; relative paths below start here"`
	Genesis   string    `koanf:"genesis" doc:"genesis file of the network to join"`
	P2P       P2P       `koanf:"p2p" doc:"the mesh"`
	API       API       `koanf:"api" doc:"the HTTP API"`
	Admin     Admin     `koanf:"admin" doc:"profiling, for the operator alone"`
	Turbine   Turbine   `koanf:"turbine" doc:"how large blocks and batches travel"`
	DHT       DHT       `koanf:"dht" doc:"data that nodes keep for each other"`
	Mempool   Mempool   `koanf:"mempool" doc:"transactions that wait for a block"`
	Consensus Consensus `koanf:"consensus" doc:"taking part in decisions"`
	Store     Store     `koanf:"store" doc:"what is kept on disk"`
	Log       Log       `koanf:"log" doc:"what is printed"`
}

// P2P says how the node meets others.
type P2P struct {
	Listen    []string `koanf:"listen" doc:"multiaddrs to listen on"`
	Announce  []string `koanf:"announce" doc:"multiaddrs to tell others instead of the ones found out, such as behind a load balancer"`
	Bootstrap []string `koanf:"bootstrap" doc:"multiaddrs of nodes to join by, each ending in /p2p/PEER-ID"`
	MDNS      bool     `koanf:"mdns" doc:"find nodes of the same network on the local network"`
	NAT       bool     `koanf:"nat" doc:"ask the router for an open port, and help others to learn whether they are reachable"`
	MaxPeers  int      `koanf:"max_peers" doc:"connections beyond which the least useful are closed"`
}

// API says who may talk to the node over HTTP.
type API struct {
	Listen            string   `koanf:"listen" doc:"host:port; anything but a loopback address lets strangers in"`
	CORSOrigins       []string `koanf:"cors_origins" doc:"web origins whose pages may call the API, such as \"https://wallet.example\"; \"*\" is all"`
	MaxBodyBytes      int64    `koanf:"max_body_bytes" doc:"largest request body, bytes"`
	RateLimit         int      `koanf:"rate_limit" doc:"requests a second from one address, in bursts of twice as many; 0 is no limit"`
	RateLimitLoopback bool     `koanf:"rate_limit_loopback" doc:"apply rate_limit to programs on this machine too"`
}

// Admin is the listener for net/http/pprof.
type Admin struct {
	Listen string `koanf:"listen" doc:"loopback host:port for profiles, such as \"127.0.0.1:6060\"; empty is off"`
}

// Turbine says how large blocks and batches travel between validators.
type Turbine struct {
	MinBytes  int64 `koanf:"min_bytes" doc:"blocks and batches of at least so many bytes go by trees of relays as erasure-coded shreds; smaller ones are gossiped whole"`
	Uplink    int   `koanf:"uplink_mbit" doc:"what this node can send, in Mbit/s; shreds are paced to stay below it. 0 is unknown, and QUIC finds out"`
	MaxMemory int64 `koanf:"max_memory_bytes" doc:"most bytes of payloads on their way, each epoch for itself"`
}

// DHT says what the node keeps for others.
type DHT struct {
	Hold       bool          `koanf:"hold" doc:"take part in the ring and hold records for others; without it the node still reads and writes"`
	MaxBytes   int64         `koanf:"max_bytes" doc:"most bytes of records that are held"`
	OwnerBytes int64         `koanf:"owner_bytes" doc:"most of them that one owner may take"`
	PeerRate   int           `koanf:"peer_bytes_per_second" doc:"most that one peer may write here"`
	RepairRate int           `koanf:"repair_bytes_per_second" doc:"most that is copied to other holders, when some fail or come"`
	Leave      time.Duration `koanf:"leave" doc:"when the node stops, hand what it holds over for so long at most, as one should who goes for good; 0: others notice by themselves"`
}

// Mempool bounds what waits.
type Mempool struct {
	MaxTxs   int           `koanf:"max_txs" doc:"most transactions"`
	MaxBytes int64         `koanf:"max_bytes" doc:"most bytes"`
	TTL      time.Duration `koanf:"ttl" doc:"a transaction that waited so long is dropped"`
}

// Consensus tunes the engine. What all nodes must agree on stands in the
// genesis, not here. Votes always reach the disk before they are sent; there is
// no setting for that.
type Consensus struct {
	Validate           bool          `koanf:"validate" doc:"vote, if this node's key is among the genesis validators"`
	ViewTimeout        time.Duration `koanf:"view_timeout" doc:"wait for a proposal before giving up on its leader; grows while views fail"`
	BlockInterval      time.Duration `koanf:"block_interval" doc:"a leader waits at least so long after the block before: more makes larger blocks, less a faster commit"`
	VoteLogIsNewest    bool          `koanf:"vote_log_is_newest" doc:"sign at once although the home was copied or restored. Only if no other copy of it can have run since: else the validator contradicts itself and is slashed"`
	LaneAfter          time.Duration `koanf:"lane_after" doc:"under load, ship transactions in the own lane once decisions take so long; 0 is always. While blocks spread faster than this their leaders can as well carry them"`
	Trusted            []string      `koanf:"trusted" doc:"rpca only: names or identities of the validators that this node trusts; empty is all of the genesis"`
	AllowOverlap       bool          `koanf:"allow_overlap" doc:"rpca only: start even if the trusted list shares less than 90% with another's; the network may then fork"`
	EmptyBlockInterval time.Duration `koanf:"empty_block_interval" doc:"a leader without transactions waits so long before it proposes an empty block; must be below view_timeout"`
}

// Store says what is kept.
type Store struct {
	History    int    `koanf:"history" doc:"past states that can still be asked for and proven"`
	KeepBlocks uint64 `koanf:"keep_blocks" doc:"newest blocks to keep; 0 is all"`
}

// Log says what is printed to standard error.
type Log struct {
	Level  string `koanf:"level" doc:"debug, info, warn or error"`
	Format string `koanf:"format" doc:"human or json"`
}

// Path resolves a path of the configuration: relative ones start at Home.
func (c *Config) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Home, p)
}

// GenesisPath is where the genesis file is.
func (c *Config) GenesisPath() string { return c.Path(c.Genesis) }

// WalletDir is where the accounts of the wallet are.
func (c *Config) WalletDir() string { return filepath.Join(c.Home, "wallet") }

// FileName is the configuration file's name inside Home.
const FileName = "config.toml"
