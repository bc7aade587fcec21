package keystore

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/argon2"
)

// Params says how much work one try of a passphrase takes: of Argon2id (RFC 9106), which also takes
// memory, or of PBKDF2-HMAC-SHA256 (RFC 8018) for readers that know nothing else. The fields of the
// other one are zero.
type Params struct {
	MemoryKiB uint32 // memory in KiB, at least 8 a lane, at most 1 GiB
	Passes    uint32 // passes over the memory, 1 to 16
	Lanes     uint8  // lanes computed in parallel, 1 to 16

	Iterations uint32 // of PBKDF2, 1,000 to 10,000,000
}

// Bounds of [Params]. A file's author chooses them, so they are checked before
// any memory is taken.
const (
	MaxMemoryKiB = 1 << 20
	MaxPasses    = 16
	MaxLanes     = 16

	MinIterations = 1000
	MaxIterations = 10_000_000
)

// DefaultParams is the floor that OWASP's password storage cheat sheet sets for
// Argon2id: 19 MiB, 2 passes, 1 lane; about 30 ms.
func DefaultParams() Params { return Params{MemoryKiB: 19 << 10, Passes: 2, Lanes: 1} }

// PBKDF2Params is what the same source asks of PBKDF2-HMAC-SHA256: 600,000 iterations; about
// 100 ms, and no memory: who guesses with many graphics processors has it easier than with Argon2id.
func PBKDF2Params() Params { return Params{Iterations: 600_000} }

func (p Params) check() error {
	if p.Iterations > 0 {
		if p != (Params{Iterations: p.Iterations}) || p.Iterations < MinIterations || p.Iterations > MaxIterations {
			return fmt.Errorf("%w: PBKDF2 with %d iterations, %d KiB, %d passes, %d lanes", ErrParams, p.Iterations, p.MemoryKiB, p.Passes, p.Lanes)
		}
		return nil
	}
	if p.Passes < 1 || p.Passes > MaxPasses || p.Lanes < 1 || p.Lanes > MaxLanes ||
		p.MemoryKiB < 8*uint32(p.Lanes) || p.MemoryKiB > MaxMemoryKiB {
		return fmt.Errorf("%w: %d KiB, %d passes, %d lanes", ErrParams, p.MemoryKiB, p.Passes, p.Lanes)
	}
	return nil
}

// kdf is the name of the function in the file.
func (p Params) kdf() string {
	if p.Iterations > 0 {
		return "pbkdf2-hmac-sha256"
	}
	return "argon2id"
}

func (p Params) derive(passphrase, salt []byte) ([]byte, error) {
	if p.Iterations > 0 {
		return pbkdf2.Key(sha256.New, string(passphrase), salt, int(p.Iterations), keySize)
	}
	return argon2.IDKey(passphrase, salt, p.Passes, p.MemoryKiB, p.Lanes, keySize), nil
}
