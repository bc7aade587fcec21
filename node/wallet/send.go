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

// DefaultExpiry is how many blocks a payment may wait, unless it says otherwise.
const DefaultExpiry = 100

// attempts bounds how often a payment is signed again because another one took
// its sequence number.
const attempts = 20

// Node is what a [Sender] needs of the API; client.Client is one.
type Node interface {
	Status(ctx context.Context) (api.Status, error)
	Balance(ctx context.Context, address string) (api.Account, error)
	Submit(ctx context.Context, raw []byte, wait bool) (api.Tx, error)
}

// Payment is what a sender wants.
type Payment struct {
	To     types.Address
	Amount types.Drops
	Fee    types.Drops // 0 is the network's least fee
	Memo   string      // at most types.MaxMemo bytes
	Expiry uint64      // blocks from now; 0 is DefaultExpiry
}

// Sender pays from accounts through one node. It is safe for concurrent use:
// payments queue while their sequence numbers are settled, in this process and
// among all that use the same lock file. Others may pay from the same account at
// the same time; whose number is taken signs again with the next. Only without a
// common lock can two equal payments get the same number: they are then one and
// the same transaction, and the money moves once.
type Sender struct {
	node  Node
	chain hash.Hash
	mu    chan struct{} // holds a token while free, so that waiting ends with the context
	file  *flock.Flock  // nil without a lock file
}

// NewSender uses a node. If chain is not zero, only a node of that network is
// accepted: a signature for another network could be spent there. If lockFile is
// not empty, it is made, and held while a payment is handed in; see [Account.LockFile].
func NewSender(node Node, chain hash.Hash, lockFile string) *Sender {
	s := &Sender{node: node, chain: chain, mu: make(chan struct{}, 1)}
	s.mu <- struct{}{}
	if lockFile != "" {
		s.file = flock.New(lockFile)
	}
	return s
}

// lock waits for the other payments.
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
		return nil, fmt.Errorf("wait for other payments of this account: %w", err)
	}
	return func() {
		_ = s.file.Unlock() // closing the descriptor, which it does too, unlocks as well
		release()
	}, nil
}

// Send pays, and with wait returns once the payment is final. A payment that the
// ledger would refuse is not sent ([ErrRefused]); one that it refused later is
// told by the transaction's Success and Code.
func (s *Sender) Send(ctx context.Context, key keys.PrivateKey, p Payment, wait bool) (api.Tx, error) {
	tx, handed, err := s.handIn(ctx, key, p)
	if err != nil || !wait || handed.Final() {
		return handed, err
	}
	final, err := s.node.Submit(ctx, tx.Raw(), true) // the same again: only the wait is new
	if err != nil {
		return handed, fmt.Errorf("transaction %s is handed in, but its end was not seen (`starling tx show` follows it): %w", tx.ID(), err)
	}
	return final, nil
}

func (s *Sender) handIn(ctx context.Context, key keys.PrivateKey, p Payment) (*types.Tx, api.Tx, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, api.Tx{}, err
	}
	defer unlock()
	for attempt := 1; ; attempt++ {
		tx, err := s.Build(ctx, key, p)
		if err != nil {
			return nil, api.Tx{}, err
		}
		handed, err := s.node.Submit(ctx, tx.Raw(), false)
		if err != nil && taken(err) && attempt < attempts {
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

// Build signs a payment without sending it.
func (s *Sender) Build(ctx context.Context, key keys.PrivateKey, p Payment) (*types.Tx, error) {
	status, err := s.node.Status(ctx)
	if err != nil {
		return nil, err
	}
	if s.chain != (hash.Hash{}) && status.ChainID != s.chain {
		return nil, fmt.Errorf("%w: its chain is %s (%s), the genesis file's is %s", ErrChain, status.ChainID.Short(), status.Network, s.chain.Short())
	}
	if p.Fee == 0 {
		if p.Fee, err = drops(status.MinFeeDrops); err != nil {
			return nil, fmt.Errorf("status: min_fee_drops: %w", err)
		}
	}
	public := key.Public().Bytes()
	from := types.AddressOf(public)
	account, err := s.node.Balance(ctx, from.Format(status.AddressPrefix))
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, status, from, account, p); err != nil {
		return nil, err
	}
	expiry := p.Expiry
	if expiry == 0 {
		expiry = DefaultExpiry
	}
	return types.SignTx(types.Header{
		Chain: status.ChainID, Key: public, Sequence: max(account.Sequence, account.NextSequence), Fee: p.Fee,
		Expiry: types.Height(status.Height + min(expiry, status.MaxExpiry)), Memo: []byte(p.Memo),
	}, &types.Payment{To: p.To, Amount: p.Amount}, key)
}

// check finds what the ledger would refuse. It sees the state of one moment, so
// the ledger still may.
func (s *Sender) check(ctx context.Context, status api.Status, from types.Address, account api.Account, p Payment) error {
	balance, err := drops(account.BalanceDrops)
	if err != nil {
		return fmt.Errorf("balance_drops: %w", err)
	}
	reserve, err := drops(status.ReserveDrops)
	if err != nil {
		return fmt.Errorf("status: reserve_drops: %w", err)
	}
	// As the ledger counts: what stays is compared before the fee is taken.
	stays := max(reserve, p.Fee)
	switch {
	case p.To == from:
		return fmt.Errorf("%w: the account would pay itself", ErrRefused)
	case len(p.Memo) > types.MaxMemo:
		return fmt.Errorf("%w: the memo has %d bytes, at most %d fit", ErrRefused, len(p.Memo), types.MaxMemo)
	case !account.Exists:
		return fmt.Errorf("%w: %s holds nothing yet; send it at least %s coins first", ErrRefused, account.Address, reserve)
	case balance < p.Amount || balance-p.Amount < stays:
		return fmt.Errorf("%w: %s coins cannot be paid: the account holds %s, of which %s must stay, so at most %s can go",
			ErrRefused, p.Amount, balance, stays, balance-min(balance, stays))
	case p.Amount >= reserve:
		return nil
	}
	to, err := s.node.Balance(ctx, p.To.Format(status.AddressPrefix))
	if err == nil && !to.Exists {
		return fmt.Errorf("%w: %s has no account yet, and the first payment must be at least the reserve of %s coins", ErrRefused, to.Address, reserve)
	}
	return err
}

func drops(text string) (types.Drops, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || types.Drops(n) > types.MaxSupply {
		return 0, fmt.Errorf("the node gives %q, which is no amount", text)
	}
	return types.Drops(n), nil
}
