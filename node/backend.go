package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingmesh/starling/chain/exec"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/light"
	"github.com/starlingmesh/starling/chain/mempool"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/events"
)

// backend is what the API shows of a node; it implements api.Backend.
type backend struct{ *Node }

const (
	// stale is how old the newest block may be before the node calls itself not
	// ready: the network, or this node's part in it, stands still.
	stale = 30 * time.Second
	// behind is how many decided blocks may wait before it calls itself syncing.
	behind = 16
)

// Genesis implements api.Node.
func (n *Node) Genesis() *types.Genesis { return n.genesis }

// Events implements api.Node.
func (n *Node) Events() *events.Hub { return n.hub }

// Status implements api.Node.
func (b backend) Status() api.Status {
	engine, mem, last := b.engine.Status(), b.intake.Stats(), b.lastBlock.Load()
	s := api.Status{
		Engine: strings.TrimSpace(b.genesis.Engine + " " + b.genesis.Rule), Version: b.version,
		PeerID: b.host.ID().String(), Addresses: b.host.FullAddrs(), Peers: len(b.host.Network().Peers()),
		Height: uint64(max(engine.DecidedHeight, last.height)), Head: last.hash, HeadTime: time.UnixMilli(last.time),
		View: uint64(engine.View), StateHeight: b.state.Version(), StateRoot: b.state.Root(),
		Syncing: len(b.executor.Pending()) > behind, MempoolTxs: mem.Txs, MempoolBytes: mem.Bytes, Started: b.started,
	}
	if seat := b.epochs.present(); seat.self != nil {
		s.Validator = seat.Set().At(*seat.self).Name
	}
	return s
}

// Health implements api.Node.
func (b backend) Health() api.Health {
	h := api.Health{Live: true, Reasons: []string{}}
	if err := b.Halted(); err != nil {
		h.Live = false
		h.Reasons = append(h.Reasons, err.Error())
	}
	if last := b.lastBlock.Load(); time.Since(time.UnixMilli(last.time)) > stale {
		h.Reasons = append(h.Reasons, fmt.Sprintf("no block was executed for more than %s: the newest is %d", stale, last.height))
	}
	if n := len(b.executor.Pending()); n > behind {
		h.Reasons = append(h.Reasons, fmt.Sprintf("catching up: %d blocks wait for execution", n))
	}
	if len(b.host.Network().Peers()) == 0 && b.epochs.present().Set().Len() > 1 {
		h.Reasons = append(h.Reasons, "no peer is connected: check p2p.bootstrap")
	}
	h.Ready = len(h.Reasons) == 0
	return h
}

// Peers implements api.Node.
func (b backend) Peers() []api.Peer {
	out := []api.Peer{}
	set := b.epochs.present().Set()
	for _, p := range b.host.Peers() {
		one := api.Peer{
			ID: p.ID.String(), Address: p.Addr.String(), Inbound: p.Inbound, Agent: p.Agent,
			LatencyMS: float64(p.Latency.Microseconds()) / 1000, Since: p.Since,
		}
		if i, ok := set.IndexOf(p.ID); ok {
			one.Validator = set.At(i).Name
		}
		out = append(out, one)
	}
	return out
}

// Validators implements api.Node.
func (b backend) Validators() []api.Validator {
	out := []api.Validator{}
	leader, seat := b.engine.Status().Leader, b.epochs.present()
	for i := range seat.Set().All() {
		v, id := api.NewValidator(seat.Set(), i), seat.peers[i]
		v.Self, v.Leader = id == b.host.ID(), i == leader && b.trust == nil
		v.Connected = v.Self || b.host.Network().Connectedness(id) == network.Connected
		out = append(out, v)
	}
	b.jail(out)
	return out
}

// Block implements api.Ledger.
func (b backend) Block(_ context.Context, ref api.BlockRef) (api.BlockRecord, error) {
	height := ref.Height
	switch {
	case ref.Latest:
		height = types.Height(b.state.Version())
	case !ref.Hash.IsZero():
		h, err := b.store.HeightOf(ref.Hash)
		if err != nil {
			return api.BlockRecord{}, notFound(err, "no decided block has this hash")
		}
		height = types.Height(h)
	}
	return b.record(height)
}

func (b backend) record(height types.Height) (api.BlockRecord, error) {
	if height == 0 {
		root, _ := b.state.RootAt(0) // zero once it is pruned
		return api.BlockRecord{Block: b.genesis.Block(), Certificate: types.GenesisQC(b.chain), StateRoot: root}, nil
	}
	d, err := exec.Read(uint64(height), b.store)
	if err != nil {
		return api.BlockRecord{}, notFound(err, fmt.Sprintf("block %d is not decided yet, or no longer kept by this node", height))
	}
	receipts, err := b.receipts(height)
	if err != nil {
		return api.BlockRecord{}, err
	}
	root, err := b.state.RootAt(uint64(height))
	if err != nil && !errors.Is(err, state.ErrPruned) {
		return api.BlockRecord{}, err
	}
	members, err := b.setOf(d.Block.Epoch)
	if err != nil && !errors.Is(err, ledger.ErrNoSet) {
		return api.BlockRecord{}, err
	}
	rec := api.BlockRecord{Block: d.Block, Validators: members, Certificate: d.Cert, StateRoot: root, Passage: api.Passage(d.Passage)}
	batches, err := b.batches(d.Block)
	if err != nil {
		return api.BlockRecord{}, notFound(err, fmt.Sprintf("the batches of block %d are no longer kept by this node", height))
	}
	rec.Txs = orders(d.Block, batches)
	for _, batch := range batches {
		rec.Batches = append(rec.Batches, api.LaneBatch{Batch: batch, From: b.lanes.before(batch)})
	}
	for _, r := range receipts {
		rec.Results = append(rec.Results, result(r))
	}
	return rec, nil
}

// batches are those that an executed block orders.
func (b backend) batches(block *types.Block) ([]*types.Batch, error) {
	if len(block.Cut) == 0 {
		return nil, nil
	}
	raws, err := b.store.BatchesOf(uint64(block.Height))
	if err != nil {
		return nil, err
	}
	out := make([]*types.Batch, len(raws))
	for i, raw := range raws {
		if out[i], err = types.DecodeBatch(raw); err != nil {
			return nil, fmt.Errorf("batch of block %d: %w: %w", block.Height, state.ErrCorrupt, err)
		}
	}
	return out, nil
}

// orders lists all transactions that a block with its batches orders, encoded.
func orders(block *types.Block, batches []*types.Batch) [][]byte {
	txs := slices.Clone(block.Txs)
	for _, batch := range batches {
		txs = append(txs, batch.Txs...)
	}
	return txs
}

func (b backend) receipts(height types.Height) ([]ledger.Receipt, error) {
	raw, err := b.store.Receipts(uint64(height))
	if err != nil {
		return nil, err
	}
	return ledger.DecodeReceipts(raw)
}

func result(r ledger.Receipt) api.Result {
	return api.Result{ID: r.Tx, Success: r.Code == ledger.Applied, Code: r.Code.String(), Fee: r.Fee}
}

// Blocks implements api.Ledger.
func (b backend) Blocks(_ context.Context, before types.Height, limit int) ([]api.BlockRecord, error) {
	height := types.Height(b.state.Version())
	if before > 0 && before <= height {
		height = before - 1
	}
	var out []api.BlockRecord
	for ; len(out) < limit; height-- {
		rec, err := b.record(height)
		if errors.Is(err, api.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
		if height == 0 {
			break
		}
	}
	return out, nil
}

// Account implements api.Ledger.
func (b backend) Account(_ context.Context, a types.Address) (api.AccountRecord, error) {
	snapshot := b.state.Latest()
	defer snapshot.Close()
	rec := api.AccountRecord{Height: types.Height(snapshot.Version())}
	account, err := ledger.ReadAccount(snapshot, a)
	if err != nil && !errors.Is(err, ledger.ErrNoAccount) {
		return rec, err
	}
	rec.Exists = err == nil
	rec.Balance, rec.Sequence = account.Balance, account.Sequence
	if account.Signer != (types.Address{}) {
		if rec.Signers, err = ledger.ReadSigners(snapshot, a); err != nil {
			return rec, err
		}
	}
	rec.NextSequence = b.intake.NextSequence(a, account.Sequence)
	return rec, nil
}

// Tx implements api.Ledger.
func (b backend) Tx(_ context.Context, id hash.Hash) (api.TxRecord, error) {
	height, index, err := b.store.TxLocation(id)
	if err == nil {
		return b.decidedTx(id, types.Height(height), int(index))
	}
	if !errors.Is(err, store.ErrNotFound) {
		return api.TxRecord{}, err
	}
	if tx, ok := b.intake.Get(id); ok {
		return api.TxRecord{ID: id, Status: api.TxPending, Tx: tx}, nil
	}
	return api.TxRecord{}, notFound(err, "this node knows no such transaction: it was never sent here, or it expired")
}

func (b backend) decidedTx(id hash.Hash, height types.Height, index int) (api.TxRecord, error) {
	rec := api.TxRecord{ID: id, Status: api.TxDecided, Height: height, Index: index}
	d, err := exec.Read(uint64(height), b.store)
	if errors.Is(err, store.ErrNotFound) {
		return rec, nil // the block is no longer kept
	}
	if err != nil {
		return rec, err
	}
	receipts, err := b.receipts(height)
	if err != nil {
		return rec, err
	}
	batches, err := b.batches(d.Block)
	if err != nil {
		return rec, err
	}
	txs := orders(d.Block, batches)
	if index >= len(receipts) || index >= len(txs) {
		return rec, fmt.Errorf("transaction %s at place %d of block %d: %w", id, index, height, state.ErrCorrupt)
	}
	rec.Block, rec.Result = d.Block.Hash(), result(receipts[index])
	rec.Tx, err = types.DecodeTx(txs[index])
	return rec, err
}

// Proof implements api.Ledger: the account as of the newest state that a quorum
// has attested and this node still holds.
func (b backend) Proof(_ context.Context, a types.Address) (api.ProofRecord, error) {
	cert := b.attestations.Provable(types.Height(b.state.Version()))
	if cert == nil {
		return api.ProofRecord{}, fmt.Errorf("no state certificate was seen yet: %w", api.ErrNotReady)
	}
	snapshot, err := b.state.At(uint64(cert.Height))
	if err != nil {
		return api.ProofRecord{}, fmt.Errorf("state %d: %w: %w", cert.Height, api.ErrNotReady, err)
	}
	defer snapshot.Close()
	bundle, account, err := light.Prove(snapshot, a, cert)
	if err != nil {
		return api.ProofRecord{}, err
	}
	rec := api.ProofRecord{Root: cert.Root, Bundle: bundle}
	rec.Height = cert.Height
	if account != nil {
		rec.Exists, rec.Balance, rec.Sequence, rec.NextSequence = true, account.Balance, account.Sequence, account.Sequence
		if rec.Signers, err = ledger.ReadSigners(snapshot, a); err != nil {
			return api.ProofRecord{}, err
		}
	}
	return rec, nil
}

// EpochEnd implements api.Ledger.
func (b backend) EpochEnd(_ context.Context, e types.Epoch) ([]byte, error) {
	end, err := b.store.EpochEnd(uint64(e))
	return end, notFound(err, fmt.Sprintf("epoch %d has not ended, as far as this node has executed", e))
}

// Submit implements api.Submitter.
func (b backend) Submit(ctx context.Context, raw []byte) (hash.Hash, error) {
	r := b.SubmitMany(ctx, [][]byte{raw})[0]
	return r.ID, r.Err
}

// SubmitMany implements api.Submitter. A transaction that was decided before is
// answered as one that waits: sending twice is harmless.
func (b backend) SubmitMany(ctx context.Context, raws [][]byte) []api.SubmitResult {
	out := make([]api.SubmitResult, len(raws))
	if err := b.Halted(); err != nil {
		for i := range out {
			out[i].Err = fmt.Errorf("%w: %w", api.ErrNotReady, err)
		}
		return out
	}
	for i, r := range b.intake.Submit(ctx, raws) {
		out[i] = api.SubmitResult{ID: r.ID, Err: b.refusal(r)}
		if out[i].Err == nil {
			b.hub.Publish(events.Transaction{ID: r.ID, Status: string(api.TxPending)})
		}
	}
	return out
}

func (b backend) refusal(r mempool.Result) error {
	switch {
	case r.Err == nil:
		return nil
	case errors.Is(r.Err, ledger.ErrSequencePast):
		if _, _, err := b.store.TxLocation(r.ID); err == nil {
			return nil
		}
	case errors.Is(r.Err, mempool.ErrBusy), errors.Is(r.Err, mempool.ErrFull):
		return fmt.Errorf("%w: %w", api.ErrBusy, r.Err)
	}
	for _, known := range rejections {
		if errors.Is(r.Err, known.err) {
			return &api.Rejection{Code: known.code, Reason: r.Err.Error()}
		}
	}
	return r.Err
}

// rejections are the words that the API has for refusals.
var rejections = []struct {
	err  error
	code string
}{
	{ledger.ErrWrongChain, "wrong-chain"},
	{ledger.ErrExpired, "expired"},
	{ledger.ErrExpiryTooFar, "expiry-too-far"},
	{ledger.ErrFeeTooLow, "fee-too-low"},
	{ledger.ErrNoAccount, "no-account"},
	{ledger.ErrNotSigner, "not-signer"},
	{ledger.ErrSequencePast, "sequence-past"},
	{ledger.ErrCannotPayFee, "cannot-pay-fee"},
	{ledger.ErrUnknownKind, "unknown-kind"},
	{mempool.ErrReplaceFee, "replacement-fee-too-low"},
	{mempool.ErrSequenceGap, "sequence-gap"},
	{mempool.ErrSignature, "bad-signature"},
	{ledger.ErrProof, "proof-invalid"},
	{ledger.ErrRing, "ring-invalid"},
	{ledger.ErrImageSpent, "image-spent"},
}

// Wait implements api.Submitter.
func (b backend) Wait(ctx context.Context, id hash.Hash) (api.TxRecord, error) {
	tick := time.NewTicker(time.Second) // notices expiry, which wakes nobody
	defer tick.Stop()
	for {
		done, leave := b.waiters.join(id)
		rec, err := b.Tx(ctx, id)
		if errors.Is(err, api.ErrNotFound) {
			rec, err = api.TxRecord{ID: id, Status: api.TxExpired}, nil
		}
		if err != nil || rec.Status != api.TxPending {
			leave()
			return rec, err
		}
		select {
		case <-done:
		case <-tick.C:
		case <-ctx.Done():
			leave()
			return rec, ctx.Err()
		}
		leave()
	}
}

func notFound(err error, what string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %s", api.ErrNotFound, what)
	}
	return err
}

var _ api.Backend = backend{}
