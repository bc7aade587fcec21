package ledger

import (
	"fmt"
	"maps"
	"slices"
)

// Code says what became of a transaction. Programs rely on the name, which is
// what JSON shows; the numbers are part of the receipts' encoding and are never
// reused.
type Code uint8

// Applied means that the transaction had its whole effect.
const Applied Code = 1

// Codes that claim the fee and use up the sequence number, without other effect.
const (
	Underfunded             Code = 16 // the sender cannot keep the reserve
	DestinationBelowReserve Code = 17 // would create an account with less than the reserve
	SelfPayment             Code = 18 // pays its own sender
	AccessViolation         Code = 19 // touched state that it did not declare
	InvariantBroken         Code = 20 // a defect of this program, see [Result.Defects]
	NoValidator             Code = 21 // the sender has no stake: its first bond must name keys
	ValidatorExists         Code = 22 // the sender has a validator: add to its bond, or rotate its keys
	BondTooSmall            Code = 23 // would leave a bond below the least
	KeysTaken               Code = 24 // another validator has, or had, the key or the identity
	TooManyStakers          Code = 25 // the list of stakes is full
	TooManyUnbonding        Code = 26 // wait for an earlier release
	NotJailed               Code = 27
	StillJailed             Code = 28 // the time is not over
	BadProof                Code = 29 // the outputs of a shield do not hold what they should
	SameSigners             Code = 30 // the key signs for the account already
	BadKey                  Code = 31 // who is to sign has no key that can be one
)

// Codes without any effect; the same transaction may come again.
const (
	WrongChain         Code = 64
	Expired            Code = 65
	ExpiryTooFar       Code = 66
	FeeTooLow          Code = 67
	UnknownKind        Code = 68
	NoAccount          Code = 69
	SequencePast       Code = 70
	SequenceFuture     Code = 71
	CannotPayFee       Code = 72
	FeeInvariantBroken Code = 73 // a defect of this program, see [Result.Defects]
	// Of transactions without a sender, which have no account that could pay for a failure:
	ProofInvalid         Code = 74 // a proof does not hold, or a ring names what may not be in it
	ImageWasSpent        Code = 75 // an output is spent already
	UnshieldBelowReserve Code = 76 // would create an account with less than the reserve
	PoolEmpty            Code = 77 // would pay out more than was ever shielded
	NotSigner            Code = 78 // the key does not sign for the account, or not any more
)

var codeNames = map[Code]string{
	Applied:                 "applied",
	Underfunded:             "underfunded",
	DestinationBelowReserve: "destination-below-reserve",
	SelfPayment:             "self-payment",
	AccessViolation:         "access-violation",
	InvariantBroken:         "invariant-broken",
	NoValidator:             "no-validator",
	ValidatorExists:         "validator-exists",
	BondTooSmall:            "bond-too-small",
	KeysTaken:               "keys-taken",
	TooManyStakers:          "too-many-stakers",
	TooManyUnbonding:        "too-many-unbonding",
	NotJailed:               "not-jailed",
	StillJailed:             "still-jailed",
	BadProof:                "bad-proof",
	SameSigners:             "same-signers",
	BadKey:                  "bad-key",
	WrongChain:              "wrong-chain",
	Expired:                 "expired",
	ExpiryTooFar:            "expiry-too-far",
	FeeTooLow:               "fee-too-low",
	UnknownKind:             "unknown-kind",
	NoAccount:               "no-account",
	SequencePast:            "sequence-past",
	SequenceFuture:          "sequence-future",
	CannotPayFee:            "cannot-pay-fee",
	FeeInvariantBroken:      "fee-invariant-broken",
	ProofInvalid:            "proof-invalid",
	ImageWasSpent:           "image-spent",
	UnshieldBelowReserve:    "unshield-below-reserve",
	PoolEmpty:               "pool-empty",
	NotSigner:               "not-signer",
}

// Codes lists every code in ascending order.
func Codes() []Code { return slices.Sorted(maps.Keys(codeNames)) }

// Final reports whether the transaction used up its sequence number: it was
// applied or its fee was claimed, and it can never come again.
func (c Code) Final() bool { return c >= Applied && c < WrongChain }

// String returns the name.
func (c Code) String() string {
	if name, known := codeNames[c]; known {
		return name
	}
	return fmt.Sprintf("code-%d", uint8(c))
}

// MarshalText implements [encoding.TextMarshaler].
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Code) UnmarshalText(text []byte) error {
	for code, name := range codeNames {
		if name == string(text) {
			*c = code
			return nil
		}
	}
	return fmt.Errorf("result code %q is not known", text)
}

// refusals are the errors of [Ledger.Check] for the codes of [Ledger.admit].
var refusals = map[Code]error{
	WrongChain:     ErrWrongChain,
	Expired:        ErrExpired,
	ExpiryTooFar:   ErrExpiryTooFar,
	FeeTooLow:      ErrFeeTooLow,
	UnknownKind:    ErrUnknownKind,
	NoAccount:      ErrNoAccount,
	NotSigner:      ErrNotSigner,
	SequencePast:   ErrSequencePast,
	SequenceFuture: errSequenceAhead,
	CannotPayFee:   ErrCannotPayFee,

	ProofInvalid:         ErrProof,
	ImageWasSpent:        ErrImageSpent,
	UnshieldBelowReserve: ErrUnshieldBelowReserve,
	PoolEmpty:            ErrPoolEmpty,
}
