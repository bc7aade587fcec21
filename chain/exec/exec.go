// Package exec carries decided blocks out: it runs their transactions on the
// ledger and commits block, receipts, index and state as one. Look at
// [Executor].
//
// Execution is deferred: consensus hands blocks over and goes on. The executor
// follows in order of height, and tells its listener what each block came to.
// It imports the ledger, the state and the store, and nothing above them.
package exec

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Verifier decodes the transactions of a block. Signatures of decided blocks
// were checked by the quorum that voted; transactions verified here before are
// not decoded again.
type Verifier interface {
	DecodeBlock(raws [][]byte) ([]*types.Tx, error)
}

// Executed is what a block came to.
type Executed struct {
	consensus.Decision
	Txs    []*types.Tx
	Result ledger.Result
	Root   hash.Hash // of the state after the block
}

// Executor carries out decided blocks. Its methods are safe for concurrent use.
type Executor struct {
	ledger   *ledger.Ledger
	state    *state.State
	store    *store.Store
	decode   func(raws [][]byte) ([]*types.Tx, error)
	listener func(Executed) error

	mu      sync.Mutex
	pending []consensus.Decision // decided, not executed; ascending
	wake    chan struct{}
}

// New makes an executor. decode turns a block's transactions into typed ones;
// listener is called after each commit, from the executor's goroutine, and may
// stop it by an error.
func New(l *ledger.Ledger, s *state.State, st *store.Store, decode func([][]byte) ([]*types.Tx, error), listener func(Executed) error) *Executor {
	return &Executor{ledger: l, state: s, store: st, decode: decode, listener: listener, wake: make(chan struct{}, 1)}
}

// Begin commits the genesis state if the state is empty. It returns the last
// executed block and its certificate.
func Begin(g *types.Genesis, l *ledger.Ledger, s *state.State, st *store.Store) (*types.Block, types.QC, error) {
	genesis := g.Block()
	if s.Version() == 0 && s.Root().IsZero() {
		changes, err := l.GenesisChanges()
		if err != nil {
			return nil, types.QC{}, err
		}
		if _, err := s.Commit(0, changes, nil); err != nil {
			return nil, types.QC{}, fmt.Errorf("commit genesis: %w", err)
		}
	}
	if s.Version() == 0 {
		return genesis, types.GenesisQC(genesis.Hash()), nil
	}
	return Tip(s.Version(), st)
}

// Tip reads an executed block and its certificate.
func Tip(height uint64, st *store.Store) (*types.Block, types.QC, error) {
	var cert types.QC
	raw, err := st.Block(height)
	if err != nil {
		return nil, cert, fmt.Errorf("read block %d: %w", height, err)
	}
	b, err := types.DecodeBlock(raw)
	if err != nil {
		return nil, cert, fmt.Errorf("read block %d: %w", height, err)
	}
	if raw, err = st.Cert(height); err == nil {
		err = canon.Unmarshal(raw, &cert)
	}
	if err != nil {
		return nil, cert, fmt.Errorf("read certificate %d: %w", height, err)
	}
	return b, cert, nil
}

// Decided queues the next decided block. It never waits.
func (x *Executor) Decided(d consensus.Decision) {
	x.mu.Lock()
	x.pending = append(x.pending, d)
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Pending lists the blocks that are decided and not yet executed, in order.
func (x *Executor) Pending() []*types.Block {
	x.mu.Lock()
	defer x.mu.Unlock()
	blocks := make([]*types.Block, len(x.pending))
	for i, d := range x.pending {
		blocks[i] = d.Block
	}
	return blocks
}

// Run executes until ctx ends. An error means that the node cannot go on: its
// disk failed, its state is damaged, or the listener says so.
func (x *Executor) Run(ctx context.Context) error {
	for {
		d, ok := x.next()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-x.wake:
			}
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := x.execute(d); err != nil {
			return err
		}
	}
}

func (x *Executor) next() (consensus.Decision, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.pending) == 0 {
		return consensus.Decision{}, false
	}
	return x.pending[0], true
}

// ErrOutOfOrder means that a decided block does not follow the executed one.
var ErrOutOfOrder = errors.New("decided block does not follow the executed one")

func (x *Executor) execute(d consensus.Decision) error {
	b := d.Block
	if uint64(b.Height) != x.state.Version()+1 {
		return fmt.Errorf("execute block %d at state %d: %w", b.Height, x.state.Version(), ErrOutOfOrder)
	}
	txs, err := x.decode(b.Txs)
	if err != nil {
		return fmt.Errorf("execute block %d: %w", b.Height, err)
	}
	result, err := x.ledger.Execute(ledger.Block{Height: b.Height, Time: b.Time, Txs: txs}, x.state)
	if err != nil {
		return err
	}
	root, err := x.state.Commit(uint64(b.Height), result.Changes, x.store.Stage(entry(d, result)))
	if err != nil {
		return fmt.Errorf("commit block %d: %w", b.Height, err)
	}
	x.mu.Lock()
	x.pending = x.pending[1:]
	x.mu.Unlock()
	return x.listener(Executed{Decision: d, Txs: txs, Result: result, Root: root})
}

// entry is what the store keeps of a block. Only transactions that had their
// effect, or paid their fee, are indexed: any other may still come again.
func entry(d consensus.Decision, result ledger.Result) store.Entry {
	e := store.Entry{
		Height: uint64(d.Block.Height), Hash: d.Block.Hash(), Block: d.Block.Raw(),
		Receipts: ledger.EncodeReceipts(result.Receipts), Cert: canon.MustMarshal(d.Cert),
	}
	for i, r := range result.Receipts {
		if r.Code.Final() {
			e.Txs = append(e.Txs, store.TxEntry{ID: r.Tx, Index: uint32(i)})
		}
	}
	return e
}
