package ledger

import "errors"

// Refusals of [Ledger.Check]. Each says what the sender can do about it.
var (
	ErrWrongChain   = errors.New("the transaction is for another network: sign it with this network's chain id")
	ErrExpired      = errors.New("the transaction has expired: sign it again with a later expiry")
	ErrExpiryTooFar = errors.New("the expiry is too far ahead: sign it again with an earlier one")
	ErrFeeTooLow    = errors.New("the fee is below the least that this network accepts: sign it again with a higher one")
	ErrNoAccount    = errors.New("the account does not exist: send it at least the reserve first")
	ErrSequencePast = errors.New("the sequence number is used already: sign with the account's next one")
	ErrNotSigner    = errors.New("the key does not sign for the account: its signers were changed, or it is another's")
	ErrCannotPayFee = errors.New("the balance does not cover the fee")
	ErrUnknownKind  = errors.New("transactions of this kind are not known here: is this node up to date?")

	// ErrProof means that a confidential transaction does not prove what it must.
	ErrProof      = errors.New("a proof of the confidential transaction does not hold")
	ErrImageSpent = errors.New("one of the outputs is spent already: scan the chain again")
	ErrRing       = errors.New("a ring names an output that does not exist or is too young: choose the decoys again")
	// ErrUnshieldBelowReserve means that an unshield would create an account with too little.
	ErrUnshieldBelowReserve = errors.New("the account does not exist, and the amount is below the reserve that creates it")
	ErrPoolEmpty            = errors.New("more would leave the pool of confidential outputs than is in it")

	errSequenceAhead = errors.New("the sequence number is ahead of the account's next one")
)

// ErrCorrupt is wrapped when what the state holds cannot be: the node must stop.
var ErrCorrupt = errors.New("the state is corrupt: restore this node from a snapshot or synchronise it anew")

// ErrNoSet means that an epoch's validators are not decided yet, or not kept any more.
var ErrNoSet = errors.New("the validators of this epoch are not known")

// ErrInvariant is wrapped by every [Defect].
var ErrInvariant = errors.New("invariant broken")

// ErrEncoding is wrapped by every refusal to decode an account or receipts.
var ErrEncoding = errors.New("malformed encoding")
