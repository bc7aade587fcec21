package node

import (
	"fmt"
	"path/filepath"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff/driver"
	"github.com/starlingmesh/starling/chain/exec"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/state"
	chainsync "github.com/starlingmesh/starling/chain/sync"
	"github.com/starlingmesh/starling/chain/types"
)

func (n *Node) openEngine(Keys) error {
	root, err := exec.Begin(n.genesis, n.ledger, n.state, n.store)
	if err != nil {
		return err
	}
	tip := root.Block
	n.lastBlock.Store(&lastBlock{height: tip.Height, view: tip.View, hash: tip.Hash(), time: tip.Time})
	n.recallStateCert()
	if n.resumed, err = n.intake.Resume(tip.Height); err != nil {
		return err
	}
	if n.ordering, err = newOrdering(n); err != nil {
		return err
	}
	n.executor = exec.New(n.ledger, n.state, n.store, n.proofs, n.cfg.Store.KeepBlocks, n.checkDisk, n.record, n.ordering.decode, n.executed)
	if n.votes, err = journal.Open(filepath.Join(n.cfg.Home, voteLogDir), journal.Options{Label: n.chain, SegmentBytes: voteSegment, MaxRecord: max(64<<20, int(n.genesis.Params.MaxBlockBytes)+overhead)}); err != nil {
		return fmt.Errorf("vote log: %w", err)
	}
	if err := n.startEngine(root); err != nil {
		return err
	}
	n.syncer = chainsync.New(chainsync.Config{
		Peers: n.mesh, Engine: n.engine, Logger: n.log.With("component", "sync"),
		Backlog:  func() int { return len(n.executor.Pending()) },
		Decided:  func() types.Height { return n.engine.Status().DecidedHeight },
		Patience: patience(n.genesis.Params) / 2,
	})
	n.mesh.want, n.mesh.own, n.mesh.accuse = n.syncer.Want, n.attestations.Own, n.evidence.accuse
	server := &chainsync.Server{
		Store: n.store, Executed: func() types.Height { return types.Height(n.state.Version()) },
		Pending: n.executor.Pending, Undecided: n.engine.Undecided,
	}
	if n.lanes != nil {
		n.lanes.join(n.networkName())
	}
	if n.trust != nil {
		if err := n.trust.joinTrust(n.networkName()); err != nil {
			return err
		}
	}
	in := received{
		leaders:  n.trust == nil,
		proposal: n.ordering.proposal, timeout: n.engine.Timeout, ending: n.engine.Ending, phases: n.genesis.Phases(), vote: n.engine.Vote, attest: n.attestations.Add,
		txs: n.intake.Gossiped, evidence: n.evidence.add, now: func() (types.Epoch, types.View) { s := n.engine.Status(); return s.Epoch, s.View },
		serve: server.Serve, chain: n.chain, params: n.genesis.Params,
	}
	n.spread.join(in)
	return n.mesh.join(n.networkName(), in)
}

// startEngine makes the engine that the genesis names. It does not run yet.
func (n *Node) startEngine(root consensus.Decision) (err error) {
	if n.genesis.Engine == types.EngineRPCA {
		if n.trust, err = newTrust(n, root); err == nil {
			n.engine = n.trust.engine
		}
		return err
	}
	records, err := driver.Replay(n.votes.Replay)
	if err != nil {
		return err
	}
	if n.epochs.doubtful, err = n.doubtful(len(records)); err != nil {
		return err
	}
	core, err := n.epochs.begin(root, records)
	n.epochs.doubtful = false // of later epochs nothing can have been signed before
	if err != nil {
		return err
	}
	if n.genesis.Params.Lanes {
		if n.lanes, err = openLanes(n); err != nil {
			return err
		}
	}
	var network consensus.Network = n.mesh
	if n.intercept != nil {
		network = n.intercept(n.mesh, n.epochs.scheme)
	}
	n.engine = driver.New(driver.Config{
		Core: core, Log: n.votes, Network: network, Chain: n.ordering, Logger: n.log.With("component", "consensus"),
		BlockInterval: n.cfg.Consensus.BlockInterval, IdleInterval: n.cfg.Consensus.EmptyBlockInterval, OnView: n.ordering.viewBegan, Now: n.clock,
		Epochs: n.epochs, OnReassured: n.reassured,
	})
	return nil
}

// record adds to a block's commit what follows from its place in the chain.
func (n *Node) record(d consensus.Decision) ([]state.KV, error) {
	kvs, err := n.epochs.record(d)
	if err != nil || n.lanes == nil {
		return kvs, err
	}
	more, err := n.lanes.record(d)
	return append(kvs, more...), err
}

// recallStateCert takes up the newest state certificate among the last blocks,
// so that proofs can be given right after a restart.
func (n *Node) recallStateCert() {
	tip := n.state.Version()
	for h := tip; h > 0 && h+certsScanned > tip; h-- {
		d, err := exec.Read(h, n.store)
		if err != nil {
			return
		}
		if cert := d.Block.State; cert != nil && n.attestations.Check(cert) == nil {
			n.attestations.Carried(cert)
			return
		}
	}
}
