package ledger

import "github.com/starlingmesh/starling/chain/types"

// transactor applies the body of one kind of transaction to a view from which the
// fee has been taken already. It returns [Applied] or a code that claims the fee;
// in the latter case, and if the view refused an access, what it did to the
// view is undone.
type transactor interface {
	apply(v *view, tx *types.Tx) Code
	// outlay is the most that the body takes out of its sender's balance
	// beside the fee, which the balance covers.
	outlay(tx *types.Tx, balance types.Drops) types.Drops
}

// payment moves native coins; see the package documentation for the rule.
type payment struct{ reserve types.Drops }

func (p payment) apply(v *view, tx *types.Tx) Code {
	body := tx.Body.(*types.Payment) // by the registry in New
	sender := tx.Sender()
	if body.To == sender {
		return SelfPayment
	}
	from, _ := v.account(sender)
	had := from.Balance + tx.Fee // as before the fee was taken: cannot overflow
	if p.outlay(tx, had) == 0 {
		return Underfunded
	}
	to, exists := v.account(body.To)
	if !exists && body.Amount < p.reserve {
		return DestinationBelowReserve
	}
	from.Balance -= body.Amount
	to.Balance += body.Amount // within the supply, else an invariant speaks up
	v.setAccount(sender, from)
	v.setAccount(body.To, to)
	return Applied
}

// outlay implements [transactor]: the amount, or nothing if paying it would leave
// too little.
func (p payment) outlay(tx *types.Tx, balance types.Drops) types.Drops {
	amount := tx.Body.(*types.Payment).Amount
	if balance < amount || balance-amount < max(p.reserve, tx.Fee) {
		return 0
	}
	return amount
}
