package keys

import "errors"

// Errors that callers decide on.
var (
	// ErrKind means an unknown kind of key, or one that the call does not support.
	ErrKind = errors.New("not a supported kind of key")
	// ErrPublicKey means that bytes are no public key in its one valid encoding.
	ErrPublicKey = errors.New("not a public key")
	// ErrPrivateKey means that bytes are no private key in its one valid encoding.
	ErrPrivateKey = errors.New("not a private key")
)
