package state

import "errors"

var (
	// ErrCorrupt means that a stored record is not what was written, so a disk
	// or memory fault changed it. The node must not go on with this database:
	// remove the directory and sync again, or restore a backup.
	ErrCorrupt = errors.New("stored state is corrupt; restore a backup or remove the directory and sync again")
	// ErrForeignChain means that the database belongs to another chain.
	ErrForeignChain = errors.New("database belongs to another chain; use another data directory")
	// ErrLocked means that another process uses the directory.
	ErrLocked = errors.New("directory is in use by another process; stop it or choose another directory")
	// ErrPruned means that the version is older than the history that is kept.
	ErrPruned = errors.New("version is older than the kept history")
	// ErrVersion means that the version is not there yet, or not the next one.
	ErrVersion = errors.New("version out of order")
	// ErrChange means that a change is not acceptable: its key is empty, too long or given
	// twice, or its value is too long.
	ErrChange = errors.New("unacceptable change")
	// ErrFailed means that an earlier commit or rollback broke off with an
	// error. Reading goes on; writing needs the state to be opened again, which
	// removes what the broken one left behind.
	ErrFailed = errors.New("an earlier write broke off; open the state again")
	// ErrProof means that a proof does not show what is claimed, or is malformed.
	ErrProof = errors.New("proof does not hold")
)
