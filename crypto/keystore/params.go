package keystore

import (
	"fmt"

	"golang.org/x/crypto/argon2"
)

// Params says how much work one try of a passphrase takes (Argon2id).
type Params struct {
	MemoryKiB uint32 // memory in KiB, at least 8 a lane, at most 1 GiB
	Passes    uint32 // passes over the memory, 1 to 16
	Lanes     uint8  // lanes computed in parallel, 1 to 16
}

// Bounds of [Params]. A file's author chooses them, so they are checked before
// any memory is taken.
const (
	MaxMemoryKiB = 1 << 20
	MaxPasses    = 16
	MaxLanes     = 16
)

// DefaultParams is the floor that OWASP's password storage cheat sheet sets for
// Argon2id: 19 MiB, 2 passes, 1 lane; about 30 ms.
func DefaultParams() Params { return Params{MemoryKiB: 19 << 10, Passes: 2, Lanes: 1} }

func (p Params) check() error {
	if p.Passes < 1 || p.Passes > MaxPasses || p.Lanes < 1 || p.Lanes > MaxLanes ||
		p.MemoryKiB < 8*uint32(p.Lanes) || p.MemoryKiB > MaxMemoryKiB {
		return fmt.Errorf("%w: %d KiB, %d passes, %d lanes", ErrParams, p.MemoryKiB, p.Passes, p.Lanes)
	}
	return nil
}

func (p Params) derive(passphrase, salt []byte) []byte {
	return argon2.IDKey(passphrase, salt, p.Passes, p.MemoryKiB, p.Lanes, keySize)
}
