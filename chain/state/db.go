package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/y"
)

// DBOptions sets how much memory the database takes. The zero value suits a
// node of its own and, being small, many nodes in one process.
type DBOptions struct {
	// MemTableBytes is how many bytes of writes are gathered before a table is
	// written; up to three times as much is held. Default 16 MiB. More makes
	// large blocks cheaper.
	MemTableBytes int64
	// Logger receives the database's warnings and errors. Nil drops them.
	Logger *slog.Logger
	// SkipVerify leaves out the check of all tables when the database is opened.
	// The check reads the whole database once (about 1 s a GiB) and is the only
	// way to notice a flipped bit in a stored key, which otherwise hides a record.
	SkipVerify bool

	valueLogFile int64 // of tests
}

const (
	// valueLogFrom is the value size from which a value goes to the value log,
	// where compaction does not copy it again and again: blocks, not balances.
	valueLogFrom = 16 << 10
	valueLogFile = 256 << 20 // a file is left once it is longer

	// MaxExtra is the largest value of the caller's own records in bytes.
	MaxExtra = 192 << 20
)

// DB is the database that state and block store share. Open it with [OpenDB].
// It is safe for concurrent use.
type DB struct {
	badger *badger.DB
	dir    string

	syncing sync.Mutex
	vlog    uint64 // value log files below this one were durable at the last barrier
}

// OpenDB opens or creates the database in dir. It returns [ErrLocked] if
// another process has it open and [ErrCorrupt] if a table fails its checksum.
func OpenDB(dir string, opts DBOptions) (*DB, error) {
	if opts.MemTableBytes == 0 {
		opts.MemTableBytes = 16 << 20
	}
	if opts.valueLogFile == 0 {
		opts.valueLogFile = valueLogFile
	}
	o := badger.DefaultOptions(dir).
		WithMemTableSize(opts.MemTableBytes).
		WithNumMemtables(2).
		WithBaseLevelSize(4 * opts.MemTableBytes). // fewer levels: a third less is rewritten
		WithBaseTableSize(opts.MemTableBytes / 8).
		WithNumCompactors(2).
		WithBlockCacheSize(0). // tables are mapped, not compressed: the page cache serves
		WithCompression(options.None).
		WithValueThreshold(valueLogFrom).
		WithValueLogFileSize(opts.valueLogFile).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithSyncWrites(false). // see barrier
		WithNumVersionsToKeep(1).
		WithLogger(nil)
	o.ChecksumVerificationMode = options.OnTableRead
	if opts.SkipVerify {
		o.ChecksumVerificationMode = options.NoVerification
	}
	if opts.Logger != nil {
		o = o.WithLogger(badgerLog{opts.Logger})
	}
	b, err := badger.OpenManaged(o)
	switch {
	case err == nil:
		return &DB{badger: b, dir: dir}, nil
	case strings.Contains(err.Error(), "Cannot acquire directory lock"):
		err = fmt.Errorf("%w: %w", ErrLocked, err)
	case errors.Is(err, y.ErrChecksumMismatch) || strings.Contains(err.Error(), y.ErrChecksumMismatch.Error()):
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil, fmt.Errorf("open database %s: %w", dir, err)
}

// Close writes what is in memory to tables and gives the directory free.
func (db *DB) Close() error {
	if err := db.badger.Close(); err != nil {
		return fmt.Errorf("close database %s: %w", db.dir, err)
	}
	return nil
}

// Size returns the bytes of tables and of the value log, as of at most a minute ago.
func (db *DB) Size() (tables, valueLog int64) { return db.badger.Size() }

// GC gives the space of deleted and replaced large values back. Call it now and
// then (every few minutes, or after dropping blocks); it returns when nothing is
// worth rewriting or ctx ends. Only one call runs at a time.
func (db *DB) GC(ctx context.Context) error {
	for ctx.Err() == nil {
		again, err := db.collect()
		if !again || err != nil {
			return err
		}
	}
	return ctx.Err()
}

// collect rewrites one file of the value log. Badger removes the old file as
// soon as the values are copied, but not durable; only while an iterator is
// open it postpones that. So one is kept open until the copies are durable.
func (db *DB) collect() (again bool, err error) {
	txn := db.badger.NewTransactionAt(0, false)
	defer txn.Discard()
	hold := txn.NewIterator(badger.IteratorOptions{Prefix: markerKey})
	defer hold.Close()

	err = db.badger.RunValueLogGC(0.5) // badger's interface; nothing of the chain depends on it
	switch {
	case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("collect value log in %s: %w", db.dir, err)
	}
	return true, db.barrier()
}

// badgerLog passes badger's own warnings on.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any) {
	l.log.Error("database", slog.String("message", strings.TrimSpace(fmt.Sprintf(format, args...))))
}

func (l badgerLog) Warningf(format string, args ...any) {
	l.log.Warn("database", slog.String("message", strings.TrimSpace(fmt.Sprintf(format, args...))))
}

func (badgerLog) Infof(string, ...any)  {}
func (badgerLog) Debugf(string, ...any) {}
