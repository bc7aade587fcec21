package private

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/starlingmesh/starling/chain/confidential"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/api"
)

// Options are what a spend leaves open.
type Options struct {
	Fee    types.Drops // 0 is the network's least fee
	Ring   int         // members of each ring; 0 is ring.DefaultSize, less where the chain has too few outputs
	Expiry uint64      // blocks from now
}

// Shield makes the body that moves an amount of the account into the wallet, or to payments out of
// it; for wallet.Order.Make.
func (w *Wallet) Shield(amount types.Drops, payments ...stealth.Payment) func(types.Header) (types.Body, error) {
	return func(h types.Header) (types.Body, error) {
		p := w.plan(h, payments)
		body, err := confidential.Shield(p, amount)
		if err != nil {
			return nil, err
		}
		return body, nil
	}
}

// Like is what a shield is like: what the fee and the balance depend on.
func Like(amount types.Drops, payments int) *types.Shield {
	return &types.Shield{Version: types.Confidential1, Amount: amount, Outputs: make([]types.ConfidentialOutput, max(types.MinOutputs, payments+1))}
}

func (w *Wallet) plan(h types.Header, payments []stealth.Payment) confidential.Plan {
	return confidential.Plan{Header: h, Seed: w.proofs, Payments: payments, Change: w.view.Address(0), Rand: rand.Reader}
}

// Send pays to addresses out of the wallet. With wait it returns once the payment is decided.
func (w *Wallet) Send(ctx context.Context, node Node, o Options, wait bool, payments ...stealth.Payment) (api.Tx, error) {
	return w.spend(ctx, node, o, wait, payments, nil)
}

// Payout is an amount that leaves for an account.
type Payout struct {
	To     types.Address
	Amount types.Drops
}

// Unshield pays to an account out of the wallet.
func (w *Wallet) Unshield(ctx context.Context, node Node, o Options, wait bool, out Payout) (api.Tx, error) {
	return w.spend(ctx, node, o, wait, nil, &out)
}

func (w *Wallet) spend(ctx context.Context, node Node, o Options, wait bool, payments []stealth.Payment, out *Payout) (api.Tx, error) {
	if w.keys == nil {
		return api.Tx{}, ErrViewOnly
	}
	if err := w.Scan(ctx, node, nil); err != nil {
		return api.Tx{}, err
	}
	status, err := node.Status(ctx)
	if err != nil {
		return api.Tx{}, err
	}
	least, err := strconv.ParseUint(status.MinFeeDrops, 10, 64)
	if err != nil {
		return api.Tx{}, fmt.Errorf("status: min_fee_drops: %w", err)
	}
	outputs := max(types.MinOutputs, len(payments)+1)
	coins, fee, err := w.choose(o, types.Params{MinFee: types.Drops(least)}, outputs, due(payments, out))
	if err != nil {
		return api.Tx{}, err
	}
	inputs, err := w.hide(ctx, node, coins, o, paceOf(status))
	if err != nil {
		return api.Tx{}, err
	}
	expiry := status.Height + min(cmp.Or(o.Expiry, 100), status.MaxExpiry)
	p := w.plan(types.Header{Chain: status.ChainID, Fee: fee, Expiry: types.Height(expiry)}, payments)
	var tx *types.Tx
	if out == nil {
		tx, err = confidential.Transfer(p, inputs)
	} else {
		tx, err = confidential.Unshield(p, inputs, out.To, out.Amount)
	}
	if err != nil {
		return api.Tx{}, err
	}
	w.remember(tx, payments)
	return w.handIn(ctx, node, tx, coins, expiry, wait)
}

// handIn reserves the coins before the node has the transaction: they are not spent twice by who
// is told too late.
func (w *Wallet) handIn(ctx context.Context, node Node, tx *types.Tx, coins []Coin, expiry uint64, wait bool) (api.Tx, error) {
	w.reserve(coins, expiry)
	if err := w.save(); err != nil {
		return api.Tx{}, err
	}
	handed, err := node.Submit(ctx, tx.Raw(), false)
	if err != nil {
		var p *api.Problem
		if errors.As(err, &p) && p.Code == api.CodeRejected { // nobody has it
			w.reserve(coins, 0)
			w.forget(tx)
			err = errors.Join(err, w.save())
		}
		return handed, fmt.Errorf("send transaction %s: %w", tx.ID(), err)
	}
	if !wait {
		return handed, nil
	}
	final, err := node.Submit(ctx, tx.Raw(), true)
	if err != nil {
		return handed, fmt.Errorf("transaction %s is handed in, but its end was not seen (`starling tx show` follows it): %w", tx.ID(), err)
	}
	return final, w.Scan(ctx, node, nil)
}

func (w *Wallet) reserve(coins []Coin, until uint64) {
	for _, c := range coins {
		for i := range w.known.Coins {
			if w.known.Coins[i].Number == c.Number {
				w.known.Coins[i].Reserved = until
			}
		}
	}
}

func (o Options) ring() int {
	if o.Ring == 0 {
		return ring.DefaultSize
	}
	return o.Ring
}

func due(payments []stealth.Payment, out *Payout) (sum types.Drops) {
	for _, p := range payments {
		sum += types.Drops(p.Amount)
	}
	if out != nil {
		sum += out.Amount
	}
	return sum
}

// choose takes the largest coins until they cover an amount and the fee for taking so many.
func (w *Wallet) choose(o Options, params types.Params, outputs int, amount types.Drops) (coins []Coin, fee types.Drops, err error) {
	var ready []Coin
	for _, c := range w.known.Coins {
		if c.Spent == 0 && c.Amount > 0 && c.Reserved <= w.known.Height && ripe(c.Height, w.known.Height) {
			ready = append(ready, c)
		}
	}
	slices.SortStableFunc(ready, func(a, b Coin) int { return cmp.Compare(b.Amount, a.Amount) })
	var have types.Drops
	for n := 1; n <= min(len(ready), types.MaxInputs); n++ {
		have += ready[n-1].Amount
		if fee = o.Fee; fee == 0 {
			fee = params.LeastFee(like(n, o.ring(), outputs), nil)
		}
		if have >= amount && have-amount >= fee {
			return ready[:n], fee, nil
		}
	}
	b := w.Balance()
	switch {
	case b.Ready+b.Young+b.Reserved < amount:
		return nil, 0, fmt.Errorf("%w: %s are there, %s and a fee are to be paid", ErrFunds, b.Total, amount)
	case b.Young+b.Reserved > 0:
		return nil, 0, fmt.Errorf("%w that may be spent now: %s are ready, %s must age by %d blocks, %s wait in transactions", ErrFunds, b.Ready, b.Young, ledger.RingAge, b.Reserved)
	}
	return nil, 0, fmt.Errorf("%w: %s are there in %d outputs, of which %d fit into a transaction; with the fee that does not cover %s", ErrFunds, b.Ready, b.Coins, types.MaxInputs, amount)
}

// like is what a transfer with so many inputs and outputs costs as much as.
func like(inputs, members, outputs int) types.Body {
	t := &types.Transfer{Outputs: make([]types.ConfidentialOutput, outputs)}
	for range inputs {
		t.Inputs = append(t.Inputs, types.ConfidentialInput{Ring: make([]uint64, members)})
	}
	return t
}

// hide puts coins into rings.
func (w *Wallet) hide(ctx context.Context, node Node, coins []Coin, o Options, pace float64) ([]confidential.Input, error) {
	choose := newChooser(w.known.Heights, w.known.Height, pace)
	inputs := make([]confidential.Input, len(coins))
	for i, c := range coins {
		members, err := choose.ring(c.Number, o)
		if err != nil {
			return nil, err
		}
		page, err := node.OutputsAt(ctx, members)
		if err == nil && len(page.Outputs) != len(members) {
			err = errors.New("the node gave another number of outputs than was asked for")
		}
		if err != nil {
			return nil, fmt.Errorf("read the outputs of a ring: %w", err)
		}
		inputs[i] = confidential.Input{Coin: w.spendable(c), Ring: members}
		for _, raw := range page.Outputs {
			o, err := ledger.DecodeOutput(raw)
			if err != nil {
				return nil, fmt.Errorf("read the outputs of a ring: %w", err)
			}
			inputs[i].Members = append(inputs[i].Members, ring.Member{Key: o.Key, Commitment: o.Commitment})
		}
	}
	return inputs, nil
}
