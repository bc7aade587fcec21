// Package apitest is a network of one, in memory: a backend for the API that
// decides every transaction at once by the rules of the ledger, without consensus,
// checks of signatures, or disk.
//
// Look at [Chain] first. Tests of whatever talks to the API use it: wallet,
// client, command line. It must never be part of a running node.
package apitest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht/store/storetest"
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
	ledger  *ledger.Ledger

	mu      sync.Mutex
	held    bool
	state   memory
	blocks  []api.BlockRecord
	txs     map[hash.Hash]api.TxRecord
	waiting []*types.Tx
	changed chan struct{} // closed when txs changes
	data    *storetest.Alone
}

// memory is the state.
type memory map[string][]byte

// Get implements [ledger.Reader].
func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m memory) apply(changes []state.Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(m, string(c.Key))
		} else {
			m[string(c.Key)] = c.Value
		}
	}
}

// The rules of stake, as far as they are not the default ones.
const (
	EpochBlocks = 10
	MinBond     = 100 * types.DropsPerCoin
)

// New makes a chain with a genesis block and funded accounts. Its validator is
// ada, who bonded 1,000 coins.
func New(funds map[types.Address]types.Drops) *Chain {
	g := &types.Genesis{
		Network: "testnet", AddressPrefix: Prefix, Created: Created, Engine: "hotstuff", Rule: "three-phase", Params: types.DefaultParams(),
		Validators: []types.Validator{ada()},
	}
	g.Params.EpochBlocks, g.Params.Staking.MinBond = EpochBlocks, MinBond
	for a, balance := range funds {
		g.Accounts = append(g.Accounts, types.GenesisAccount{Address: a.Format(Prefix), Balance: balance})
	}
	slices.SortFunc(g.Accounts, func(a, b types.GenesisAccount) int { return strings.Compare(a.Address, b.Address) })
	c := &Chain{
		genesis: g, hub: events.NewHub(events.DefaultSize), ledger: ledger.New(g), state: memory{},
		txs: map[hash.Hash]api.TxRecord{}, changed: make(chan struct{}),
	}
	if err := g.Validate(); err != nil {
		panic(err) // a mistake in the test
	}
	c.data = storetest.New(types.MeshName(g.Network, g.ChainID()))
	changes, err := c.ledger.GenesisChanges()
	if err != nil {
		panic(err)
	}
	c.state.apply(changes)
	c.blocks = []api.BlockRecord{{Block: g.Block()}}
	return c
}

// ada is the validator; her keys are always the same.
func ada() types.Validator {
	seed := bytes.Repeat([]byte{1}, 64)
	vote, err := bls.Generate(bytes.NewReader(seed))
	if err != nil {
		panic(err)
	}
	identity, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed))
	if err != nil {
		panic(err)
	}
	id, err := peer.IDFromPrivateKey(identity)
	if err != nil {
		panic(err)
	}
	bond, proof := 1000*types.DropsPerCoin, vote.Prove()
	return types.Validator{
		Name: "ada", Power: types.PowerOf(bond), Key: vote.Public().Bytes(), Possession: proof[:], Identity: id.String(),
		Operator: types.AddressOf([]byte("ada")).Format(Prefix), Bond: bond,
	}
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
	if _, anonymous := tx.Body.(types.Anonymous); anonymous {
		if _, err := ledger.AccountOf(c.state, tx); err != nil {
			return tx.ID(), &api.Rejection{Code: "image-spent", Reason: err.Error()}
		}
		if err := confidential.One(c.state, tx, c.tip()+1); err != nil {
			return tx.ID(), &api.Rejection{Code: "proof-invalid", Reason: err.Error()}
		}
		return c.take(tx), nil
	}
	switch next := c.nextSequence(tx.Sender()); {
	case tx.Chain != c.genesis.ChainID():
		return tx.ID(), &api.Rejection{Code: "wrong-chain", Reason: "the transaction is for another network"}
	case c.state[string(types.AccountKey(tx.Sender()))] == nil:
		return tx.ID(), &api.Rejection{Code: "no-account", Reason: "the sender has no account yet: send it some coins first"}
	case !c.signs(tx):
		return tx.ID(), &api.Rejection{Code: "not-signer", Reason: ledger.ErrNotSigner.Error()}
	case tx.Sequence < next:
		return tx.ID(), &api.Rejection{Code: "sequence-past", Reason: "another transaction took this sequence number: sign again"}
	case tx.Sequence > next:
		return tx.ID(), &api.Rejection{Code: "sequence-future", Reason: "transactions before this one are missing"}
	}
	return c.take(tx), nil
}

// signs reports whether the transaction's key signs for its sender, and did. The caller holds the lock.
func (c *Chain) signs(tx *types.Tx) bool {
	account, err := ledger.ReadAccount(c.state, tx.Sender())
	key, wrong := keys.ParsePublicKey(tx.Key)
	id := tx.ID()
	return err == nil && wrong == nil && account.Signs(tx) && key.Verify(id[:], tx.Signature)
}

// take has a transaction wait, and decides. The caller holds the lock.
func (c *Chain) take(tx *types.Tx) hash.Hash {
	c.txs[tx.ID()] = api.TxRecord{ID: tx.ID(), Status: api.TxPending, Tx: tx}
	c.waiting = append(c.waiting, tx)
	c.hub.Publish(events.Transaction{ID: tx.ID(), Status: string(api.TxPending)})
	if !c.held {
		c.decide()
	}
	return tx.ID()
}

func (c *Chain) tip() types.Height { return c.blocks[len(c.blocks)-1].Block.Height }

// Age extends the chain by empty blocks.
func (c *Chain) Age(blocks int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range blocks {
		c.extend(nil)
	}
}

// Outputs implements [api.Ledger].
func (c *Chain) Outputs(_ context.Context, from uint64, limit int) (api.OutputsRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pool, err := ledger.ReadPool(c.state)
	rec := api.OutputsRecord{Height: c.tip(), Pool: pool}
	for n := from; n < pool.Outputs && len(rec.Outputs) < limit; n++ {
		rec.Outputs = append(rec.Outputs, c.state[string(types.OutputKey(n))])
	}
	return rec, err
}

// OutputsAt implements [api.Ledger].
func (c *Chain) OutputsAt(_ context.Context, numbers []uint64) (api.OutputsRecord, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pool, err := ledger.ReadPool(c.state)
	rec := api.OutputsRecord{Height: c.tip(), Pool: pool}
	for _, n := range numbers {
		raw := c.state[string(types.OutputKey(n))]
		if raw == nil {
			return rec, api.ErrNotFound
		}
		rec.Outputs = append(rec.Outputs, raw)
	}
	return rec, err
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
	account, _ := ledger.ReadAccount(c.state, a) // zero if there is none
	n := account.Sequence
	for _, tx := range c.waiting {
		if tx.Sender() == a {
			n++
		}
	}
	return n
}

// decide makes a block of what waits, if anything does. The caller holds the lock.
func (c *Chain) decide() {
	if len(c.waiting) > 0 {
		c.extend(nil)
	}
}

// Turbine implements api.Node: nothing travels.
func (c *Chain) Turbine() api.Turbine { return api.Turbine{} }

// Data implements api.Backend.
func (c *Chain) Data() api.Data { return c.data }

// TurbineSlot implements api.Node.
func (c *Chain) TurbineSlot(uint64) []api.TurbineReceipt { return nil }

// extend makes a block of what waits and of proven offences. The caller holds the
// lock.
func (c *Chain) extend(faults []ledger.Fault) {
	parent := c.blocks[len(c.blocks)-1].Block
	header := types.BlockHeader{
		Chain: c.genesis.ChainID(), Height: parent.Height + 1, View: parent.View + 1, Time: parent.Time + 1000,
		Epoch:   c.genesis.Params.EpochOf(parent.Height + 1),
		Justify: types.QC{View: parent.View, Block: parent.Hash(), Signers: []byte{}, Signature: []byte{}},
	}
	done, err := c.ledger.Execute(ledger.Block{
		Height: header.Height, Time: header.Time, Txs: c.waiting, Epoch: header.Epoch, Faults: faults,
		Proven: func(tx *types.Tx) bool { return confidential.One(c.state, tx, header.Height) == nil },
	}, c.state)
	if err != nil {
		panic(err) // memory can always be read
	}
	var rec api.BlockRecord
	raws := make([][]byte, 0, len(c.waiting))
	for i, tx := range c.waiting {
		r := done.Receipts[i]
		raws = append(raws, tx.Raw())
		rec.Results = append(rec.Results, api.Result{ID: r.Tx, Success: r.Code == ledger.Applied, Code: r.Code.String(), Fee: r.Fee})
	}
	rec.Block, _ = types.NewBlock(header, raws, func(hash.Hash) ([]byte, error) { return []byte{}, nil }) // cannot fail: the signer does not
	rec.Txs = raws
	rec.Validators = c.set(header.Epoch)
	c.state.apply(done.Changes)
	c.record(rec)
}

// record keeps a block and tells of it. The caller holds the lock.
func (c *Chain) record(rec api.BlockRecord) {
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
	c.hub.Publish(events.Block{Height: uint64(rec.Block.Height), Hash: rec.Block.Hash(), View: uint64(rec.Block.View), Proposer: "ada", Txs: len(rec.Results), Time: at.UTC(), DecideMS: 120})
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
	if account, err := ledger.ReadAccount(c.state, a); err == nil {
		rec.Exists, rec.Balance, rec.Sequence = true, account.Balance, account.Sequence
		rec.Signers, _ = ledger.ReadSigners(c.state, a) // what the ledger wrote decodes
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

// EpochEnd implements [api.Ledger]: no proof is made.
func (c *Chain) EpochEnd(context.Context, types.Epoch) ([]byte, error) { return nil, api.ErrNotFound }

// Proof implements [api.Ledger]. The bundle proves nothing.
func (c *Chain) Proof(ctx context.Context, a types.Address) (api.ProofRecord, error) {
	acc, err := c.Account(ctx, a)
	return api.ProofRecord{AccountRecord: acc, Root: hash.Sum("apitest/root"), Bundle: []byte("no proof")}, err
}
