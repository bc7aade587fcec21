package mempool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
)

// IntakeConfig is what an intake is made of. All fields are required unless said otherwise.
type IntakeConfig struct {
	Pool   Config
	Ledger *ledger.Ledger
	State  ledger.Reader // the executed state
	Proofs *confidential.Verifier
	// Journal keeps the transactions that this node accepted from its own
	// users, so that it can gossip them again after a crash.
	Journal *journal.Journal
	// Publish gossips transactions that this node accepted. It must not wait.
	Publish func(raws [][]byte)
	// Defer tells how long a transaction of so many bytes waits for a block before it
	// is gossiped; optional.
	Defer  func(size int) time.Duration
	Logger *slog.Logger
}

const (
	batchTxs    = 256 // signatures verified at once
	batchWait   = 2 * time.Millisecond
	inboxSize   = 256 // submissions that wait
	rememberTxs = 1 << 15
	// rememberBytes is the size up to which transactions are remembered as verified: beside
	// the hashing of larger ones a signature costs little.
	rememberBytes = 4 << 10
	keyCache      = 1 << 14
	expireEvery   = time.Second

	// What still waits after a while is gossiped again, some at a time.
	regossipEvery = 5 * time.Second
	regossipMost  = 1000
	regossipBytes = 256 << 10
)

// Result is what became of a submitted transaction.
type Result struct {
	ID  hash.Hash
	Err error // nil if it waits in the pool, now or already before
}

// Intake verifies transactions in batches and feeds the pool. Its methods are
// safe for concurrent use; Run must be running for Submit to be answered.
type Intake struct {
	cfg      IntakeConfig
	inbox    chan submission
	pending  chan struct{}
	stopped  chan struct{}                    // closed when Run returns
	verified *lru.Cache[hash.Hash, *types.Tx] // by hash of the whole encoding
	keys     *keys.Cache

	mu     sync.Mutex
	pool   *Pool
	logged []logged // what the journal holds, oldest first
}

type submission struct {
	raws    [][]byte
	results chan []Result
}

type logged struct {
	index     uint64
	id        hash.Hash
	published time.Time
}

// NewIntake makes an intake over an empty pool and takes up what the journal
// holds. Close it in the end.
func NewIntake(cfg IntakeConfig) (*Intake, error) {
	verified, err := lru.New[hash.Hash, *types.Tx](rememberTxs)
	if err != nil {
		return nil, fmt.Errorf("open mempool: %w", err)
	}
	parsed, err := keys.NewCache(keyCache)
	if err != nil {
		return nil, fmt.Errorf("open mempool: %w", err)
	}
	in := &Intake{
		cfg: cfg, inbox: make(chan submission, inboxSize), pending: make(chan struct{}, 1), stopped: make(chan struct{}),
		verified: verified, keys: parsed,
	}
	in.pool = NewPool(cfg.Pool, cfg.Ledger, func(tx *types.Tx) (ledger.Account, error) { return ledger.AccountOf(cfg.State, tx) })
	return in, nil
}

// Resume takes up the executed height, and what the journal holds of accepted
// transactions; it returns those that still wait, to be gossiped again.
func (in *Intake) Resume(tip types.Height) ([][]byte, error) {
	in.mu.Lock()
	in.pool.tip = tip
	in.mu.Unlock()
	var raws [][]byte
	var indexes []uint64
	err := in.cfg.Journal.Replay(func(index uint64, record []byte) error {
		raws = append(raws, append([]byte(nil), record...))
		indexes = append(indexes, index)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("replay accepted transactions: %w", err)
	}
	var waiting [][]byte
	for start := 0; start < len(raws); start += batchTxs {
		end := min(start+batchTxs, len(raws))
		for i, r := range in.admit(raws[start:end]) {
			if r.Err == nil {
				waiting = append(waiting, raws[start+i])
				in.mu.Lock()
				in.logged = append(in.logged, logged{indexes[start+i], r.ID, time.Now()})
				in.mu.Unlock()
			}
		}
	}
	return waiting, nil
}

// Run verifies and admits until ctx ends. It is called once.
func (in *Intake) Run(ctx context.Context) error {
	defer close(in.stopped)
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			in.mu.Lock()
			in.pool.Expire(time.Now())
			again := in.forgotten(time.Now())
			in.mu.Unlock()
			if len(again) > 0 {
				in.cfg.Publish(again)
			}
		case first := <-in.inbox:
			in.handle(in.collect(first))
		}
	}
}

// forgotten lists transactions of this node's users that have waited so long that
// their gossip must be taken for lost.
func (in *Intake) forgotten(now time.Time) (raws [][]byte) {
	size := 0
	for i := range in.logged {
		l := &in.logged[i]
		e := in.pool.byID[l.id]
		if e == nil || now.Sub(l.published) < regossipEvery {
			continue
		}
		l.published = now
		raws = append(raws, e.tx.Raw())
		if size += len(e.tx.Raw()); len(raws) == regossipMost || size >= regossipBytes {
			break // the rest a second later: a slow network is not to be filled up
		}
	}
	return raws
}

// collect gathers submissions until they are worth a batch or have waited long
// enough.
func (in *Intake) collect(first submission) []submission {
	batch, n := []submission{first}, len(first.raws)
	timer := time.NewTimer(batchWait)
	defer timer.Stop()
	for n < batchTxs {
		select {
		case s := <-in.inbox:
			batch = append(batch, s)
			n += len(s.raws)
		case <-timer.C:
			return batch
		}
	}
	return batch
}

// handle admits a batch, writes what was accepted to the journal, and only then
// answers and gossips.
func (in *Intake) handle(batch []submission) {
	var raws [][]byte
	for _, s := range batch {
		raws = append(raws, s.raws...)
	}
	results := in.admit(raws)
	accepted := in.record(raws, results)
	for _, s := range batch {
		s.results <- results[:len(s.raws):len(s.raws)]
		results = results[len(s.raws):]
	}
	if len(accepted) > 0 {
		in.cfg.Publish(accepted)
	}
}

// record appends accepted transactions to the journal and syncs it. What cannot
// be written is refused: a node must not promise what it may forget. Nobody waits
// for the disk meanwhile but those who submitted.
func (in *Intake) record(raws [][]byte, results []Result) (accepted [][]byte) {
	fresh := in.write(raws, results)
	if len(fresh) == 0 {
		return nil
	}
	if err := in.cfg.Journal.Sync(); err != nil {
		in.takeBack(results, fresh, err)
		return nil
	}
	for _, i := range fresh {
		if in.deferred(len(raws[i])) == 0 {
			accepted = append(accepted, raws[i])
		}
	}
	return accepted
}

func (in *Intake) deferred(size int) time.Duration {
	if in.cfg.Defer == nil {
		return 0
	}
	return in.cfg.Defer(size)
}

// write appends what was accepted, and returns its places in the batch.
func (in *Intake) write(raws [][]byte, results []Result) (fresh []int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range results {
		if errors.Is(results[i].Err, ErrKnown) {
			results[i].Err = nil // waits already: the same answer again
			continue
		}
		if results[i].Err != nil {
			continue
		}
		index, err := in.cfg.Journal.Append(raws[i])
		if err != nil {
			results[i].Err = fmt.Errorf("write accepted transaction: %w", err)
			in.pool.Remove(results[i].ID)
			continue
		}
		published := time.Now()
		if wait := in.deferred(len(raws[i])); wait > 0 {
			published = published.Add(wait - regossipEvery)
		}
		in.logged = append(in.logged, logged{index, results[i].ID, published})
		fresh = append(fresh, i)
	}
	return fresh
}

// takeBack refuses what the disk did not take.
func (in *Intake) takeBack(results []Result, fresh []int, cause error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, i := range fresh {
		results[i].Err = fmt.Errorf("write accepted transaction: %w", cause)
		in.pool.Remove(results[i].ID)
		in.logged = slices.DeleteFunc(in.logged, func(l logged) bool { return l.id == results[i].ID })
	}
}

// Submit admits transactions of this node's users. Results are in order.
func (in *Intake) Submit(ctx context.Context, raws [][]byte) []Result {
	s := submission{raws: raws, results: make(chan []Result, 1)}
	fail := func(err error) []Result {
		out := make([]Result, len(raws))
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	select {
	case in.inbox <- s:
	default:
		return fail(ErrBusy)
	}
	select {
	case results := <-s.results:
		return results
	case <-ctx.Done():
		return fail(ctx.Err())
	case <-in.stopped:
	}
	select {
	case results := <-s.results: // answered just before
		return results
	default:
		return fail(ErrClosed)
	}
}

// admit decodes, verifies and adds. ErrKnown marks what waited already.
func (in *Intake) admit(raws [][]byte) []Result {
	results := make([]Result, len(raws))
	in.mu.Lock()
	tip := in.pool.tip
	in.mu.Unlock()
	txs := in.verify(raws, results, func(tx *types.Tx) error { return in.worthVerifying(tx, tip) })
	in.verifyProofs(txs, results, tip+1)
	now := time.Now()
	in.mu.Lock()
	defer in.mu.Unlock()
	added := false
	for i, tx := range txs {
		if results[i].Err == nil {
			results[i].Err = in.pool.Add(now, tx)
			added = added || results[i].Err == nil
		}
	}
	if added {
		in.signal()
	}
	return results
}

// worthVerifying refuses what the pool would refuse after the signature was
// verified, which is much more work. Otherwise anybody could make this node verify
// transactions of accounts that do not exist, as many as they can sign.
func (in *Intake) worthVerifying(tx *types.Tx, tip types.Height) error {
	account, err := ledger.AccountOf(in.cfg.State, tx)
	if err != nil {
		return err
	}
	return in.cfg.Ledger.Check(tx, account, tip)
}

func (in *Intake) signal() {
	select {
	case in.pending <- struct{}{}:
	default:
	}
}

// Gossiped admits transactions that a peer relayed. fresh says that some were
// new and are worth relaying; bad, that some do not decode or verify, which is
// the relayer's fault.
func (in *Intake) Gossiped(_ context.Context, raws [][]byte) (fresh, bad bool) {
	for _, r := range in.admit(raws) {
		switch {
		case r.Err == nil:
			fresh = true
		case errors.Is(r.Err, ErrSignature), errors.Is(r.Err, ledger.ErrProof), errors.Is(r.Err, types.ErrTx):
			bad = true
		}
	}
	return fresh, bad
}

// Pending is signalled when something was added.
func (in *Intake) Pending() <-chan struct{} { return in.pending }

// Wake signals as if something was added: there is other reason for a block.
func (in *Intake) Wake() { in.signal() }

// Select picks transactions for a block, see [Pool.Select].
func (in *Intake) Select(maxBytes, maxTxs int, choose func(tx *types.Tx, since time.Time) Choice) []*types.Tx {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.pool.Select(maxBytes, maxTxs, choose)
}

// Get finds a waiting transaction.
func (in *Intake) Get(id hash.Hash) (*types.Tx, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.pool.Get(id)
}

// NextSequence is the sequence for a next transaction, counting those that wait.
func (in *Intake) NextSequence(a types.Address, account uint64) uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.pool.NextSequence(a, account)
}

// Stats returns the pool's sizes.
func (in *Intake) Stats() Stats {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.pool.Stats()
}

// Executed takes up what a block did, and cuts the journal behind what is done
// with.
func (in *Intake) Executed(height types.Height, accounts map[types.Address]ledger.Account, spent []curve.Point) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pool.Executed(height, accounts, spent)
	done := 0
	for done < len(in.logged) && in.pool.byID[in.logged[done].id] == nil {
		done++
	}
	if done == 0 {
		return
	}
	in.logged = in.logged[done:]
	keep := in.cfg.Journal.Next()
	if len(in.logged) > 0 {
		keep = in.logged[0].index
	}
	if err := in.cfg.Journal.DropBefore(keep); err != nil {
		in.cfg.Logger.Warn("cut journal of accepted transactions", "error", err)
	}
}

// Close closes the journal.
func (in *Intake) Close() error { return in.cfg.Journal.Close() }
