package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/mempool"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/events"
)

const (
	// maxBacklog is how many decided blocks may wait for execution before this
	// node, when it leads, proposes empty blocks only: ordering goes on, but
	// does not run away.
	maxBacklog = 64
	// certInterval is the least time between two state certificates that this
	// node puts into blocks while there are transactions to carry.
	certInterval = 200 * time.Millisecond
	// certPatience is how many blocks are hurried for a state certificate.
	certPatience = 8
	// decodedBlocks is how many checked blocks are remembered, decoded, and decodedBytes
	// how large they may be together, but for the newest few.
	decodedBlocks = 256
	decodedBytes  = 128 << 20
	decodedLeast  = 4
	// checkPatience bounds the check of one proposal.
	checkPatience = 10 * time.Second
)

// ordering is what the engine works on: it implements consensus.Chain, and checks
// proposals before the engine sees them.
type ordering struct {
	n           *Node
	decoded     *lru.Cache[hash.Hash, []*types.Tx] // by block
	decodedSize atomic.Int64                       // bytes of decoded
	lastCert    time.Time
	lastPaid    atomic.Uint64 // height of the newest executed block with transactions
}

func newOrdering(n *Node) (*ordering, error) {
	o := &ordering{n: n}
	var err error
	o.decoded, err = lru.NewWithEvict(decodedBlocks, func(_ hash.Hash, txs []*types.Tx) { o.decodedSize.Add(-size(txs)) })
	return o, err
}

// remember keeps a checked block's transactions.
func (o *ordering) remember(b *types.Block, txs []*types.Tx) {
	if known, _ := o.decoded.ContainsOrAdd(b.Hash(), txs); known {
		return
	}
	o.decodedSize.Add(size(txs))
	for o.decodedSize.Load() > decodedBytes && o.decoded.Len() > decodedLeast {
		o.decoded.RemoveOldest()
	}
}

// size is how many bytes transactions have together.
func size(txs []*types.Tx) (n int64) {
	for _, tx := range txs {
		n += int64(len(tx.Raw()))
	}
	return n
}

// Payload implements consensus.Chain.
func (o *ordering) Payload(undecided []*types.Block) types.Payload {
	pending := o.n.executor.Pending()
	var txs [][]byte
	var cut []types.LaneCert
	if len(pending) <= maxBacklog {
		txs = o.selectTxs(append(pending, undecided...))
		if o.n.lanes != nil {
			cut = o.n.lanes.cut(undecided, pending)
		}
	}
	out := types.Payload{Txs: txs, Cut: cut, Evidence: o.n.evidence.selected(o.n.engine.Status().Epoch, append(pending, undecided...))}
	if out.Works() && time.Since(o.lastCert) < certInterval {
		return out
	}
	cert := o.n.attestations.Best()
	for _, b := range undecided {
		if cert != nil && b.State != nil && b.State.Height >= cert.Height {
			cert = nil // an undecided block carries it already
		}
	}
	if cert != nil {
		o.lastCert = time.Now()
	}
	out.State = cert
	return out
}

// taken are the transactions that the given blocks hold themselves.
func (o *ordering) taken(blocks []*types.Block) map[hash.Hash]struct{} {
	taken := map[hash.Hash]struct{}{}
	for _, b := range blocks {
		if len(b.Txs) == 0 {
			continue
		}
		txs, err := o.inline(b)
		if err != nil {
			continue // cannot be: the block was checked or decided
		}
		for _, tx := range txs {
			taken[tx.ID()] = struct{}{}
		}
	}
	return taken
}

// selectTxs picks transactions that none of the given blocks holds. Under load the
// lanes carry them, and only what waited long for its lane is picked here.
func (o *ordering) selectTxs(ancestors []*types.Block) [][]byte {
	taken := o.taken(ancestors)
	params := o.n.genesis.Params
	busy := o.n.lanes != nil && o.n.lanes.busy()
	now := time.Now()
	picked := o.n.intake.Select(int(params.MaxBlockBytes), int(params.MaxBlockTxs), func(tx *types.Tx, since time.Time) mempool.Choice {
		if _, ok := taken[tx.ID()]; ok {
			return mempool.Taken
		}
		if busy && now.Sub(since) < laneGrace {
			return mempool.Leave
		}
		return mempool.Take
	})
	raws := make([][]byte, len(picked))
	for i, tx := range picked {
		raws[i] = tx.Raw()
	}
	return raws
}

// inline returns the transactions that a block holds itself, from memory if it was
// checked before.
func (o *ordering) inline(b *types.Block) ([]*types.Tx, error) {
	if txs, ok := o.decoded.Get(b.Hash()); ok {
		return txs, nil
	}
	txs, err := o.n.intake.DecodeBlock(b.Txs)
	if err == nil {
		o.remember(b, txs)
	}
	return txs, err
}

// decode returns the transactions that a decided block orders: its own, and those of
// its batches, which it waits for.
func (o *ordering) decode(b *types.Block) ([]*types.Tx, error) {
	txs, err := o.inline(b)
	if err != nil || len(b.Cut) == 0 {
		return txs, err
	}
	raws, err := o.n.lanes.txs(b)
	if err != nil {
		return nil, err
	}
	batched, err := o.n.intake.DecodeBlock(raws)
	return append(slices.Clone(txs), batched...), err
}

// Hurry implements consensus.Chain: after a block with transactions a few more
// blocks come quickly, until one carries the certificate of the new state, so
// that balances can be proven soon after they change.
func (o *ordering) Hurry() bool {
	last, paid := o.n.lastBlock.Load(), types.Height(o.lastPaid.Load())
	return paid > o.n.attestations.Covered() && last.height < paid+certPatience
}

// ExecutedView implements consensus.Chain.
func (o *ordering) ExecutedView() types.View { return o.n.lastBlock.Load().view }

// Pending implements consensus.Chain.
func (o *ordering) Pending() <-chan struct{} { return o.n.intake.Pending() }

// Decided implements consensus.Chain.
func (o *ordering) Decided(d consensus.Decision) {
	if o.n.lanes != nil {
		o.n.lanes.driver.Decided(d.Block)
	}
	o.n.executor.Decided(d)
	if cert := d.Block.State; cert != nil {
		if err := o.n.attestations.Check(cert); errors.Is(err, consensus.ErrDiverged) {
			o.n.halt(err)
			return
		}
		o.n.attestations.Carried(cert)
	}
}

// proposal checks a proposal that gossip let through, and hands it to the engine.
// Gossip hands over one at a time; what waits there slows its senders down.
func (o *ordering) proposal(_ peer.ID, b *types.Block) {
	ctx, cancel := context.WithTimeout(context.Background(), checkPatience)
	defer cancel()
	if err := o.check(ctx, b); err != nil {
		if ctx.Err() == nil {
			o.n.mesh.Blame(consensus.Fault{Epoch: b.Epoch, Validator: b.Proposer, Reason: err.Error()})
		}
		return
	}
	o.n.engine.Propose(b)
}

func (o *ordering) check(ctx context.Context, b *types.Block) error {
	txs, err := o.n.intake.VerifyBlock(ctx, b.Txs)
	if err != nil {
		return err
	}
	o.remember(b, txs)
	if len(b.Evidence) > types.MaxBlockEvidence {
		return fmt.Errorf("%w: %d proofs in one block", types.ErrEvidence, len(b.Evidence))
	}
	for i := range b.Evidence {
		if !o.n.evidence.punishable(&b.Evidence[i], b.Epoch) {
			return fmt.Errorf("%w: of epoch %d in epoch %d", types.ErrEvidence, b.Evidence[i].Epoch, b.Epoch)
		}
		if _, err := o.n.evidence.check(&b.Evidence[i]); err != nil {
			return err
		}
	}
	if len(b.Cut) > 0 {
		if o.n.lanes == nil {
			return errors.New("block orders batches, but this network has no lanes")
		}
		if err := o.n.lanes.checkCut(b); err != nil {
			return err
		}
	}
	if b.State == nil {
		return nil
	}
	if err := o.n.attestations.Check(b.State); errors.Is(err, consensus.ErrDiverged) {
		o.n.halt(err)
	} else if err != nil {
		return err
	}
	return nil
}

// viewBegan shows a new view to subscribers.
func (o *ordering) viewBegan(v consensus.ViewBegan) {
	o.n.metrics.views.Inc()
	o.n.spread.reached(v.Epoch, v.View)
	if v.TimedOut {
		o.n.metrics.lostViews.Inc()
		o.n.metrics.complaints.WithLabelValues(o.n.epochs.name(v.Epoch, v.Failed)).Inc()
	}
	began := events.View{View: uint64(v.View), Leader: o.n.epochs.name(v.Epoch, v.Leader), Timeout: v.TimedOut}
	if v.TimedOut {
		began.Failed = o.n.epochs.name(v.Epoch, v.Failed)
	}
	o.n.hub.Publish(began)
}
