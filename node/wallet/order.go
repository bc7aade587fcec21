package wallet

import (
	"context"
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node/api"
)

// Order is what a sender wants done.
type Order struct {
	Body types.Body // a payment, a bond, …
	// From is the account that acts, if that is not the key's own: it signs for another, see
	// [Signers].
	From types.Address
	// Make, if set, makes the body anew for the header that it is signed with; Body is then what
	// it will be like, as far as the fee and the balance depend on it.
	Make     func(types.Header) (types.Body, error)
	Fee      types.Drops // 0 is the network's least fee
	Memo     string      // at most types.MaxMemo bytes
	Expiry   uint64      // blocks from now; 0 is DefaultExpiry
	Sequence uint64      // 0 is the account's next; others are for proposals that wait side by side
}

// Pay orders a payment.
func Pay(to types.Address, amount types.Drops) Order {
	return Order{Body: &types.Payment{To: to, Amount: amount}}
}

// situation is what the node says of the sender at one moment.
type situation struct {
	status           api.Status
	from             types.Address
	account          api.Account
	balance, reserve types.Drops
}

func (s *Sender) look(ctx context.Context, status api.Status, from types.Address) (situation, error) {
	at := situation{status: status, from: from}
	var err error
	if at.account, err = s.node.Balance(ctx, from.Format(status.AddressPrefix)); err != nil {
		return at, err
	}
	if at.balance, err = drops(at.account.BalanceDrops); err != nil {
		return at, fmt.Errorf("balance_drops: %w", err)
	}
	if at.reserve, err = drops(status.ReserveDrops); err != nil {
		return at, fmt.Errorf("status: reserve_drops: %w", err)
	}
	return at, nil
}

// check finds what the ledger would refuse. It sees the state of one moment, so
// the ledger still may.
func (s *Sender) check(ctx context.Context, at situation, o Order) error {
	switch {
	case len(o.Memo) > types.MaxMemo:
		return fmt.Errorf("%w: the memo has %d bytes, at most %d fit", ErrRefused, len(o.Memo), types.MaxMemo)
	case !at.account.Exists:
		return fmt.Errorf("%w: %s holds nothing yet; send it at least %s coins first", ErrRefused, at.account.Address, at.reserve)
	case at.balance < o.Fee:
		return fmt.Errorf("%w: the fee is %s coins, and the account holds %s", ErrRefused, o.Fee, at.balance)
	}
	if o.Make == nil {
		if err := o.Body.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	switch b := o.Body.(type) {
	case *types.Shield:
		return at.spare(o.Fee, b.Amount, "shielded")
	case *types.Payment:
		return s.checkPayment(ctx, at, o.Fee, b)
	case *types.Bond:
		return at.spare(o.Fee, b.Amount, "bonded")
	default:
		return nil
	}
}

func (s *Sender) checkPayment(ctx context.Context, at situation, fee types.Drops, p *types.Payment) error {
	if p.To == at.from {
		return fmt.Errorf("%w: the account would pay itself", ErrRefused)
	}
	if err := at.spare(fee, p.Amount, "paid"); err != nil || p.Amount >= at.reserve {
		return err
	}
	to, err := s.node.Balance(ctx, p.To.Format(at.status.AddressPrefix))
	if err == nil && !to.Exists {
		return fmt.Errorf("%w: %s has no account yet, and the first payment must be at least the reserve of %s coins", ErrRefused, to.Address, at.reserve)
	}
	return err
}

// spare checks that an amount can leave the account. As the ledger counts, what
// stays is compared before the fee is taken.
func (at situation) spare(fee, amount types.Drops, act string) error {
	stays := max(at.reserve, fee)
	if at.balance < amount || at.balance-amount < stays {
		return fmt.Errorf("%w: %s coins cannot be %s: the account holds %s, of which %s must stay, so at most %s can go",
			ErrRefused, amount, act, at.balance, stays, at.balance-min(at.balance, stays))
	}
	return nil
}
