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
	"time"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

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
	proofs   *confidential.Verifier
	decode   func(*types.Block) ([]*types.Tx, error)
	listener func(Executed) error
	keep     uint64
	space    func() error
	extra    func(consensus.Decision) ([]state.KV, error)

	mu      sync.Mutex
	pending []consensus.Decision // decided, not executed; ascending
	wake    chan struct{}
}

// New makes an executor. proofs verifies confidential transactions; decode turns a block's transactions into typed ones;
// listener is called after each commit, from the executor's goroutine, and may
// stop it by an error. keep is how many of the newest blocks stay stored, 0 for
// all. space is asked before each commit whether there is room for one: the
// database maps its files, and would be killed where other programs get an error.
// extra adds records to a block's commit; nil for none.
func New(l *ledger.Ledger, s *state.State, st *store.Store, proofs *confidential.Verifier, keep uint64, space func() error, extra func(consensus.Decision) ([]state.KV, error), decode func(*types.Block) ([]*types.Tx, error), listener func(Executed) error) *Executor {
	return &Executor{ledger: l, state: s, store: st, proofs: proofs, keep: keep, space: space, extra: extra, decode: decode, listener: listener, wake: make(chan struct{}, 1)}
}

// Begin commits the genesis state if the state is empty. It returns the last
// executed block and how it was decided.
func Begin(g *types.Genesis, l *ledger.Ledger, s *state.State, st *store.Store) (consensus.Decision, error) {
	genesis := g.Block()
	if s.Empty() {
		changes, err := l.GenesisChanges()
		if err != nil {
			return consensus.Decision{}, err
		}
		if _, err := s.Commit(0, changes, nil); err != nil {
			return consensus.Decision{}, fmt.Errorf("commit genesis: %w", err)
		}
	}
	if s.Version() == 0 {
		return consensus.Decision{Block: genesis, Cert: types.GenesisQC(genesis.Hash())}, nil
	}
	return Read(s.Version(), st)
}

// Read reads an executed block with its certificate and passage.
func Read(height uint64, st *store.Store) (consensus.Decision, error) {
	raw, err := st.Block(height)
	if err != nil {
		return consensus.Decision{}, err
	}
	b, err := types.DecodeBlock(raw)
	if err != nil {
		return consensus.Decision{}, fmt.Errorf("read block %d: %w", height, err)
	}
	var f storedFinality
	if raw, err = st.Cert(height); err == nil {
		err = canon.Unmarshal(raw, &f)
	}
	if err != nil {
		return consensus.Decision{}, fmt.Errorf("read certificate %d: %w", height, err)
	}
	return consensus.Decision{Block: b, Cert: f.Cert, Passage: f.passage(), Standing: f.Standing}, nil
}

// storedFinality is what the store holds as a block's certificate: the QC that
// certifies it, and when this node saw the phases (microseconds since 1970, 0
// for not at all).
type storedFinality struct {
	_      struct{} `cbor:",toarray"`
	Cert   types.QC
	Phases [4]int64
	// Standing is the engine's own.
	Standing []byte
}

func finality(d consensus.Decision) storedFinality {
	f := storedFinality{Cert: d.Cert, Standing: append([]byte{}, d.Standing...)}
	for i, t := range []time.Time{d.Passage.Prepare, d.Passage.Precommit, d.Passage.Commit, d.Passage.Decide} {
		if !t.IsZero() {
			f.Phases[i] = t.UnixMicro()
		}
	}
	return f
}

func (f storedFinality) passage() consensus.Passage {
	var t [4]time.Time
	for i, us := range f.Phases {
		if us != 0 {
			t[i] = time.UnixMicro(us)
		}
	}
	return consensus.Passage{Prepare: t[0], Precommit: t[1], Commit: t[2], Decide: t[3]}
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
		if err := x.execute(ctx, d); err != nil {
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

func (x *Executor) execute(ctx context.Context, d consensus.Decision) error {
	b := d.Block
	if uint64(b.Height) != x.state.Version()+1 {
		return fmt.Errorf("execute block %d at state %d: %w", b.Height, x.state.Version(), ErrOutOfOrder)
	}
	txs, err := x.decode(b)
	if errors.Is(err, context.Canceled) {
		return nil // stopped while it waited
	}
	if err != nil {
		return fmt.Errorf("execute block %d: %w", b.Height, err)
	}
	in := input(b, txs)
	bad, err := x.proofs.Verify(ctx, x.state, txs, b.Height)
	if errors.Is(err, context.Canceled) {
		return nil // stopped while it verified
	}
	if err != nil {
		return fmt.Errorf("verify block %d: %w", b.Height, err)
	}
	in.Proven = func(tx *types.Tx) bool { return bad[tx.ID()] == nil }
	result, err := x.ledger.Execute(in, x.state)
	if err != nil {
		return err
	}
	if err := x.space(); err != nil {
		return fmt.Errorf("commit block %d: %w", b.Height, err)
	}
	records := x.store.Stage(entry(d, result))
	if x.extra != nil {
		more, err := x.extra(d)
		if err != nil {
			return fmt.Errorf("commit block %d: %w", b.Height, err)
		}
		records = append(records, more...)
	}
	if h := uint64(b.Height); x.keep > 0 && h > x.keep {
		records = append(records, x.store.Drop(h-x.keep)...)
	}
	root, err := x.state.Commit(uint64(b.Height), result.Changes, records)
	if err != nil {
		return fmt.Errorf("commit block %d: %w", b.Height, err)
	}
	// The block counts as pending until the listener has followed it: a leader
	// that looks in between must not propose its transactions again.
	err = x.listener(Executed{Decision: d, Txs: txs, Result: result, Root: root})
	x.mu.Lock()
	x.pending = x.pending[1:]
	x.mu.Unlock()
	return err
}

// input is what the ledger needs of a block. Its proofs of offences were checked by
// everyone who voted for it.
func input(b *types.Block, txs []*types.Tx) ledger.Block {
	in := ledger.Block{Height: b.Height, Time: b.Time, Txs: txs, Epoch: b.Epoch, Proposer: b.Proposer}
	for i := range b.Evidence {
		in.Faults = append(in.Faults, ledger.Fault{Offence: b.Evidence[i].Offence, Epoch: b.Evidence[i].Epoch, Culprit: b.Evidence[i].Culprit})
	}
	return in
}

// entry is what the store keeps of a block. Only transactions that had their
// effect, or paid their fee, are indexed: any other may still come again.
func entry(d consensus.Decision, result ledger.Result) store.Entry {
	e := store.Entry{
		Height: uint64(d.Block.Height), Hash: d.Block.Hash(), Block: d.Block.Raw(),
		Receipts: ledger.EncodeReceipts(result.Receipts), Cert: canon.MustMarshal(finality(d)),
	}
	for i, r := range result.Receipts {
		if r.Code.Final() {
			e.Txs = append(e.Txs, store.TxEntry{ID: r.Tx, Index: uint32(i)})
		}
	}
	return e
}
