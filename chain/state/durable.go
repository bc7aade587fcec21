package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// barrier makes every write that has returned durable.
//
// badger.DB.Sync alone is not enough. Read in badger v4.9.6, with
// SyncWrites=false:
//   - ensureRoomForWrite (db.go) hands a full memtable to the flusher and opens
//     the next one without syncing the log of the full one. Until its table is
//     written, a power failure can lose it while later writes, in the next
//     memtable, survive: the log as a whole does NOT have the prefix property.
//   - DB.Sync syncs the log of the active memtable and the current value log
//     file, neither the full memtables nor value log files that were left
//     (doneWriting syncs those only with SyncWrites).
//   - new log files appear in the directory without it being synced.
//   - SyncWrites=true would order the logs, but valueLog.write only logs an
//     error of its sync, and every transaction would pay for it.
//
// Within one log the prefix property holds: replay stops at the first record
// that does not check and drops an unfinished transaction.
//
// So barrier syncs all logs there are: memtable logs (*.mem), value log files
// not seen complete before (*.vlog), and the directory. A log that vanishes
// meanwhile was replaced by a table, which badger syncs before it removes the log.
// Between two barriers nothing is assumed about the order in which writes last.
func (db *DB) barrier() error {
	db.syncing.Lock()
	defer db.syncing.Unlock()
	if err := db.badger.Sync(); err != nil {
		return fmt.Errorf("sync database %s: %w", db.dir, err)
	}
	entries, err := os.ReadDir(db.dir)
	if err != nil {
		return fmt.Errorf("sync database: %w", err)
	}
	newest := db.vlog
	for _, e := range entries {
		name := e.Name()
		switch filepath.Ext(name) {
		case ".mem":
		case ".vlog":
			id, err := strconv.ParseUint(strings.TrimSuffix(name, ".vlog"), 10, 32)
			if err != nil || id < db.vlog {
				continue
			}
			newest = max(newest, id)
		default:
			continue
		}
		if err := syncFile(filepath.Join(db.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync database: %w", err)
		}
	}
	db.vlog = newest
	if err := syncFile(db.dir); err != nil {
		return fmt.Errorf("sync database: %w", err)
	}
	return nil
}

// syncFile makes a file or directory durable. What was written to it through a
// mapping counts: the kernel keeps one copy of its pages.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
