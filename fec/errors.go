package fec

import "errors"

// What callers decide on.
var (
	// ErrShred is wrapped by every refusal of a shred by its form alone.
	ErrShred = errors.New("bad shred")
	// ErrProof means that a shred does not belong to the root that was signed.
	ErrProof = errors.New("shred does not belong to its set")
	// ErrSignature means that the named sender did not sign.
	ErrSignature = errors.New("signature is not the sender's")
	// ErrShape means that a set of such a shape cannot be.
	ErrShape = errors.New("bad shape")
	// ErrMissing means that too few shreds are there to make a set again.
	ErrMissing = errors.New("too few shreds")
	// ErrInconsistent means that what was signed is no code word: the sender lied.
	ErrInconsistent = errors.New("the sender signed an inconsistent set")
	// ErrCodec means that a payload names a compression that there is not.
	ErrCodec = errors.New("unknown compression")
	// ErrTooLarge means that a payload, unpacked, is larger than allowed.
	ErrTooLarge = errors.New("payload is too large")
)
