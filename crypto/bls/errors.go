package bls

import "errors"

// Errors that callers decide on.
var (
	// ErrKey means that bytes are no valid secret or public key.
	ErrKey = errors.New("not a BLS key")
	// ErrSignature means that bytes are no valid signature: not a point, outside
	// the group of order r, or the point at infinity.
	ErrSignature = errors.New("not a BLS signature")
	// ErrEmpty means that there was nothing to aggregate.
	ErrEmpty = errors.New("nothing to aggregate")
	// ErrCancelled means that keys or signatures sum up to the point at infinity,
	// which honest ones do with negligible probability.
	ErrCancelled = errors.New("the sum is the point at infinity")
	// ErrBitmap means that a signer set is not in its canonical form.
	ErrBitmap = errors.New("not a canonical signer set")
)
