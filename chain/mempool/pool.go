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
	"maps"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/curve"
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

// Accounts looks up the account of a transaction in the executed state, as ledger.AccountOf
// does, with its errors.
type Accounts func(*types.Tx) (ledger.Account, error)

// Pool keeps transactions in a queue a sender, by sequence number. It has one
// caller at a time, reads no clock and starts nothing; now must never decrease.
type Pool struct {
	cfg      Config
	ledger   *ledger.Ledger
	accounts Accounts

	tip   types.Height
	byID  map[hash.Hash]*entry
	image map[curve.Point]*entry // by the outputs that they spend
	queue map[types.Address]*queue
	heads heads
	tails tails
	bytes int64
	order uint64 // of the next arrival
}

// NewPool makes an empty pool.
func NewPool(cfg Config, l *ledger.Ledger, accounts Accounts) *Pool {
	return &Pool{
		cfg: cfg.withDefaults(), ledger: l, accounts: accounts,
		byID: map[hash.Hash]*entry{}, image: map[curve.Point]*entry{}, queue: map[types.Address]*queue{},
	}
}

// Add takes a transaction whose signature was checked. The error tells what is
// wrong with it: one of this package's, or of ledger.Check; the pool is then as it
// was.
func (p *Pool) Add(now time.Time, tx *types.Tx) error {
	if p.byID[tx.ID()] != nil {
		return ErrKnown
	}
	account, err := p.accounts(tx)
	if err != nil {
		return err
	}
	if err := p.ledger.Check(tx, account, p.tip); err != nil {
		return err
	}
	if tx.Sequence-account.Sequence >= uint64(p.cfg.PerSender) {
		return fmt.Errorf("%w: %d, the account is at %d and at most %d may wait", ErrSequenceGap, tx.Sequence, account.Sequence, p.cfg.PerSender)
	}
	q := p.queue[tx.Sender()]
	if q == nil {
		q = &queue{sender: tx.Sender(), ready: -1, bySeq: map[uint64]*entry{}}
	}
	p.advance(q, account)
	old := q.bySeq[tx.Sequence]
	if err := admissible(tx, q, old); err != nil {
		return err
	}
	rivals, err := p.rivals(tx, old)
	if err != nil {
		return err
	}
	for _, e := range rivals {
		p.drop(e)
	}
	if err := p.makeRoom(q, tx); err != nil {
		for _, e := range rivals {
			p.insert(e)
		}
		return err
	}
	p.insert(&entry{tx: tx, added: now, order: p.order, rank: rank(tx), queue: q})
	p.order++
	return nil
}

// rivals are the transactions that a new one would take the place of: the one of its sequence, if
// there is one, and those that spend an output that it spends. It must outbid each.
func (p *Pool) rivals(tx *types.Tx, old *entry) (out []*entry, err error) {
	if old != nil {
		out = append(out, old)
	}
	for _, image := range images(tx) {
		e := p.image[image]
		if e == nil || slices.Contains(out, e) {
			continue
		}
		if err := outbids(tx, e.tx); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// images are the key images of what a transaction spends.
func images(tx *types.Tx) (out []curve.Point) {
	if a, ok := tx.Body.(types.Anonymous); ok {
		for _, in := range a.Spends() {
			out = append(out, in.Image)
		}
	}
	return out
}

// admissible checks a transaction against those of its sender that wait, of which
// old would be replaced. The balance must cover all their fees together: else
// one account could fill the pool with promises that it can never pay.
func admissible(tx *types.Tx, q *queue, old *entry) error {
	fees := q.fees
	if old != nil {
		if err := outbids(tx, old.tx); err != nil {
			return err
		}
		fees -= old.tx.Fee
	}
	if tx.Fee > q.balance-fees {
		return fmt.Errorf("%w of those that wait (%s) and this one (%s; balance %s)", ledger.ErrCannotPayFee, fees, tx.Fee, q.balance)
	}
	return nil
}

// outbids checks that a replacement pays a tenth more, rounded up, and at least
// one drop: replacing must cost, or it would be a way to flood.
func outbids(tx, old *types.Tx) error {
	least := old.Fee + max(1, (old.Fee+9)/10)
	if tx.Fee < least {
		return fmt.Errorf("%w: a transaction with sequence %d, or that spends the same output, waits already; to replace it pay at least %s", ErrReplaceFee, tx.Sequence, least)
	}
	return nil
}

func (p *Pool) insert(e *entry) {
	q := e.queue
	q.bySeq[e.tx.Sequence] = e
	q.fees += e.tx.Fee
	p.byID[e.tx.ID()] = e
	for _, image := range images(e.tx) {
		p.image[image] = e
	}
	p.bytes += int64(len(e.tx.Raw()))
	if len(q.bySeq) == 1 {
		p.queue[q.sender] = q
		q.last, q.tail = e.tx.Sequence, e
		heap.Push(&p.tails, q)
	} else if e.tx.Sequence > q.last {
		q.last = e.tx.Sequence
	}
	p.settle(q)
}

// drop removes a transaction; an empty queue goes with it.
func (p *Pool) drop(e *entry) {
	q := e.queue
	delete(q.bySeq, e.tx.Sequence)
	delete(p.byID, e.tx.ID())
	for _, image := range images(e.tx) {
		delete(p.image, image)
	}
	q.fees -= e.tx.Fee
	p.bytes -= int64(len(e.tx.Raw()))
	if len(q.bySeq) == 0 {
		heap.Remove(&p.tails, q.place)
		delete(p.queue, q.sender)
	} else if e.tx.Sequence == q.last {
		for q.last--; q.bySeq[q.last] == nil; q.last-- {
		}
	}
	p.settle(q)
}

// settle finds the ends of a queue and its places in the heaps again, after any
// change to it.
func (p *Pool) settle(q *queue) {
	if len(q.bySeq) > 0 {
		q.tail = q.bySeq[q.last]
		heap.Fix(&p.tails, q.place)
	}
	q.head = q.bySeq[q.next]
	switch {
	case q.ready >= 0 && q.head == nil:
		heap.Remove(&p.heads, q.ready)
	case q.ready >= 0:
		heap.Fix(&p.heads, q.ready)
	case q.head != nil:
		heap.Push(&p.heads, q)
	}
}

// makeRoom evicts the worst tails for a transaction that is better than they
// are, or nothing at all. Only the end of a queue is ever evicted, so that no gap
// arises, and never the queue's that tx belongs to.
func (p *Pool) makeRoom(q *queue, tx *types.Tx) error {
	size := int64(len(tx.Raw()))
	if !p.over(size) {
		return nil
	}
	runs := q.continues(tx.Sequence)
	var spared bool
	if spared = len(q.bySeq) > 0; spared {
		heap.Remove(&p.tails, q.place)
	}
	var evicted []*entry
	var err error
	for err == nil && p.over(size) {
		if len(p.tails) == 0 {
			err = ErrFull
		} else if worst := p.tails[0]; !yields(worst, tx, runs) {
			err = fmt.Errorf("%w: pay more than %s for %d bytes, or try later", ErrFull, worst.tail.tx.Fee, len(worst.tail.tx.Raw()))
		} else {
			evicted = append(evicted, worst.tail)
			p.drop(worst.tail)
		}
	}
	if spared {
		heap.Push(&p.tails, q)
	}
	if err != nil {
		for _, e := range evicted {
			p.insert(e)
		}
	}
	return err
}

func (p *Pool) over(size int64) bool {
	return len(p.byID) >= p.cfg.MaxTxs || p.bytes+size > p.cfg.MaxBytes
}

// yields reports whether the last transaction of a queue gives way to tx, which
// runs if nothing is missing before it.
func yields(q *queue, tx *types.Tx, runs bool) bool {
	if stays := q.contiguous(); stays != runs {
		return runs
	}
	return cheaper(q.tail.tx, tx)
}

// Remove drops a transaction that was added by mistake.
func (p *Pool) Remove(id hash.Hash) {
	if e := p.byID[id]; e != nil {
		p.drop(e)
	}
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

// Executed takes up the accounts that a block changed and the key images that it showed: what
// has used up its sequence leaves the pool, and what can no longer be paid or spent.
func (p *Pool) Executed(height types.Height, accounts map[types.Address]ledger.Account, spent []curve.Point) {
	p.tip = height
	for _, image := range spent {
		if e := p.image[image]; e != nil {
			p.drop(e)
		}
	}
	for address, account := range accounts {
		if q := p.queue[address]; q != nil {
			p.advance(q, account)
		}
	}
}

// advance brings a queue up to its account. What is signed by a key that does not sign for it any
// more goes, and what the balance does not cover, from the end.
func (p *Pool) advance(q *queue, account ledger.Account) {
	if account.Sequence < q.next {
		return // older than what an addition has seen already
	}
	from := q.next
	q.next, q.balance = account.Sequence, account.Balance
	for seq := from; seq < account.Sequence && len(q.bySeq) > 0; seq++ {
		if e := q.bySeq[seq]; e != nil {
			p.drop(e)
		}
	}
	if q.signer != account.Signer {
		q.signer = account.Signer
		for _, e := range maps.Clone(q.bySeq) {
			if !account.Signs(e.tx) {
				p.drop(e)
			}
		}
	}
	for q.fees > q.balance {
		p.drop(q.bySeq[q.last])
	}
	p.settle(q)
}

// Expire drops what can no longer be executed or has waited too long, and returns
// its identifiers.
func (p *Pool) Expire(now time.Time) (gone []hash.Hash) {
	for id, e := range p.byID {
		if e.tx.Expiry <= p.tip || now.Sub(e.added) > p.cfg.TTL {
			p.drop(e)
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
