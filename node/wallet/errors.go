package wallet

import "errors"

var (
	// ErrNoAccount means that the wallet has no account of that name.
	ErrNoAccount = errors.New("no such account")
	// ErrExists means that a name is taken.
	ErrExists = errors.New("account exists")
	// ErrName means that a name cannot be a file's name.
	ErrName = errors.New("not a name for an account")
	// ErrPassphrase means that a passphrase is empty or wrong.
	ErrPassphrase = errors.New("passphrase")
	// ErrRefused means that the ledger would refuse a payment, which was
	// therefore not sent: a refused payment costs its fee.
	ErrRefused = errors.New("not sent")
	// ErrChain means that the node belongs to another network than expected.
	ErrChain = errors.New("the node is of another network")
	// ErrMember means that a signature belongs to another proposal, or to a key that may not sign it.
	ErrMember = errors.New("not of this proposal")
	// ErrMulti means that an account is one of several keys, and has no key of its own.
	ErrMulti = errors.New("the account is signed for by members, each with their own key, and has no private side: see starling wallet multi")
)
