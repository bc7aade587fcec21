package wallet

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/starlingmesh/starling/crypto/keys"
)

// multiExtension ends the names of files of accounts with several keys. They hold nothing secret.
const multiExtension = ".multi.json"

// multiFormat is what such a file says it is.
const multiFormat = "starling multi-key account 1"

// multiFile is the file of an account with several keys.
type multiFile struct {
	Format  string    `json:"format"`
	Key     string    `json:"key"` // typed public key, hexadecimal
	Created time.Time `json:"created"`
}

// NewMulti makes an account for which members sign; see [keys.NewMulti]. It has no secret, and
// so no passphrase. Its address follows from the members and their number alone.
func (w *Wallet) NewMulti(name string, key keys.PublicKey) (Account, error) {
	if key.Kind() != keys.Multi {
		return Account{}, fmt.Errorf("account %s: %s is not a key of several members", name, key)
	}
	file, err := json.MarshalIndent(multiFile{multiFormat, hex.EncodeToString(key.Bytes()), time.Now().UTC()}, "", "  ")
	if err != nil {
		return Account{}, err
	}
	return w.storeMulti(name, append(file, '\n'))
}

func (w *Wallet) storeMulti(name string, file []byte) (Account, error) {
	if err := w.free(name); err != nil {
		return Account{}, err
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return Account{}, fmt.Errorf("make wallet folder: %w", err)
	}
	draft, err := os.CreateTemp(w.dir, "draft")
	if err == nil {
		defer os.Remove(draft.Name())
		_, err = draft.Write(file)
		err = errors.Join(err, draft.Sync(), draft.Close())
	}
	if err == nil { // a link, unlike a rename, leaves what is there
		err = os.Link(draft.Name(), w.multiPath(name))
	}
	if errors.Is(err, fs.ErrExist) {
		return Account{}, w.taken(name)
	}
	if err != nil {
		return Account{}, fmt.Errorf("write account %s: %w", name, err)
	}
	return w.Account(name)
}

func (w *Wallet) multiPath(name string) string { return filepath.Join(w.dir, name+multiExtension) }

// isMulti reports whether a file is of an account with several keys.
func isMulti(file []byte) bool {
	var f multiFile
	return json.Unmarshal(file, &f) == nil && f.Format == multiFormat
}

func readMulti(name, path string, file []byte) (Account, error) {
	var f multiFile
	err := json.Unmarshal(file, &f)
	if err == nil && f.Format != multiFormat {
		err = fmt.Errorf("its format is %q, want %q", f.Format, multiFormat)
	}
	var raw []byte
	if err == nil {
		raw, err = hex.DecodeString(f.Key)
	}
	var key keys.PublicKey
	if err == nil {
		key, err = keys.ParsePublicKey(raw)
	}
	if err == nil && key.Kind() != keys.Multi {
		err = fmt.Errorf("it names the key of one: %s", key)
	}
	if err != nil {
		return Account{}, fmt.Errorf("account %s: %s: %w", name, path, err)
	}
	return Account{Name: name, Public: key, Created: f.Created, Path: path}, nil
}

// listMulti reads the accounts with several keys.
func (w *Wallet) listMulti() (accounts []Account, faults []error) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, []error{fmt.Errorf("read wallet: %w", err)}
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), multiExtension)
		if !ok {
			continue
		}
		path := filepath.Join(w.dir, e.Name())
		file, err := os.ReadFile(path)
		if err == nil {
			var a Account
			if a, err = readMulti(name, path, file); err == nil {
				accounts = append(accounts, a)
				continue
			}
		}
		faults = append(faults, err)
	}
	return accounts, faults
}
