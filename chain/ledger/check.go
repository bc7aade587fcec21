package ledger

import (
	"fmt"

	"github.com/starlingmesh/starling/chain/types"
)

// Check tells whether a transaction may wait for a place in the block after tip:
// what [Ledger.Execute] would refuse without effect is refused with an error of
// this package, except a sequence number in the future, whose turn may come. The
// account is the sender's at tip; callers report a missing one as [ErrNoAccount]
// themselves. The signature is not looked at.
func (l *Ledger) Check(tx *types.Tx, sender Account, tip types.Height) error {
	code := l.admit(tx, sender, true, tip+1)
	switch code {
	case Applied:
		return nil
	case SequenceFuture: // what admit would have asked next
		if sender.Balance >= tx.Fee {
			return nil
		}
		code = CannotPayFee
	}
	return l.explain(code, tx, sender, tip)
}

// Left is the least that a transaction leaves of its sender's balance, if nobody
// pays in meanwhile. It is false if the balance does not cover the fee.
func (l *Ledger) Left(tx *types.Tx, balance types.Drops) (types.Drops, bool) {
	if balance < tx.Fee {
		return balance, false
	}
	outlay := types.Drops(0)
	if t := l.transactors[tx.Body.Kind()]; t != nil {
		outlay = t.outlay(tx, balance)
	}
	return balance - tx.Fee - outlay, true
}

// explain adds the numbers to a refusal.
func (l *Ledger) explain(code Code, tx *types.Tx, sender Account, tip types.Height) error {
	err := refusals[code]
	switch code {
	case Expired, ExpiryTooFar:
		return fmt.Errorf("%w (expiry %d, the chain is at %d, at most %d ahead)", err, tx.Expiry, tip, l.params.MaxExpiry)
	case FeeTooLow:
		return fmt.Errorf("%w (fee %s, least %s)", err, tx.Fee, l.params.LeastFee(tx.Body, tx.Key))
	case SequencePast:
		return fmt.Errorf("%w (sequence %d, next %d)", err, tx.Sequence, sender.Sequence)
	case CannotPayFee:
		return fmt.Errorf("%w (fee %s, balance %s)", err, tx.Fee, sender.Balance)
	default:
		return err
	}
}

// admit is the one rule for what may be executed in the block of height h. It
// returns [Applied] if nothing speaks against it.
func (l *Ledger) admit(tx *types.Tx, sender Account, exists bool, h types.Height) Code {
	switch {
	case tx.Chain != l.chain:
		return WrongChain
	case tx.Expiry < h:
		return Expired
	case tx.Expiry-h >= l.params.MaxExpiry: // more than MaxExpiry above the block before
		return ExpiryTooFar
	case tx.Fee < l.params.LeastFee(tx.Body, tx.Key):
		return FeeTooLow
	case l.transactors[tx.Body.Kind()] == nil:
		return UnknownKind
	case !exists:
		return NoAccount
	case !sender.Signs(tx):
		return NotSigner
	case tx.Sequence < sender.Sequence:
		return SequencePast
	case tx.Sequence > sender.Sequence:
		return SequenceFuture
	case sender.Balance < tx.Fee:
		return CannotPayFee
	default:
		return Applied
	}
}
