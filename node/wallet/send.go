package wallet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api"
)

// DefaultExpiry is how many blocks an order may wait, unless it says otherwise.
const DefaultExpiry = 100

// attempts bounds how often an order is signed again because another one took
// its sequence number.
const attempts = 20

// Node is what a [Sender] needs of the API; client.Client is one.
type Node interface {
	Status(ctx context.Context) (api.Status, error)
	Balance(ctx context.Context, address string) (api.Account, error)
	Submit(ctx context.Context, raw []byte, wait bool) (api.Tx, error)
}

// Sender hands in the orders of accounts through one node. It is safe for concurrent
// use: orders queue while their sequence numbers are settled, in this process and
// among all that use the same lock file. Others may use the same account at the
// same time; whose number is taken signs again with the next. Only without a
// common lock can two equal orders get the same number: they are then one and the
// same transaction, and the money moves once.
type Sender struct {
	node  Node
	chain hash.Hash
	mu    chan struct{} // holds a token while free, so that waiting ends with the context
	file  *flock.Flock  // nil without a lock file
}

// NewSender uses a node. If chain is not zero, only a node of that network is
// accepted: a signature for another network could be spent there. If lockFile is
// not empty, it is made, and held while an order is handed in; see [Account.LockFile].
func NewSender(node Node, chain hash.Hash, lockFile string) *Sender {
	s := &Sender{node: node, chain: chain, mu: make(chan struct{}, 1)}
	s.mu <- struct{}{}
	if lockFile != "" {
		s.file = flock.New(lockFile)
	}
	return s
}

// lock waits for the other orders.
func (s *Sender) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case <-s.mu:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release := func() { s.mu <- struct{}{} }
	if s.file == nil {
		return release, nil
	}
	if _, err := s.file.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		release()
		return nil, fmt.Errorf("wait for other transactions of this account: %w", err)
	}
	return func() {
		_ = s.file.Unlock() // closing the descriptor, which it does too, unlocks as well
		release()
	}, nil
}

// Send hands an order in, and with wait returns once it is final. What the ledger
// would refuse, as far as balances tell, is not sent ([ErrRefused]); what it refused
// later is told by the transaction's Success and Code.
func (s *Sender) Send(ctx context.Context, key keys.PrivateKey, o Order, wait bool) (api.Tx, error) {
	tx, handed, err := s.handIn(ctx, key, o)
	if err != nil || !wait || handed.Final() {
		return handed, err
	}
	final, err := s.node.Submit(ctx, tx.Raw(), true) // the same again: only the wait is new
	if err != nil {
		return handed, fmt.Errorf("transaction %s is handed in, but its end was not seen (`starling tx show` follows it): %w", tx.ID(), err)
	}
	return final, nil
}

func (s *Sender) handIn(ctx context.Context, key keys.PrivateKey, o Order) (*types.Tx, api.Tx, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, api.Tx{}, err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		tx, err := s.Build(ctx, key, o)
		if err != nil {
			return nil, api.Tx{}, err
		}
		handed, err := s.node.Submit(ctx, tx.Raw(), false)
		if err != nil && taken(err) && o.Sequence == 0 && attempt < attempts {
			if err := pause(ctx, time.Duration(attempt)*5*time.Millisecond); err != nil {
				return nil, handed, err
			}
			continue
		}
		if err != nil {
			return nil, handed, fmt.Errorf("send transaction %s: %w", tx.ID(), err)
		}
		return tx, handed, nil
	}
}

// taken reports whether the sequence number was the fault, so that this
// transaction is nowhere and signing another is safe.
func taken(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Code == api.CodeRejected &&
		(strings.HasPrefix(p.Reason, "sequence-") || p.Reason == "replacement-fee-too-low")
}

// pause waits for up to d, at random: two who compete must not stay in step.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func drops(text string) (types.Drops, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || types.Drops(n) > types.MaxSupply {
		return 0, fmt.Errorf("the node gives %q, which is no amount", text)
	}
	return types.Drops(n), nil
}
