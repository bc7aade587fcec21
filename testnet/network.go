package testnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/crypto/keystore"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/config"
	"github.com/starlingmesh/starling/node/wallet"
	"github.com/starlingmesh/starling/testnet/netns"
)

// Ports that a network's nodes prefer: node i takes the base plus i, or a free
// one if that is in use.
const (
	apiBase  = 8430
	meshBase = 9430
)

// Network is a running local network.
type Network struct {
	layout *Layout
	nodes  []*member
	links  *netns.Net // nil: all on loopback
	dead   []*member  // killed, and to stay so for now
}

// member is one node of the network, in this process or its own.
type member struct {
	name    string
	config  config.Config
	client  *client.Client
	runner  runner
	address string // full mesh address
}

// runner runs a node once. A node that was stopped or killed gets a new runner.
type runner interface {
	// start returns when the node is set up.
	start(ctx context.Context) error
	// stop ends it cleanly and waits; the error is the node's.
	stop() error
	// ended is closed when the node has ended, for whatever reason.
	ended() <-chan struct{}
}

// waitMost is how long transactions wait: as long as the worst outage of a test, for those
// that come after one which a stopped node holds.
const waitMost = 2 * time.Hour

// tuning is what the nodes' configurations say beside what follows from the layout. The
// zero value suits tests.
type tuning struct {
	laneAfter     time.Duration
	blockInterval time.Duration // 0: the default
	keepBlocks    uint64
	links         *netns.Net // nil: all on loopback
	uplink        int        // Mbit/s; 0 is unknown
}

// place finds out where node i can listen.
func (t tuning) place(i int, taken map[int]bool) (listen []string, api string, err error) {
	if t.links != nil {
		ip := t.links.Address(i)
		return []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", ip, meshBase)}, net.JoinHostPort(ip, strconv.Itoa(apiBase)), nil
	}
	apiPort, err := freePort(apiBase+i, taken)
	if err != nil {
		return nil, "", err
	}
	meshPort, err := freePort(meshBase+i, taken)
	if err != nil {
		return nil, "", err
	}
	return []string{
		fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", meshPort), fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", meshPort),
	}, net.JoinHostPort("127.0.0.1", strconv.Itoa(apiPort)), nil
}

// consensus sets times that the largest block can keep at the speed of a slow disk and
// link.
func (t tuning) consensus(c *config.Consensus, blockBytes uint64) {
	c.EmptyBlockInterval = max(500*time.Millisecond, t.blockInterval)
	c.ViewTimeout = c.EmptyBlockInterval + time.Second + time.Duration(blockBytes>>20-min(blockBytes>>20, 1))*500*time.Millisecond
	c.LaneAfter = t.laneAfter
	if t.blockInterval > 0 {
		c.BlockInterval = t.blockInterval
	}
	c.VoteLogIsNewest = true // all nodes of a copied network would wait for each other
}

// configure writes the configuration of every node: its addresses, and one neighbour to
// join by. Nobody gets a list of all.
func (l *Layout) configure(t tuning) ([]*member, error) {
	n := len(l.Genesis.Validators)
	taken := map[int]bool{}
	members := make([]*member, n)
	for i := range members {
		listen, api, err := t.place(i, taken)
		if err != nil {
			return nil, err
		}
		cfg := config.Default()
		cfg.Home, cfg.Genesis = l.Home(i), "../"+genesisName
		cfg.P2P = config.P2P{Listen: listen, Announce: []string{}, Bootstrap: []string{}, MaxPeers: 2*n + 16}
		cfg.API.Listen = api
		cfg.API.RateLimit = 0
		cfg.API.MaxBodyBytes = 16 << 20
		cfg.Mempool.MaxBytes = max(cfg.Mempool.MaxBytes, 4*int64(l.Genesis.Params.MaxBlockBytes))
		cfg.Mempool.TTL = waitMost
		cfg.Store.KeepBlocks = t.keepBlocks
		cfg.Turbine.Uplink = t.uplink
		t.consensus(&cfg.Consensus, l.Genesis.Params.MaxBlockBytes)
		id, err := peer.Decode(l.Genesis.Validators[i].Identity)
		if err != nil {
			return nil, err
		}
		c, err := client.New("http://" + cfg.API.Listen)
		if err != nil {
			return nil, err
		}
		members[i] = &member{
			name: NodeName(i), config: cfg, client: c,
			address: fmt.Sprintf("%s/p2p/%s", listen[0], id),
		}
	}
	for i, m := range members {
		if n > 1 {
			m.config.P2P.Bootstrap = []string{members[(i+n-1)%n].address}
		}
		path := filepath.Join(m.config.Home, config.FileName)
		if err := os.WriteFile(path, []byte(m.config.TOML()), 0o600); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
	}
	return members, nil
}

// freePort takes the wanted port if it is free for TCP and UDP, else any.
func freePort(want int, taken map[int]bool) (int, error) {
	for _, port := range []int{want, 0, 0, 0, 0} {
		if port != 0 && taken[port] {
			continue
		}
		t, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // closed at once
		if err != nil {
			continue
		}
		got := t.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(got))) //nolint:noctx // closed at once
		_ = t.Close()
		if err != nil || taken[got] {
			continue
		}
		_ = u.Close()
		taken[got] = true
		return got, nil
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// Passphrase protects the wallet of a local network, whose keys everybody may
// know.
const Passphrase = "testnet"

// PassphraseFile holds it, for the commands that ask for one.
func (l *Layout) PassphraseFile() string { return filepath.Join(l.Dir, "passphrase") }

// fillWallet puts the funded accounts into a wallet, with cheap keystore
// parameters: there is nothing to protect.
func (l *Layout) fillWallet() error {
	if err := os.WriteFile(l.PassphraseFile(), []byte(Passphrase+"\n"), 0o600); err != nil {
		return fmt.Errorf("write passphrase: %w", err)
	}
	cfg := config.Config{Home: l.Dir}
	w := wallet.Open(cfg.WalletDir(), keystore.Params{MemoryKiB: 1 << 10, Passes: 1, Lanes: 1})
	for _, a := range append(slices.Clone(l.People()), l.Operators()...) {
		if _, err := w.Account(a.Name); err == nil {
			continue
		}
		key, err := a.Key()
		if err != nil {
			return err
		}
		if _, err := w.ImportKey(a.Name, key, []byte(Passphrase)); err != nil {
			return err
		}
	}
	return nil
}

// inProcess runs a node in this process.
type inProcess struct {
	options node.Options
	node    *node.Node
	cancel  context.CancelFunc
	done    chan struct{}
	err     error
}

func (p *inProcess) start(ctx context.Context) error {
	n, err := node.New(p.options)
	if err != nil {
		return err
	}
	p.node = n
	ctx, p.cancel = context.WithCancel(ctx)
	go func() {
		defer close(p.done)
		p.err = n.Run(ctx)
	}()
	return nil
}

func (p *inProcess) stop() error {
	p.cancel()
	<-p.done
	return p.err
}

func (p *inProcess) ended() <-chan struct{} { return p.done }

func (n *Network) clients() []*client.Client {
	var out []*client.Client
	for _, m := range n.nodes {
		out = append(out, m.client)
	}
	return out
}
