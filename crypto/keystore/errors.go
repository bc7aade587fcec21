package keystore

import "errors"

// Errors that callers decide on.
var (
	// ErrWrongPassphrase means that the file is intact but does not open. A file
	// that somebody altered together with its checksum gives it too.
	ErrWrongPassphrase = errors.New("wrong passphrase")
	// ErrDamaged means that the file is not as it was written; restore it from a
	// backup, no passphrase opens it.
	ErrDamaged = errors.New("the key file is damaged")
	// ErrVersion means an intact file of another version of the format.
	ErrVersion = errors.New("the key file has a format that this program does not know; use a newer one")
	// ErrFormat means a file that is none of the Web3 Secret Storage Definition, or asks for more
	// than this program gives.
	ErrFormat = errors.New("not a Web3 key file that can be read")
	// ErrExists means that writing would replace a file.
	ErrExists = errors.New("a key file of this name exists already; choose another name or ask to overwrite it")
	// ErrParams means key derivation parameters outside their bounds.
	ErrParams = errors.New("key derivation parameters out of bounds")
	// ErrMeta means a description that a file cannot hold.
	ErrMeta = errors.New("key description not usable")
	// ErrSecret means a secret of no bytes or of more than [MaxSecretSize].
	ErrSecret = errors.New("secret of unusable length")
)
