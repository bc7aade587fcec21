package testnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

// load keeps payments coming at a steady rate from many accounts, through all
// nodes, and remembers every payment that a node accepted.
type load struct {
	chain   hash.Hash
	params  types.Params
	clients []*client.Client
	senders []*sender
	rate    int // payments a second in all
	bytes   int // that each publishes in place of paying; 0: they pay

	submitted atomic.Int64
	refused   atomic.Int64

	// What was accepted goes to a file, since a long run would fill the memory;
	// when, only for the newest.
	mu       sync.Mutex
	accepted *os.File
	count    int
	recent   *lru.Cache[hash.Hash, time.Time]
}

// sender is one account that pays. Its payments go out one batch after another,
// so their sequence numbers never have gaps.
type sender struct {
	name string
	key  keys.PrivateKey
	to   types.Address
	seed *rand.Rand
}

const (
	batchEvery   = 200 * time.Millisecond
	retryEvery   = 100 * time.Millisecond
	acceptedName = "accepted.ids"
	recentKept   = 1 << 16
	loadExpiry   = 50_000 // blocks: a payment outlives any outage of the test
)

func newLoad(l *Layout, clients []*client.Client, rate, bytes int, seed uint64) (*load, error) {
	recent, err := lru.New[hash.Hash, time.Time](recentKept)
	if err != nil {
		return nil, err
	}
	out := &load{chain: l.Genesis.ChainID(), params: l.Genesis.Params, clients: clients, rate: rate, bytes: bytes, recent: recent}
	if out.accepted, err = os.Create(filepath.Join(l.Dir, acceptedName)); err != nil {
		return nil, fmt.Errorf("keep accepted payments: %w", err)
	}
	accounts := l.Loaders()
	for i, a := range accounts {
		key, err := a.Key()
		if err != nil {
			return nil, err
		}
		to, err := types.ParseAddress(accounts[(i+1)%len(accounts)].Address, l.Genesis.AddressPrefix)
		if err != nil {
			return nil, err
		}
		out.senders = append(out.senders, &sender{name: a.Name, key: key, to: to, seed: rand.New(rand.NewPCG(seed, uint64(i)))})
	}
	return out, nil
}

// run submits until ctx ends.
func (l *load) run(ctx context.Context) error {
	var g errgroup.Group
	for i, s := range l.senders {
		g.Go(func() error {
			err := l.pay(ctx, s, i)
			if ctx.Err() != nil {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

func (l *load) pay(ctx context.Context, s *sender, place int) error {
	account, err := l.account(ctx, s)
	if err != nil {
		return err
	}
	next := account.NextSequence
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	// Each sender pays its share; what does not divide is left to chance.
	share := float64(l.rate) * batchEvery.Seconds() / float64(len(l.senders))
	for ctx.Err() == nil {
		n := int(share)
		if s.seed.Float64() < share-float64(n) {
			n++
		}
		if n > 0 {
			if next, err = l.batch(ctx, s, place, next, n); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

func (l *load) account(ctx context.Context, s *sender) (api.Account, error) {
	address := types.AddressOf(s.key.Public().Bytes()).Format(AddressPrefix)
	for i := 0; ; i++ {
		a, err := l.clients[i%len(l.clients)].Balance(ctx, address)
		if err == nil {
			return a, nil
		}
		if err := pause(ctx); err != nil {
			return a, err
		}
	}
}

func pause(ctx context.Context) error { return sleep(ctx, retryEvery) }

// batch submits n payments and does not rest until each is accepted by some
// node: the same bytes again, to the next node if one does not answer.
func (l *load) batch(ctx context.Context, s *sender, place int, next uint64, n int) (uint64, error) {
	raws, ids, err := l.build(ctx, s, next, n)
	if err != nil {
		return next, err
	}
	began := time.Now()
	l.submitted.Add(int64(n))
	for try := 0; len(raws) > 0; try++ {
		reply, err := l.clients[(place+try)%len(l.clients)].SubmitMany(ctx, raws)
		if err == nil {
			raws, ids, err = l.took(raws, ids, reply, began)
			if errors.Is(err, errTaken) {
				l.submitted.Add(-int64(len(raws)))
				account, err := l.account(ctx, s)
				return account.NextSequence, err
			}
			if err != nil {
				return next, err
			}
		}
		if len(raws) == 0 {
			break
		}
		if err := pause(ctx); err != nil {
			l.submitted.Add(-int64(len(raws))) // never got through
			return next, err
		}
	}
	return next + uint64(n), nil
}

// errTaken means that the sender's sequence numbers are in use by payments of an
// earlier run that still wait.
var errTaken = errors.New("sequence numbers in use")

// took notes what was accepted and returns what was not and can be tried again.
func (l *load) took(raws [][]byte, ids []hash.Hash, reply api.SubmitManyReply, began time.Time) ([][]byte, []hash.Hash, error) {
	if len(reply.Results) != len(raws) {
		return nil, nil, fmt.Errorf("%d answers to %d payments", len(reply.Results), len(raws))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var again [][]byte
	var againIDs []hash.Hash
	for i, r := range reply.Results {
		if r.Accepted {
			if _, err := l.accepted.Write(ids[i][:]); err != nil {
				return nil, nil, fmt.Errorf("keep accepted payments: %w", err)
			}
			l.count++
			l.recent.Add(ids[i], began)
			continue
		}
		if r.Error != nil && (r.Error.Reason == "replacement-fee-too-low" || r.Error.Reason == "sequence-past") {
			return append(again, raws[i:]...), nil, errTaken
		}
		l.refused.Add(1)
		again, againIDs = append(again, raws[i]), append(againIDs, ids[i])
	}
	return again, againIDs, nil
}

func (l *load) build(ctx context.Context, s *sender, next uint64, n int) (raws [][]byte, ids []hash.Hash, err error) {
	status, err := l.status(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range n {
		body := l.body(s)
		tx, err := types.SignTx(types.Header{
			Chain: l.chain, Key: s.key.Public().Bytes(), Sequence: next + uint64(i), Fee: l.params.LeastFee(body, s.key.Public().Bytes()),
			Expiry: types.Height(status.Height) + loadExpiry,
		}, body, s.key)
		if err != nil {
			return nil, nil, err
		}
		raws, ids = append(raws, tx.Raw()), append(ids, tx.ID())
	}
	return raws, ids, nil
}

// body is what a sender does next: random data does not compress, so that what travels is
// what was asked for.
func (l *load) body(s *sender) types.Body {
	if l.bytes == 0 {
		return &types.Payment{To: s.to, Amount: 1 + types.Drops(s.seed.Uint64N(1000))}
	}
	content := make([]byte, l.bytes)
	for i := range content {
		content[i] = byte(s.seed.Uint64())
	}
	return &types.Data{Content: content}
}

func (l *load) status(ctx context.Context) (api.Status, error) {
	for i := 0; ; i++ {
		st, err := l.clients[i%len(l.clients)].Status(ctx)
		if err == nil {
			return st, nil
		}
		if err := pause(ctx); err != nil {
			return st, err
		}
	}
}

// submittedAt looks up when a payment was submitted, if that was not long ago.
func (l *load) submittedAt(id hash.Hash) (time.Time, bool) { return l.recent.Peek(id) }

// ids lists what was accepted.
func (l *load) ids() ([]hash.Hash, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	data := make([]byte, l.count*hash.Size)
	if _, err := l.accepted.ReadAt(data, 0); err != nil && len(data) > 0 {
		return nil, fmt.Errorf("read accepted payments: %w", err)
	}
	out := make([]hash.Hash, l.count)
	for i := range out {
		copy(out[i][:], data[i*hash.Size:])
	}
	return out, nil
}

func (l *load) close() { _ = l.accepted.Close() } // read already
