// Package journal is a checksummed append-only log of records: the vote log of
// consensus and the mempool's log of accepted transactions. Look at [Journal].
//
// What was synced is read back exactly or an error says where the damage is: a
// record is never silently dropped, because a lost vote could be cast twice. The
// one exception is the tail that a crash tore off while it was being written and
// that therefore was never synced. The package imports only crypto/hash.
package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"

	"github.com/starlingmesh/starling/crypto/hash"
)

// Options say what a journal is for. The zero values of sizes take the defaults.
type Options struct {
	// Label ties the journal to one chain: a journal with another label is
	// refused with [ErrForeign].
	Label hash.Hash
	// SegmentBytes is the size past which a new file is begun. Default 16 MiB.
	SegmentBytes int64
	// MaxRecord caps one record. Default 64 MiB.
	MaxRecord int
}

// Journal is a directory of segment files, each a header and records. Its
// methods are safe for concurrent use.
type Journal struct {
	dir  string
	opts Options
	lock *flock.Flock

	mu       sync.Mutex
	segments []segment // ascending; the last is open for appending
	file     writer
	size     int64  // of the last segment
	next     uint64 // index of the next record
	dirty    bool   // something was appended since the last sync
	broken   error  // a write failed halfway and could not be undone
	torn     int64
}

type segment struct {
	path  string
	first uint64 // index of its first record
}

// writer is what a segment file must do; tests make it fail.
type writer interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Seek(offset int64, whence int) (int64, error)
	Close() error
}

// openFile is replaced by tests that need failing disks.
var openFile = func(path string, flag int) (writer, error) { return os.OpenFile(path, flag, 0o600) }

// Open opens the journal in dir, making it if need be. Every record is checked:
// [ErrDamaged] names the file and place of the first that is wrong.
func Open(dir string, opts Options) (*Journal, error) {
	if opts.SegmentBytes <= 0 {
		opts.SegmentBytes = 16 << 20
	}
	if opts.MaxRecord <= 0 {
		opts.MaxRecord = 64 << 20
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{dir: dir, opts: opts, lock: flock.New(filepath.Join(dir, "lock"))}
	switch locked, err := j.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	case !locked:
		return nil, fmt.Errorf("open journal %s: %w", dir, ErrLocked)
	}
	if err := j.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", dir, err), j.lock.Unlock())
	}
	return j, nil
}

// load finds the segments, checks them all, and opens the last for appending.
func (j *Journal) load() error {
	names, err := filepath.Glob(filepath.Join(j.dir, "*"+suffix))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for i, path := range names {
		first, err := firstOf(path)
		if err != nil {
			return err
		}
		if i > 0 && first != j.next {
			return fmt.Errorf("%s: begins with record %d, want %d: a file is missing: %w", path, first, j.next, ErrDamaged)
		}
		last := i == len(names)-1
		end, next, err := j.scan(path, first, last, nil)
		if last && errors.Is(err, errUnborn) {
			if err := os.Remove(path); err != nil {
				return err
			}
			break
		}
		if err != nil {
			return err
		}
		j.segments = append(j.segments, segment{path, first})
		j.next, j.size = next, end
	}
	if len(j.segments) == 0 {
		return j.begin()
	}
	return j.reopen()
}

// reopen opens the last segment for appending and cuts off a torn tail.
func (j *Journal) reopen() error {
	path := j.segments[len(j.segments)-1].path
	f, err := openFile(path, os.O_RDWR)
	if err != nil {
		return err
	}
	j.file = f
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if j.torn = info.Size() - j.size; j.torn > 0 {
		if err := f.Truncate(j.size); err != nil {
			return fmt.Errorf("cut torn tail: %w", err)
		}
		if err := f.Sync(); err != nil {
			return fmt.Errorf("cut torn tail: %w", err)
		}
	}
	_, err = f.Seek(j.size, io.SeekStart)
	return err
}

// begin starts a new segment.
func (j *Journal) begin() error {
	path := filepath.Join(j.dir, fmt.Sprintf("%020d%s", j.next, suffix))
	f, err := openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	if _, err = f.Write(segmentHeader(j.opts.Label, j.next)); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	j.file, j.size = f, headerBytes
	j.segments = append(j.segments, segment{path, j.next})
	return nil
}

// Torn is how many bytes of an unfinished record Open cut off.
func (j *Journal) Torn() int64 { return j.torn }

// Append writes a record and returns its index. It is not safe on disk before
// [Journal.Sync] returns. A failed append leaves the journal as it was.
func (j *Journal) Append(record []byte) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return 0, j.broken
	}
	if len(record) > j.opts.MaxRecord {
		return 0, fmt.Errorf("append to journal: record of %d bytes, at most %d are allowed: %w", len(record), j.opts.MaxRecord, ErrTooLarge)
	}
	if j.size > headerBytes && j.size+frameBytes+int64(len(record)) > j.opts.SegmentBytes {
		if err := j.rotate(); err != nil {
			return 0, fmt.Errorf("append to journal: %w", err)
		}
	}
	if err := j.write(record); err != nil {
		return 0, fmt.Errorf("append to journal: %w", errors.Join(err, j.undo()))
	}
	j.size += frameBytes + int64(len(record))
	j.next++
	j.dirty = true
	return j.next - 1, nil
}

// copied is the size up to which a record is copied behind its head, to be written in one
// call.
const copied = 64 << 10

func (j *Journal) write(record []byte) error {
	head := appendHead(make([]byte, 0, frameBytes+min(len(record), copied)), j.next, record)
	if len(record) <= copied {
		_, err := j.file.Write(append(head, record...))
		return err
	}
	if _, err := j.file.Write(head); err != nil {
		return err
	}
	_, err := j.file.Write(record)
	return err
}

// undo removes what a failed write left behind.
func (j *Journal) undo() error {
	err := j.file.Truncate(j.size)
	if err == nil {
		_, err = j.file.Seek(j.size, io.SeekStart)
	}
	if err != nil {
		j.broken = fmt.Errorf("journal %s: a failed write could not be undone: %w", j.dir, err)
		return j.broken
	}
	return nil
}

// rotate begins a new segment after making the old one safe.
func (j *Journal) rotate() error {
	if err := j.sync(); err != nil {
		return err
	}
	old := j.file
	if err := j.begin(); err != nil {
		j.file = old
		return err
	}
	return old.Close()
}

// Sync returns once everything appended is on disk. After a failed sync the
// journal takes no more records: what the disk holds is then unknown.
func (j *Journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sync()
}

func (j *Journal) sync() error {
	if j.broken != nil {
		return j.broken
	}
	if !j.dirty {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		j.broken = fmt.Errorf("sync journal %s: %w", j.dir, err)
		return j.broken
	}
	j.dirty = false
	return nil
}

// Replay calls f with every record in order; it stops at f's first error and
// returns it. The record is valid during the call only.
func (j *Journal) Replay(f func(index uint64, record []byte) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, s := range j.segments {
		if _, _, err := j.scan(s.path, s.first, i == len(j.segments)-1, f); err != nil {
			return err
		}
	}
	return nil
}

// First is the index of the oldest record kept, Next that of the next one.
func (j *Journal) First() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[0].first
}

// Next is the index that the next record will have.
func (j *Journal) Next() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// DropBefore removes the files that hold only records below index. Records are
// dropped by whole files, and the newest file always stays.
func (j *Journal) DropBefore(index uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.segments) > 1 && j.segments[1].first <= index {
		if err := os.Remove(j.segments[0].path); err != nil {
			return fmt.Errorf("drop journal file: %w", err)
		}
		j.segments = j.segments[1:]
	}
	return nil
}

// Close syncs and closes the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := errors.Join(j.sync(), j.file.Close(), j.lock.Unlock())
	j.file, j.broken = nil, ErrClosed
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func firstOf(path string) (uint64, error) {
	var first uint64
	name := strings.TrimSuffix(filepath.Base(path), suffix)
	if _, err := fmt.Sscanf(name, "%020d", &first); err != nil || len(name) != 20 {
		return 0, fmt.Errorf("%s: not a journal file's name: %w", path, ErrDamaged)
	}
	return first, nil
}
