package p2p

import "errors"

var (
	// ErrListen means that an address of p2p.listen cannot be listened on.
	ErrListen = errors.New("the mesh cannot listen")
	// ErrIdentity means that an identity file is there but cannot be used.
	ErrIdentity = errors.New("identity file is damaged: restore it from a backup, or remove it to get a new identity " +
		"(a validator must not: the genesis names its identity)")
)
