// Package apitest is a network of one, in memory: a backend for the API that
// decides every transaction at once, without consensus, signatures or disk.
//
// Look at [Chain] first. Tests of whatever talks to the API use it: wallet,
// client, command line. It must never be part of a running node.
package apitest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/config"
	"github.com/starlingmesh/starling/node/events"
)

// Prefix begins the addresses of the network.
const Prefix = "tst"

// Created is the time of the genesis block; block n is n seconds later.
const Created = 1_700_000_000_000

// Chain is the backend. It is safe for concurrent use.
type Chain struct {
	genesis *types.Genesis
	hub     *events.Hub

	mu       sync.Mutex
	held     bool
	blocks   []api.BlockRecord
	accounts map[types.Address]*account
	txs      map[hash.Hash]api.TxRecord
	waiting  []*types.Tx
	changed  chan struct{} // closed when txs changes
}

type account struct {
	balance  types.Drops
	sequence uint64
}

// New makes a chain with a genesis block and funded accounts.
func New(funds map[types.Address]types.Drops) *Chain {
	c := &Chain{
		genesis: &types.Genesis{
			Network: "testnet", AddressPrefix: Prefix, Created: Created, Engine: "hotstuff", Rule: "three-phase", Params: types.DefaultParams(),
			Validators: []types.Validator{{Name: "ada", Power: 1, Key: []byte{1}, Identity: "ada-peer"}},
		},
		hub:      events.NewHub(events.DefaultSize),
		accounts: map[types.Address]*account{}, txs: map[hash.Hash]api.TxRecord{}, changed: make(chan struct{}),
	}
	for a, balance := range funds {
		c.accounts[a] = &account{balance: balance}
	}
	c.blocks = []api.BlockRecord{{Block: c.genesis.Block()}}
	return c
}

// Serve runs the API over the chain until the test ends and returns its URL.
func (c *Chain) Serve(t testing.TB) string {
	t.Helper()
	cfg := api.Config{API: config.Default().API, Version: "v0.0.0-test"}
	s, err := api.New(cfg, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		_ = s.Close() // ends streams and waits; nothing was listened on
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

// Fund gives an account coins from nowhere.
func (c *Chain) Fund(a types.Address, d types.Drops) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accounts[a] == nil {
		c.accounts[a] = &account{}
	}
	c.accounts[a].balance += d
}

// Hold keeps transactions waiting until [Chain.Release].
func (c *Chain) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// Release decides what waits, and everything after it at once.
func (c *Chain) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	c.decide()
}

// Submit implements [api.Submitter].
func (c *Chain) Submit(_ context.Context, raw []byte) (hash.Hash, error) {
	tx, err := types.DecodeTx(raw)
	if err != nil {
		return hash.Hash{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.txs[tx.ID()]; known {
		return tx.ID(), nil
	}
	switch next := c.nextSequence(tx.Sender()); {
	case tx.Chain != c.genesis.ChainID():
		return tx.ID(), &api.Rejection{Code: "wrong-chain", Reason: "the transaction is for another network"}
	case c.accounts[tx.Sender()] == nil:
		return tx.ID(), &api.Rejection{Code: "no-account", Reason: "the sender has no account yet: send it some coins first"}
	case tx.Sequence < next:
		return tx.ID(), &api.Rejection{Code: "sequence-past", Reason: "another transaction took this sequence number: sign again"}
	case tx.Sequence > next:
		return tx.ID(), &api.Rejection{Code: "sequence-future", Reason: "transactions before this one are missing"}
	}
	c.txs[tx.ID()] = api.TxRecord{ID: tx.ID(), Status: api.TxPending, Tx: tx}
	c.waiting = append(c.waiting, tx)
	c.hub.Publish(events.Transaction{ID: tx.ID(), Status: string(api.TxPending)})
	if !c.held {
		c.decide()
	}
	return tx.ID(), nil
}

// SubmitMany implements [api.Submitter].
func (c *Chain) SubmitMany(ctx context.Context, raws [][]byte) (out []api.SubmitResult) {
	for _, raw := range raws {
		id, err := c.Submit(ctx, raw)
		out = append(out, api.SubmitResult{ID: id, Err: err})
	}
	return out
}

// Wait implements [api.Submitter].
func (c *Chain) Wait(ctx context.Context, id hash.Hash) (api.TxRecord, error) {
	for {
		c.mu.Lock()
		rec, changed := c.txs[id], c.changed
		c.mu.Unlock()
		if rec.Status != api.TxPending {
			return rec, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return rec, ctx.Err()
		}
	}
}

// nextSequence counts what waits. The caller holds the lock.
func (c *Chain) nextSequence(a types.Address) uint64 {
	var n uint64
	if acc := c.accounts[a]; acc != nil {
		n = acc.sequence
	}
	for _, tx := range c.waiting {
		if tx.Sender() == a {
			n++
		}
	}
	return n
}

// decide makes a block of what waits. The caller holds the lock.
func (c *Chain) decide() {
	if len(c.waiting) == 0 {
		return
	}
	var rec api.BlockRecord
	raws := make([][]byte, 0, len(c.waiting))
	for _, tx := range c.waiting {
		raws = append(raws, tx.Raw())
		rec.Results = append(rec.Results, c.apply(tx))
	}
	parent := c.blocks[len(c.blocks)-1].Block
	rec.Block, _ = types.NewBlock(types.BlockHeader{ // cannot fail: the signer below does not
		Chain: c.genesis.ChainID(), Height: parent.Height + 1, View: parent.View + 1, Time: parent.Time + 1000,
		Justify: types.QC{View: parent.View, Block: parent.Hash(), Signers: []byte{}, Signature: []byte{}},
	}, raws, func(hash.Hash) ([]byte, error) { return []byte{}, nil })
	rec.Txs = raws
	rec.Certificate = types.QC{View: rec.Block.View, Block: rec.Block.Hash(), Signers: bls.Bitmap{1}, Signature: []byte{7}}
	rec.StateRoot = hash.Sum("apitest/state", rec.Block.Raw())
	at := time.UnixMilli(rec.Block.Time)
	rec.Passage = api.Passage{Prepare: at, Precommit: at.Add(40 * time.Millisecond), Commit: at.Add(81 * time.Millisecond), Decide: at.Add(120 * time.Millisecond)}
	for i, tx := range c.waiting {
		c.txs[tx.ID()] = api.TxRecord{
			ID: tx.ID(), Status: api.TxDecided, Tx: tx, Height: rec.Block.Height, Block: rec.Block.Hash(), Index: i, Result: rec.Results[i],
		}
	}
	c.blocks = append(c.blocks, rec)
	c.waiting = nil
	close(c.changed)
	c.changed = make(chan struct{})
	c.hub.Publish(events.Block{Height: uint64(rec.Block.Height), Hash: rec.Block.Hash(), View: uint64(rec.Block.View), Proposer: "ada", Txs: len(raws), Time: at.UTC(), DecideMS: 120})
}

// apply moves the money, or only the fee. The caller holds the lock.
func (c *Chain) apply(tx *types.Tx) api.Result {
	from := c.accounts[tx.Sender()]
	from.sequence++
	from.balance -= min(from.balance, tx.Fee)
	res := api.Result{ID: tx.ID(), Success: true, Code: "applied", Fee: tx.Fee}
	pay := tx.Body.(*types.Payment)
	to := c.accounts[pay.To]
	switch {
	case from.balance < pay.Amount:
		res.Success, res.Code = false, "underfunded"
		return res
	case to == nil && pay.Amount < c.genesis.Params.Reserve:
		res.Success, res.Code = false, "destination-below-reserve"
		return res
	case to == nil:
		to = &account{}
		c.accounts[pay.To] = to
	}
	from.balance -= pay.Amount
	to.balance += pay.Amount
	return res
}

var _ api.Backend = (*Chain)(nil)

// Status implements [api.Node].
func (c *Chain) Status() api.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.blocks[len(c.blocks)-1]
	return api.Status{
		PeerID: "ada-peer", Addresses: []string{"/ip4/127.0.0.1/tcp/8421/p2p/ada-peer"}, Validator: "ada",
		Height: uint64(head.Block.Height), Head: head.Block.Hash(), HeadTime: time.UnixMilli(head.Block.Time).UTC(), View: uint64(head.Block.View),
		StateHeight: uint64(head.Block.Height), StateRoot: head.StateRoot, MempoolTxs: len(c.waiting), Started: time.UnixMilli(Created).UTC(),
	}
}

// Health implements [api.Node].
func (c *Chain) Health() api.Health { return api.Health{Live: true, Ready: true} }

// Peers implements [api.Node].
func (c *Chain) Peers() []api.Peer {
	return []api.Peer{{ID: "bob-peer", Address: "/ip4/10.0.0.2/tcp/8421", Inbound: true, Validator: "bob", LatencyMS: 1.25, Since: time.UnixMilli(Created).UTC()}}
}

// Validators implements [api.Node].
func (c *Chain) Validators() []api.Validator {
	return []api.Validator{{Name: "ada", Power: 1, Identity: "ada-peer", Key: "01", Self: true, Connected: true, Leader: true}}
}

// Genesis implements [api.Node].
func (c *Chain) Genesis() *types.Genesis { return c.genesis }

// Events implements [api.Node].
func (c *Chain) Events() *events.Hub { return c.hub }

// Block implements [api.Ledger].
func (c *Chain) Block(_ context.Context, ref api.BlockRef) (api.BlockRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ref.Latest {
		return c.blocks[len(c.blocks)-1], nil
	}
	for _, rec := range c.blocks {
		if rec.Block.Hash() == ref.Hash || ref.Hash.IsZero() && rec.Block.Height == ref.Height {
			return rec, nil
		}
	}
	return api.BlockRecord{}, api.ErrNotFound
}

// Blocks implements [api.Ledger].
func (c *Chain) Blocks(_ context.Context, before types.Height, limit int) ([]api.BlockRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := len(c.blocks)
	if before > 0 {
		end = min(end, int(before))
	}
	out := slices.Clone(c.blocks[max(0, end-limit):end])
	slices.Reverse(out)
	return out, nil
}

// Account implements [api.Ledger].
func (c *Chain) Account(_ context.Context, a types.Address) (api.AccountRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec := api.AccountRecord{Height: c.blocks[len(c.blocks)-1].Block.Height, NextSequence: c.nextSequence(a)}
	if acc := c.accounts[a]; acc != nil {
		rec.Exists, rec.Balance, rec.Sequence = true, acc.balance, acc.sequence
	}
	return rec, nil
}

// Tx implements [api.Ledger].
func (c *Chain) Tx(_ context.Context, id hash.Hash) (api.TxRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec, ok := c.txs[id]
	if !ok {
		return rec, api.ErrNotFound
	}
	return rec, nil
}

// EpochEnd implements [api.Ledger]: the only epoch never ends.
func (c *Chain) EpochEnd(context.Context, types.Epoch) ([]byte, error) { return nil, api.ErrNotFound }

// Proof implements [api.Ledger]. The bundle proves nothing.
func (c *Chain) Proof(ctx context.Context, a types.Address) (api.ProofRecord, error) {
	acc, err := c.Account(ctx, a)
	return api.ProofRecord{AccountRecord: acc, Root: hash.Sum("apitest/root"), Bundle: []byte("no proof")}, err
}
