package node

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/lanes"
	lanesdriver "github.com/starlingmesh/starling/chain/consensus/lanes/driver"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/mempool"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/poh"
	"github.com/starlingmesh/starling/net/rpc"
)

const (
	lanesDir = "lanes"
	// laneLeast is how many bytes of the own buckets are worth a batch, and inlineMost
	// up to how many waiting bytes a validator a leader takes all into its block
	// itself: little load pays no extra round trip.
	laneLeast  = 8 << 10
	inlineMost = 16 << 10
	// cutsPending is how many decided cuts may wait for execution before this node,
	// when it leads, orders no more.
	cutsPending = 4
	// laneGrace is how long a transaction waits for its lane, under load, before any
	// leader takes it.
	laneGrace = 1500 * time.Millisecond
	// batchBytes and laneWindow bound a batch and a lane beyond the last cut, and so
	// what one block may order.
	batchBytes = 256 << 10
	laneWindow = 8
	// certsChecked is how many lane certificates are remembered as good.
	certsChecked = 4096
)

// laneNet is the lanes' part of the node: it carries batches between validators and
// implements lanesdriver.Network.
type laneNet struct {
	n       *Node
	driver  *lanesdriver.Driver
	log     *journal.Journal
	batches *rpc.Mailbox[*types.Batch]
	notes   *rpc.Mailbox[laneNote]
	serve   rpc.Protocol[batchRequest, batchResponse]
	good    *lru.Cache[hash.Hash, struct{}]

	shipping atomic.Bool
	pace     atomic.Int64 // nanoseconds from a block's proposal to its decision, smoothed

	mu        sync.Mutex
	buckets   map[types.Epoch]*lanes.Buckets
	executing []*types.Batch // of the block that is being executed

	stopServing func()
	ctx         context.Context // of fetches
	cancel      context.CancelFunc
	fetches     sync.WaitGroup
}

// laneNote is an acknowledgement or a certificate.
type laneNote struct {
	_     struct{} `cbor:",toarray"`
	Epoch types.Epoch
	Ack   *lanes.Ack
	Cert  *types.LaneCert
}

// batchRequest asks for a batch and those below it, down to a height (exclusive).
type batchRequest struct {
	_     struct{} `cbor:",toarray"`
	Batch hash.Hash
	Above types.LaneHeight
}

// batchResponse holds encoded batches from the top down, possibly none.
type batchResponse struct {
	_       struct{} `cbor:",toarray"`
	Batches [][]byte
}

// storedCut is where a lane stood when a block was executed.
type storedCut struct {
	_    struct{} `cbor:",toarray"`
	Lane types.ValidatorIndex
	At   lanes.At
}

// openLanes restores the lanes from the log and the last executed block.
func openLanes(n *Node) (*laneNet, error) {
	l := &laneNet{n: n, buckets: map[types.Epoch]*lanes.Buckets{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	var err error
	if l.good, err = lru.New[hash.Hash, struct{}](certsChecked); err != nil {
		return nil, err
	}
	if l.log, err = journal.Open(filepath.Join(n.cfg.Home, lanesDir), journal.Options{Label: n.chain, SegmentBytes: voteSegment}); err != nil {
		return nil, fmt.Errorf("batch log: %w", err)
	}
	epoch := n.genesis.Params.EpochOf(types.Height(n.state.Version() + 1))
	restored := lanes.Restored{Cut: map[types.ValidatorIndex]lanes.At{}}
	if err := l.log.Replay(func(_ uint64, record []byte) error {
		b, err := types.DecodeBatch(append([]byte{}, record...))
		if err == nil && b.Epoch == epoch {
			restored.Batches = append(restored.Batches, b)
		}
		return err
	}); err != nil {
		return nil, fmt.Errorf("batch log: %w", err)
	}
	if err := l.recall(epoch, restored.Cut); err != nil {
		return nil, err
	}
	l.noteRestored(epoch, restored)
	l.driver, err = lanesdriver.New(lanesdriver.Config{
		NewCore: l.core, Epoch: epoch, Restored: restored, Log: l.log, Network: l, Select: l.selectTxs, Logger: n.log.With("component", "lanes"),
	})
	return l, err
}

// noteRestored keeps batches that may have been sent before from being cut into shreds
// again.
func (l *laneNet) noteRestored(epoch types.Epoch, r lanes.Restored) {
	s, err := l.n.epochs.at(epoch)
	if err != nil {
		return
	}
	for lane, at := range r.Cut {
		l.n.spread.sawHeight(epoch, at.Height)
		if s.self != nil && lane == *s.self {
			l.n.spread.first(epoch, at.Height)
		}
	}
	for _, b := range r.Batches {
		l.n.spread.sawHeight(epoch, b.Height)
		if s.self != nil && b.Lane == *s.self {
			l.n.spread.first(epoch, b.Height)
		}
	}
}

// recall reads where the lanes stood after the last executed block, if that is of the
// epoch.
func (l *laneNet) recall(epoch types.Epoch, into map[types.ValidatorIndex]lanes.At) error {
	tip := l.n.state.Version()
	if tip == 0 || l.n.genesis.Params.EpochOf(types.Height(tip)) != epoch {
		return nil
	}
	raw, err := l.n.store.LaneCuts()
	if raw == nil || err != nil {
		return err
	}
	var cuts struct {
		_     struct{} `cbor:",toarray"`
		Epoch types.Epoch
		Cuts  []storedCut
	}
	if err := canon.Unmarshal(raw, &cuts); err != nil {
		return fmt.Errorf("read lanes: %w: %w", state.ErrCorrupt, err)
	}
	if cuts.Epoch == epoch {
		for _, c := range cuts.Cuts {
			into[c.Lane] = c.At
		}
	}
	return nil
}

// core makes the lane core of an epoch.
func (l *laneNet) core(epoch types.Epoch, r lanes.Restored) (*lanes.Core, error) {
	s, err := l.n.epochs.at(epoch)
	if err != nil {
		return nil, err
	}
	cfg := lanes.DefaultConfig(*s.authority, s.self)
	cfg.MaxBytes, cfg.Window = batchBytes, laneWindow
	return lanes.New(cfg, r), nil
}

// owners are the buckets of an epoch.
func (l *laneNet) owners(epoch types.Epoch) (*lanes.Buckets, *seat, error) {
	s, err := l.n.epochs.at(epoch)
	if err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[epoch]
	if b == nil {
		clear(l.buckets)
		b = lanes.NewBuckets(s.Set(), s.authority.Domain())
		l.buckets[epoch] = b
	}
	return b, s, nil
}

// busy reports whether the lanes carry what waits: much does, and leaders' blocks
// have become slow. It stays so as long as much waits.
func (l *laneNet) busy() bool {
	if l.n.intake.Stats().Bytes < inlineMost*int64(l.n.epochs.present().Set().Len()) {
		l.shipping.Store(false)
		return false
	}
	if l.pace.Load() >= int64(l.n.cfg.Consensus.LaneAfter) {
		l.shipping.Store(true)
	}
	return l.shipping.Load()
}

// decided notes how long a block with transactions took to be decided.
func (l *laneNet) decided(took time.Duration) {
	const weight = 8 // of the past
	l.pace.Store((l.pace.Load()*(weight-1) + int64(took)) / weight)
}

// cut is what a block on top of undecided ones should order.
func (l *laneNet) cut(undecided, pending []*types.Block) []types.LaneCert {
	waiting := 0
	for _, b := range pending {
		if len(b.Cut) > 0 {
			waiting++
		}
	}
	if waiting >= cutsPending {
		return nil
	}
	return l.driver.Cut(l.n.engine.Status().Epoch, undecided)
}

// selectTxs picks the transactions of the own buckets, once they are worth a batch.
func (l *laneNet) selectTxs(maxBytes, maxTxs int, own map[hash.Hash]struct{}) [][]byte {
	if !l.busy() {
		return nil
	}
	buckets, s, err := l.owners(l.n.engine.Status().Epoch)
	if err != nil || s.self == nil {
		return nil
	}
	taken := l.n.ordering.taken(l.n.executor.Pending())
	picked := l.n.intake.Select(maxBytes, maxTxs, func(tx *types.Tx, _ time.Time) mempool.Choice {
		if buckets.Owner(tx.Sender()) != *s.self {
			return mempool.Leave
		}
		_, batched := own[tx.ID()]
		if _, ordered := taken[tx.ID()]; ordered || batched {
			return mempool.Taken
		}
		return mempool.Take
	})
	size := 0
	raws := make([][]byte, len(picked))
	for i, tx := range picked {
		raws[i] = tx.Raw()
		size += len(raws[i])
	}
	if size < laneLeast {
		return nil // a leader takes what waits long
	}
	return raws
}

// checkCert checks a certificate of an epoch, once.
func (l *laneNet) checkCert(epoch types.Epoch, cert types.LaneCert) error {
	key := hash.Sum("lane certificate", canon.MustMarshal([]uint64{uint64(epoch)}), canon.MustMarshal(cert))
	if l.good.Contains(key) {
		return nil
	}
	s, err := l.n.epochs.at(epoch)
	if err == nil {
		err = lanes.CheckCert(s.authority, cert)
	}
	if err == nil {
		l.good.Add(key, struct{}{})
	}
	return err
}

// checkCut checks a proposal's cut.
func (l *laneNet) checkCut(b *types.Block) error {
	for i, cert := range b.Cut {
		if i > 0 && cert.Lane <= b.Cut[i-1].Lane || cert.Height == 0 {
			return fmt.Errorf("%w: lane %d at height %d is out of place", lanes.ErrCut, cert.Lane, cert.Height)
		}
		if err := l.checkCert(b.Epoch, cert); err != nil {
			return err
		}
	}
	return nil
}

// txs waits for the batches that a decided block orders, and returns their encoded
// transactions in order. It is called by the executor alone.
func (l *laneNet) txs(b *types.Block) ([][]byte, error) {
	batches, err := l.driver.Await(l.ctx, b)
	if err != nil {
		return nil, fmt.Errorf("await the batches of block %d: %w", b.Height, err)
	}
	l.mu.Lock()
	l.executing = batches
	l.mu.Unlock()
	var raws [][]byte
	for _, batch := range batches {
		raws = append(raws, batch.Txs...)
	}
	return raws, nil
}

// before is where a lane's history stood before a batch; zero if the batch below is
// not kept any more.
func (l *laneNet) before(b *types.Batch) poh.Chain {
	if b.Height == 1 {
		return poh.New(lanes.Seed(types.EpochDomain(l.n.chain, b.Epoch), b.Lane))
	}
	if below := l.find(b.Parent); below != nil {
		return lanes.PlaceOf(below).History
	}
	return poh.Chain{}
}

// record keeps the batches of the block that is being executed, and where the lanes
// stand after it.
func (l *laneNet) record(d consensus.Decision) ([]state.KV, error) {
	if len(d.Block.Cut) == 0 {
		return nil, nil
	}
	l.mu.Lock()
	batches := l.executing
	l.executing = nil
	l.mu.Unlock()
	cuts := map[types.ValidatorIndex]lanes.At{}
	if err := l.recall(d.Block.Epoch, cuts); err != nil {
		return nil, err
	}
	var ids []hash.Hash
	var raws [][]byte
	for _, b := range batches {
		ids, raws = append(ids, b.Hash()), append(raws, b.Raw())
		cuts[b.Lane] = lanes.PlaceOf(b)
	}
	stored := []storedCut{}
	for i := range types.MaxValidators {
		if at, ok := cuts[types.ValidatorIndex(i)]; ok {
			stored = append(stored, storedCut{Lane: types.ValidatorIndex(i), At: at})
		}
	}
	return l.n.store.StageBatches(uint64(d.Block.Height), ids, raws, canon.MustMarshal([]any{uint64(d.Block.Epoch), stored})), nil
}

// close ends fetches and streams; the log goes last.
func (l *laneNet) close() error {
	l.cancel()
	if l.stopServing != nil {
		l.stopServing()
	}
	if l.batches != nil {
		l.batches.Close()
		l.notes.Close()
	}
	l.fetches.Wait()
	return l.log.Close()
}
