package journal

import "errors"

// Sentinels that callers decide on.
var (
	// ErrDamaged means that bytes which were synced have changed.
	ErrDamaged = errors.New("the journal is damaged: restore the folder from a backup, or, for a vote log, " +
		"retire this validator key, since votes it cast may be forgotten")
	// ErrForeign means that the journal belongs to another chain.
	ErrForeign = errors.New("the journal belongs to another chain: use another data folder")
	// ErrLocked means that another process has the journal open.
	ErrLocked = errors.New("the journal is in use by another process: stop it first")
	// ErrTooLarge means that a record exceeds Options.MaxRecord.
	ErrTooLarge = errors.New("record too large")
	// ErrClosed means that the journal was closed.
	ErrClosed = errors.New("journal is closed")
)
