package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/exec"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/mempool"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	chainsync "github.com/starlingmesh/starling/chain/sync"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/net/gossip"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/config"
	"github.com/starlingmesh/starling/node/events"
)

// Options are what a node is made of.
type Options struct {
	Config  config.Config
	Genesis *types.Genesis
	Keys    Keys
	Version string
	Log     *slog.Logger
	// Clock is what the node takes for the time in consensus; nil is time.Now.
	Clock func() time.Time
	// Intercept, if set, stands between the engine and the mesh, to show what the
	// others do about a validator that lies. scheme signs with the node's keys; it
	// returns nil for an epoch in which the node is no validator.
	Intercept func(mesh consensus.Network, scheme func(types.Epoch) consensus.Scheme) consensus.Network
}

// Node is one running participant. Its methods are safe for concurrent use.
type Node struct {
	cfg       config.Config
	clock     func() time.Time
	intercept func(consensus.Network, func(types.Epoch) consensus.Scheme) consensus.Network
	genesis   *types.Genesis
	chain     hash.Hash
	version   string
	log       *slog.Logger
	started   time.Time

	hub     *events.Hub
	metrics *metrics
	waiters waiters

	db           *state.DB
	state        *state.State
	store        *store.Store
	ledger       *ledger.Ledger
	intake       *mempool.Intake
	proofs       *confidential.Verifier
	executor     *exec.Executor
	epochs       *epochs
	evidence     *evidencePool
	attestations *consensus.Attestations
	votes        *journal.Journal
	ordering     *ordering
	engine       consensus.Engine
	trust        *trust   // nil unless the engine is RPCA
	lanes        *laneNet // nil if the network has none
	host         *p2p.Host
	spread       *spreading // large proposals and batches
	mesh         *mesh
	syncer       *chainsync.Syncer
	data         *dataStore // records that nodes keep for each other
	resumed      [][]byte   // transactions accepted before a restart, to be gossiped again
	api          *api.Server

	lastBlock  atomic.Pointer[lastBlock]
	halted     atomic.Pointer[error]
	engineCtx  context.Context // of engine, executor and syncer; ended by a halt too
	stopEngine context.CancelFunc
	closeOnce  sync.Once
	closeErr   error
}

type lastBlock struct {
	height types.Height
	view   types.View
	hash   hash.Hash
	time   int64
	txs    int // executed since the start
}

// New opens the disk, the network and the API, and restores where the node
// stopped. Nothing moves before Run. A node that New returned must be run or
// closed.
func New(o Options) (_ *Node, err error) {
	if err := errors.Join(o.Config.Validate(), o.Genesis.Validate()); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Config.Home, 0o700); err != nil {
		return nil, fmt.Errorf("make home: %w", err)
	}
	n := &Node{
		cfg: o.Config, clock: o.Clock, intercept: o.Intercept, genesis: o.Genesis, chain: o.Genesis.ChainID(), version: o.Version, log: o.Log, started: time.Now(),
		hub: events.NewHub(eventsKept), metrics: newMetrics(),
	}
	n.engineCtx, n.stopEngine = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	for _, open := range []func(Keys) error{
		n.openChain,   // database, state, store, ledger
		n.openEpochs,  // who validates when, and whether this node does
		n.openMempool, // transactions that wait, with their journal
		n.openMesh,    // host, discovery, gossip, streams
		n.openEngine,  // vote log, consensus, execution, sync
		n.openData,    // records that nodes keep for each other
		n.openAPI,
	} {
		if err := open(o.Keys); err != nil {
			return nil, err
		}
	}
	n.metrics.watch(n)
	return n, nil
}

const (
	eventsKept   = 4096
	voteLogDir   = "votes"
	mempoolDir   = "mempool"
	databaseDir  = "chain"
	voteSegment  = 64 << 20
	certsScanned = 64 // newest blocks searched for a state certificate at the start
)

func (n *Node) openChain(Keys) error {
	var err error
	if n.db, err = state.OpenDB(filepath.Join(n.cfg.Home, databaseDir), state.DBOptions{}); err != nil {
		return err
	}
	if n.state, err = state.Open(n.db, state.Options{Chain: n.chain[:], History: n.cfg.Store.History}); err != nil {
		return err
	}
	n.store = store.New(n.state)
	n.ledger = ledger.New(n.genesis)
	return nil
}

func (n *Node) openEpochs(k Keys) error {
	n.epochs = newEpochs(n, k)
	n.attestations = consensus.NewAttestations(n.chain, n.epochs)
	n.evidence = newEvidencePool(n)
	_, err := n.epochs.at(n.genesis.Params.EpochOf(types.Height(n.state.Version() + 1)))
	return err
}

func (n *Node) openMempool(Keys) error {
	log, err := journal.Open(filepath.Join(n.cfg.Home, mempoolDir), journal.Options{Label: n.chain})
	if err != nil {
		return err
	}
	if n.proofs, err = confidential.NewVerifier(); err != nil {
		return errors.Join(err, log.Close())
	}
	n.intake, err = mempool.NewIntake(mempool.IntakeConfig{
		Pool:    mempool.Config{MaxTxs: n.cfg.Mempool.MaxTxs, MaxBytes: n.cfg.Mempool.MaxBytes, TTL: n.cfg.Mempool.TTL},
		Ledger:  n.ledger,
		State:   n.state,
		Proofs:  n.proofs,
		Journal: log,
		Publish: func(raws [][]byte) { n.mesh.publishTxs(raws) },
		Defer:   n.deferGossip,
		Logger:  n.log.With("component", "mempool"),
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	return nil
}

const (
	// largeTx is the size from which on a validator keeps its users' transactions for
	// its own blocks and batches: gossiped, they would travel many times over.
	largeTx = 8 << 10
	// largeTxGrace is how long its turn may be in coming.
	largeTxGrace = 30 * time.Second
)

// deferGossip is how long a transaction of a size waits before it is gossiped.
func (n *Node) deferGossip(size int) time.Duration {
	if size < largeTx || n.trust != nil || n.epochs.present().self == nil {
		return 0
	}
	return largeTxGrace
}

func (n *Node) openMesh(k Keys) error {
	cfg := p2p.Default()
	cfg.Identity, cfg.Listen, cfg.Announce, cfg.NAT = k.Identity, n.cfg.P2P.Listen, n.cfg.P2P.Announce, n.cfg.P2P.NAT
	cfg.High = n.cfg.P2P.MaxPeers
	cfg.Low = max(1, cfg.High*2/3)
	cfg.UserAgent = "starling/" + n.version
	log := n.log.With("component", "mesh")
	m := &mesh{log: log, epochs: n.epochs}
	n.mesh = m
	var err error
	if n.host, err = p2p.New(cfg, log); err != nil {
		return err
	}
	m.host = n.host
	if n.spread, err = newSpreading(n, k.Identity); err != nil {
		return err
	}
	m.spread = n.spread
	for _, id := range n.epochs.present().peers {
		n.host.Protect(id, "validator")
	}
	network := n.networkName()
	if m.discovery, err = dht.New(n.host, dht.Config{
		Network: network, Bootstrap: n.cfg.P2P.Bootstrap, MDNS: n.cfg.P2P.MDNS, MinPeers: 8,
		Wanted: func() []peer.ID { return n.epochs.present().peers },
	}, log); err != nil {
		return err
	}
	m.gossip, err = gossip.New(n.host, gossip.Config{Network: network, MaxMessage: maxGossip}, log)
	return err
}

// networkName is what protocols and topics are named after.
func (n *Node) networkName() string { return types.MeshName(n.genesis.Network, n.chain) }

func (n *Node) openAPI(Keys) error {
	var err error
	n.api, err = api.New(api.Config{API: n.cfg.API, Version: n.version, Metrics: n.metrics.registry}, backend{n}, n.log.With("component", "api"))
	if err != nil {
		return err
	}
	return n.api.Listen()
}

// Run works until ctx ends or the node cannot go on, and then closes everything.
// A node that had to stop voting (see [Node.Halted]) keeps serving.
func (n *Node) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	engineCtx := n.engineCtx
	stop := context.AfterFunc(ctx, n.stopEngine)
	defer stop()
	group.Go(func() error { return n.intake.Run(ctx) })
	group.Go(func() error { return n.mesh.run(ctx) })
	group.Go(func() error { return n.spread.run(ctx) })
	group.Go(func() error { return n.mesh.discovery.Run(ctx) })
	group.Go(func() error { return n.mesh.watchDeafness(ctx) })
	group.Go(func() error { return n.syncer.Run(engineCtx) })
	group.Go(func() error { return n.orHalt(n.executor.Run(engineCtx)) })
	if n.lanes != nil {
		group.Go(func() error { return n.orHalt(n.lanes.driver.Run(engineCtx)) })
		stopWaiting := context.AfterFunc(engineCtx, n.lanes.cancel) // the executor may be waiting for batches
		defer stopWaiting()
	}
	group.Go(func() error {
		n.awaitQuorum(engineCtx)
		if n.trust != nil {
			n.trust.begun.Store(true)
		}
		return n.orHalt(n.engine.Run(engineCtx))
	})
	group.Go(func() error { return n.data.driver.Run(ctx) })
	group.Go(func() error { return n.api.Serve(ctx) })
	group.Go(func() error { return n.watchPeers(ctx) })
	group.Go(func() error { return n.regossip(ctx) })
	if n.cfg.Admin.Listen != "" {
		group.Go(func() error { return api.ServeDebug(ctx, n.cfg.Admin.Listen, n.log) })
	}
	return errors.Join(group.Wait(), n.Close())
}

// orHalt turns the failure of the engine or the executor into a halt: others may
// still read from this node, and must be told why it is of no more use.
func (n *Node) orHalt(err error) error {
	if err != nil {
		n.halt(err)
	}
	return nil
}

// halt stops voting and executing for good and says so loudly.
func (n *Node) halt(err error) {
	if n.halted.CompareAndSwap(nil, &err) {
		n.log.Error("THIS NODE HAS STOPPED VOTING", "error", err)
		n.stopEngine()
	}
}

// Halted returns why the node stopped voting, nil if it did not.
func (n *Node) Halted() error {
	if err := n.halted.Load(); err != nil {
		return *err
	}
	return nil
}

// quorumPatience is how long the engine waits for others before it begins, and
// loses views for nothing, all the same.
const quorumPatience = 3 * time.Second

// awaitQuorum waits until a quorum of the validators is connected.
func (n *Node) awaitQuorum(ctx context.Context) {
	patience := time.NewTimer(quorumPatience)
	defer patience.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var power uint64
		for i, v := range (backend{n}).Validators() {
			if v.Connected && (v.Self || slices.Contains(n.mesh.txs.Peers(), n.epochs.present().peers[i])) {
				power += v.Power
			}
		}
		if power >= n.epochs.present().Set().Quorum() {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-patience.C:
			return
		case <-tick.C:
		}
	}
}

// regossip sends the transactions that were accepted before a restart once
// somebody is there to hear.
func (n *Node) regossip(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for len(n.resumed) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if len(n.mesh.txs.Peers()) > 0 {
				n.mesh.publishTxs(n.resumed)
				return nil
			}
		}
	}
	return nil
}

func (n *Node) watchPeers(ctx context.Context) error {
	changes := n.host.Changes()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-changes:
			n.hub.Publish(events.Peer{ID: c.ID.String(), Connected: c.Connected, Connections: c.Connections})
		}
	}
}

// Close releases everything that New opened. Run calls it.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		n.stopEngine()
		var errs []error
		if n.api != nil {
			if err := n.api.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		if n.lanes != nil {
			errs = append(errs, n.lanes.close())
		}
		if n.spread != nil {
			n.spread.close()
		}
		if n.trust != nil && n.trust.stopServing != nil {
			n.trust.stopServing()
		}
		if n.data != nil {
			errs = append(errs, n.data.close())
		}
		if n.mesh != nil {
			errs = append(errs, n.mesh.close())
		}
		if n.intake != nil {
			errs = append(errs, n.intake.Close())
		}
		if n.votes != nil {
			errs = append(errs, n.votes.Close())
		}
		if n.db != nil {
			errs = append(errs, n.db.Close())
		}
		n.closeErr = errors.Join(errs...)
	})
	return n.closeErr
}

// Host is the node's place in the mesh.
func (n *Node) Host() *p2p.Host { return n.host }

// Executed is the height of the newest executed block, and how many transactions
// were executed since the start.
func (n *Node) Executed() (height types.Height, txs int) {
	last := n.lastBlock.Load()
	return last.height, last.txs
}

// Backend is what the API serves, for callers in the same process.
func (n *Node) Backend() api.Backend { return backend{n} }

// APIAddr is where the API listens, host:port.
func (n *Node) APIAddr() string { return n.api.Addr() }
