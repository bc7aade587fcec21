// Package mempool holds the transactions that wait for a block. Look at [Pool],
// the pure data structure, and then at [Intake], which verifies what comes in and
// feeds the pool.
//
// A transaction is verified once: the pool keeps it decoded, so that neither
// gossip nor a block that carries it checks its signature again. The package
// imports no network code; what is to be gossiped is handed to a function.
package mempool

import (
	"container/heap"
	"fmt"
	"math/bits"
	"time"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Config bounds a pool. Zero values take the defaults.
type Config struct {
	MaxTxs    int           // transactions; default 50,000
	MaxBytes  int64         // of their encodings; default 64 MiB
	TTL       time.Duration // how long one may wait; default 10 minutes
	PerSender int           // how far ahead of the account a sequence number may be; default 4,096
}

func (c Config) withDefaults() Config {
	if c.MaxTxs <= 0 {
		c.MaxTxs = 50_000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 64 << 20
	}
	if c.TTL <= 0 {
		c.TTL = 10 * time.Minute
	}
	if c.PerSender <= 0 {
		c.PerSender = 4096
	}
	return c
}

// Accounts looks up accounts in the executed state. A missing account is
// ledger.ErrNoAccount.
type Accounts func(types.Address) (ledger.Account, error)

// Pool keeps transactions in a queue a sender, by sequence number. It has one
// caller at a time, reads no clock and starts nothing; now must never decrease.
type Pool struct {
	cfg      Config
	ledger   *ledger.Ledger
	accounts Accounts

	tip   types.Height
	byID  map[hash.Hash]*entry
	queue map[types.Address]*queue
	tails tails
	bytes int64
}

type entry struct {
	tx    *types.Tx
	added time.Time
}

// queue is one sender's transactions. Those from the account's next sequence on
// without a gap can be executed; the rest wait for what is missing.
type queue struct {
	sender types.Address
	next   uint64 // the account's
	last   uint64 // the highest sequence held
	bySeq  map[uint64]*entry
	place  int // in tails
}

// NewPool makes an empty pool.
func NewPool(cfg Config, l *ledger.Ledger, accounts Accounts) *Pool {
	return &Pool{
		cfg: cfg.withDefaults(), ledger: l, accounts: accounts,
		byID: map[hash.Hash]*entry{}, queue: map[types.Address]*queue{},
	}
}

// Add takes a transaction whose signature was checked. The error tells what is
// wrong with it: one of this package's, or of ledger.Check.
func (p *Pool) Add(now time.Time, tx *types.Tx) error {
	if p.byID[tx.ID()] != nil {
		return ErrKnown
	}
	account, err := p.accounts(tx.Sender())
	if err != nil {
		return err
	}
	if err := p.ledger.Check(tx, account, p.tip); err != nil {
		return err
	}
	if tx.Sequence-account.Sequence >= uint64(p.cfg.PerSender) {
		return fmt.Errorf("%w: %d, the account is at %d and at most %d may wait", ErrSequenceGap, tx.Sequence, account.Sequence, p.cfg.PerSender)
	}
	if q := p.queue[tx.Sender()]; q != nil {
		if old := q.bySeq[tx.Sequence]; old != nil {
			if err := outbids(tx, old.tx); err != nil {
				return err
			}
			p.drop(q, old)
		}
	}
	if err := p.makeRoom(tx); err != nil {
		return err
	}
	q := p.queue[tx.Sender()]
	if q == nil {
		q = &queue{sender: tx.Sender(), next: account.Sequence, bySeq: map[uint64]*entry{}}
		p.queue[tx.Sender()] = q
	}
	p.insert(q, &entry{tx: tx, added: now})
	return nil
}

// outbids checks that a replacement pays a tenth more, rounded up, and at least
// one drop: replacing must cost, or it would be a way to flood.
func outbids(tx, old *types.Tx) error {
	least := old.Fee + max(1, (old.Fee+9)/10)
	if tx.Fee < least {
		return fmt.Errorf("%w: a transaction with sequence %d waits already; to replace it pay at least %s", ErrReplaceFee, tx.Sequence, least)
	}
	return nil
}

func (p *Pool) insert(q *queue, e *entry) {
	q.bySeq[e.tx.Sequence] = e
	p.byID[e.tx.ID()] = e
	p.bytes += int64(len(e.tx.Raw()))
	if len(q.bySeq) == 1 {
		q.last = e.tx.Sequence
		heap.Push(&p.tails, q)
	} else if e.tx.Sequence > q.last {
		q.last = e.tx.Sequence
		heap.Fix(&p.tails, q.place)
	}
}

// drop removes a transaction; an empty queue goes with it.
func (p *Pool) drop(q *queue, e *entry) {
	delete(q.bySeq, e.tx.Sequence)
	delete(p.byID, e.tx.ID())
	p.bytes -= int64(len(e.tx.Raw()))
	if len(q.bySeq) == 0 {
		heap.Remove(&p.tails, q.place)
		delete(p.queue, q.sender)
		return
	}
	if e.tx.Sequence == q.last {
		for q.last--; q.bySeq[q.last] == nil; q.last-- {
		}
		heap.Fix(&p.tails, q.place)
	}
}

// makeRoom evicts the cheapest tails for a transaction that pays more than they
// do. Only the end of a sender's queue is ever evicted, so that no gap arises.
func (p *Pool) makeRoom(tx *types.Tx) error {
	size := int64(len(tx.Raw()))
	for len(p.byID) >= p.cfg.MaxTxs || p.bytes+size > p.cfg.MaxBytes {
		if len(p.tails) == 0 {
			return ErrFull
		}
		q := p.tails[0]
		tail := q.bySeq[q.last]
		if q.sender == tx.Sender() || !cheaper(tail.tx, tx) {
			return fmt.Errorf("%w: pay more than %s for %d bytes, or try later", ErrFull, tail.tx.Fee, len(tail.tx.Raw()))
		}
		p.drop(q, tail)
	}
	return nil
}

// cheaper compares fees per byte exactly; equal rates are ordered by identifier.
func cheaper(a, b *types.Tx) bool {
	hiA, loA := bits.Mul64(uint64(a.Fee), uint64(len(b.Raw())))
	hiB, loB := bits.Mul64(uint64(b.Fee), uint64(len(a.Raw())))
	if hiA != hiB {
		return hiA < hiB
	}
	return loA < loB
}

// Get finds a waiting transaction.
func (p *Pool) Get(id hash.Hash) (*types.Tx, bool) {
	if e := p.byID[id]; e != nil {
		return e.tx, true
	}
	return nil, false
}

// NextSequence is the first sequence from the account's on that no waiting
// transaction uses.
func (p *Pool) NextSequence(a types.Address, account uint64) uint64 {
	if q := p.queue[a]; q != nil {
		for q.bySeq[account] != nil {
			account++
		}
	}
	return account
}

// Executed takes up the accounts that a block changed: what they have used of
// their sequences leaves the pool.
func (p *Pool) Executed(height types.Height, accounts map[types.Address]ledger.Account) {
	p.tip = height
	for address, account := range accounts {
		q := p.queue[address]
		if q == nil {
			continue
		}
		for seq := q.next; seq < account.Sequence; seq++ {
			if e := q.bySeq[seq]; e != nil {
				p.drop(q, e)
			}
		}
		q.next = account.Sequence
	}
}

// Expire drops what can no longer be executed or has waited too long, and returns
// its identifiers.
func (p *Pool) Expire(now time.Time) (gone []hash.Hash) {
	for id, e := range p.byID {
		if e.tx.Expiry <= p.tip || now.Sub(e.added) > p.cfg.TTL {
			p.drop(p.queue[e.tx.Sender()], e)
			gone = append(gone, id)
		}
	}
	return gone
}

// Stats are sizes of a pool.
type Stats struct {
	Txs   int
	Bytes int64
}

// Stats returns the present sizes.
func (p *Pool) Stats() Stats { return Stats{Txs: len(p.byID), Bytes: p.bytes} }
