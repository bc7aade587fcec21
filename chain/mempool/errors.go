package mempool

import "errors"

// Refusals of a transaction, beside those of package ledger.
var (
	ErrKnown       = errors.New("transaction is known already")
	ErrFull        = errors.New("the mempool is full of transactions that pay more")
	ErrReplaceFee  = errors.New("the fee is too low to replace a waiting transaction")
	ErrSequenceGap = errors.New("sequence number too far ahead")
	ErrSignature   = errors.New("the signature is not the sender's")
	ErrBusy        = errors.New("too many transactions are being verified: try again in a moment")
	ErrClosed      = errors.New("the node is shutting down")
)
