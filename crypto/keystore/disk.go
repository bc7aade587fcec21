package keystore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
)

// Extension ends the names of key files; [List] looks for it.
const Extension = ".key.json"

// Write puts a sealed file on disk for the owner alone (mode 0600). The file is
// there whole or not at all, also after a crash. It returns [ErrExists] if there
// is a file already and overwrite is false.
func Write(path string, file []byte, overwrite bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write key file %s: %w", path, err)
		}
	}()
	if _, err := decode(file); err != nil {
		return err // nothing that could not be read again
	}
	dir := filepath.Dir(path)
	pending, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pending.Cleanup()) }()
	if _, err := pending.Write(file); err != nil {
		return err
	}
	if overwrite {
		err = pending.CloseAtomicallyReplace()
	} else {
		err = linkNew(pending, path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// linkNew gives the pending file its name by a hard link, which unlike a rename
// fails if the name is taken.
func linkNew(pending *renameio.PendingFile, path string) error {
	if err := pending.Sync(); err != nil {
		return err
	}
	err := os.Link(pending.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// syncDir makes a new name in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Read returns the content of a key file for [Open], and its description. An
// error of the file itself is [ErrDamaged] or [ErrVersion].
func Read(path string) ([]byte, Meta, error) {
	file, err := readBounded(path)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("read key file: %w", err)
	}
	meta, err := Inspect(file)
	if err != nil {
		return nil, Meta{}, fmt.Errorf("read key file %s: %w", path, err)
	}
	return file, meta, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, MaxFileSize+1)) // one byte more is refused by decode
}

// Entry is one key file of a directory.
type Entry struct {
	Path    string
	Meta    Meta
	Exposed bool  // others than the owner may read the file: warn, and chmod 600
	Err     error // why the file cannot be used; Meta is empty then
}

// List returns the key files of a directory in the order of their names. A bad
// file is an entry with an error, so that one bad file does not hide the others.
func List(dir string) ([]Entry, error) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list key files: %w", err)
	}
	var entries []Entry
	for _, name := range names {
		if name.IsDir() || !strings.HasSuffix(name.Name(), Extension) {
			continue
		}
		entry := Entry{Path: filepath.Join(dir, name.Name())}
		info, err := os.Stat(entry.Path)
		switch {
		case err != nil:
			entry.Err = fmt.Errorf("list key files: %w", err)
		case !info.Mode().IsRegular():
			continue // opening a pipe would wait for its writer
		default:
			entry.Exposed = info.Mode().Perm()&0o077 != 0
			_, entry.Meta, entry.Err = Read(entry.Path)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}
