package wallet

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hd"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/keystore"
)

// Wallet is a folder with one file an account: a key file of package keystore, or the list of
// those who sign. Several processes may use it at once.
type Wallet struct {
	dir    string
	params keystore.Params
}

// Open uses a folder, which need not exist before the first account. The
// parameters are for new files; keystore.DefaultParams suit.
func Open(dir string, params keystore.Params) *Wallet { return &Wallet{dir, params} }

// Account is what the wallet shows of an account without its passphrase. Only
// [Wallet.Unlock] proves that the public key is the one of the secret.
type Account struct {
	Name    string
	Public  keys.PublicKey
	Created time.Time
	Path    string
	Exposed bool // other users of the machine may read the file
}

// Address is where the account receives.
func (a Account) Address() types.Address { return types.AddressOf(a.Public.Bytes()) }

// LockFile is what payments from the account hold, see [NewSender].
func (a Account) LockFile() string {
	return strings.TrimSuffix(strings.TrimSuffix(a.Path, keystore.Extension), multiExtension) + ".lock"
}

// Names are also file names, on file systems that ignore case and on those that
// reserve dots and dashes in front.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (w *Wallet) path(name string) (string, error) {
	if !validName.MatchString(name) {
		return "", fmt.Errorf("%q is %w: want 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit", name, ErrName)
	}
	return filepath.Join(w.dir, name+keystore.Extension), nil
}

// New makes an account with a key of its own.
func (w *Wallet) New(name string, kind keys.Kind, passphrase []byte) (Account, error) {
	if err := w.free(name); err != nil {
		return Account{}, err
	}
	key, err := keys.Generate(kind, rand.Reader)
	if err != nil {
		return Account{}, fmt.Errorf("make %s key: %w", kind, err)
	}
	return w.ImportKey(name, key, passphrase)
}

// ImportKey makes an account of an existing key.
func (w *Wallet) ImportKey(name string, key keys.PrivateKey, passphrase []byte) (Account, error) {
	if len(passphrase) == 0 {
		return Account{}, fmt.Errorf("account %s: %w: it must not be empty", name, ErrPassphrase)
	}
	if err := w.free(name); err != nil {
		return Account{}, err // before the slow part
	}
	meta := keystore.Meta{
		Name: name, Kind: key.Kind().String(), Created: time.Now(),
		Label: hex.EncodeToString(key.Public().Bytes()),
	}
	file, err := keystore.Seal(key.Bytes(), meta, passphrase, w.params, rand.Reader)
	if err != nil {
		return Account{}, fmt.Errorf("encrypt account %s: %w", name, err)
	}
	return w.store(name, file)
}

// ImportFile makes an account of a file that [Wallet.Export] gave, under the
// passphrase that it has.
func (w *Wallet) ImportFile(name string, file []byte) (Account, error) {
	if isMulti(file) {
		if _, err := readMulti(name, "the file", file); err != nil {
			return Account{}, err
		}
		return w.storeMulti(name, file)
	}
	if err := w.free(name); err != nil {
		return Account{}, err
	}
	meta, err := keystore.Inspect(file)
	if err == nil {
		_, err = publicKey(meta)
	}
	if err != nil {
		return Account{}, fmt.Errorf("import account %s: %w", name, err)
	}
	return w.store(name, file)
}

// free refuses a name that is taken.
func (w *Wallet) free(name string) error {
	path, err := w.path(name)
	if err != nil {
		return err
	}
	for _, taken := range []string{path, w.multiPath(name)} {
		if _, err := os.Lstat(taken); err == nil {
			return w.taken(name)
		}
	}
	return nil
}

func (w *Wallet) taken(name string) error {
	return fmt.Errorf("%w: %s in %s; choose another name", ErrExists, name, w.dir)
}

func (w *Wallet) store(name string, file []byte) (Account, error) {
	path, err := w.path(name)
	if err != nil {
		return Account{}, err
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return Account{}, fmt.Errorf("make wallet folder: %w", err)
	}
	if err := keystore.Write(path, file, false); errors.Is(err, keystore.ErrExists) {
		return Account{}, w.taken(name)
	} else if err != nil {
		return Account{}, fmt.Errorf("write account %s: %w", name, err)
	}
	return w.Account(name)
}

// Account reads one account.
func (w *Wallet) Account(name string) (Account, error) {
	if _, err := w.Export(name); err != nil {
		return Account{}, err // names what to do
	}
	accounts, err := w.List()
	for _, a := range accounts {
		if a.Name == name {
			return a, nil
		}
	}
	return Account{}, err
}

// List reads all accounts, by name. Files that cannot be used are reported
// beside the others.
func (w *Wallet) List() ([]Account, error) {
	entries, err := keystore.List(w.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read wallet: %w", err)
	}
	accounts, faults := w.listMulti()
	for _, e := range entries {
		name := strings.TrimSuffix(filepath.Base(e.Path), keystore.Extension)
		public, err := keys.PublicKey{}, e.Err
		if err == nil {
			public, err = publicKey(e.Meta)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("account %s: %w", name, err))
			continue
		}
		accounts = append(accounts, Account{name, public, e.Meta.Created, e.Path, e.Exposed})
	}
	slices.SortStableFunc(accounts, func(a, b Account) int { return strings.Compare(a.Name, b.Name) })
	return accounts, errors.Join(faults...)
}

// publicKey reads the public half that ImportKey put beside the secret.
func publicKey(meta keystore.Meta) (keys.PublicKey, error) {
	raw, err := hex.DecodeString(meta.Label)
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("the file is no account's: %w", err)
	}
	public, err := keys.ParsePublicKey(raw)
	if err != nil {
		return keys.PublicKey{}, fmt.Errorf("the file is no account's: %w", err)
	}
	return public, nil
}

// Export returns an account's file, which is encrypted; that of an account with several keys is not.
func (w *Wallet) Export(name string) ([]byte, error) {
	path, err := w.path(name)
	if err != nil {
		return nil, err
	}
	if file, err := os.ReadFile(w.multiPath(name)); err == nil {
		return file, nil
	}
	file, _, err := keystore.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s in %s (`starling wallet list` shows all, `starling wallet new %s` makes it)", ErrNoAccount, name, w.dir, name)
	}
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", name, err)
	}
	return file, nil
}

// ExportAs returns an account's file encrypted anew under the same passphrase, with another
// derivation of the key from it.
func (w *Wallet) ExportAs(name string, passphrase []byte, params keystore.Params) ([]byte, error) {
	secret, meta, err := w.open(name, passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	file, err := keystore.Seal(secret, meta, passphrase, params, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("export account %s: %w", name, err)
	}
	return file, nil
}

// open decrypts an account's file.
func (w *Wallet) open(name string, passphrase []byte) (secret []byte, meta keystore.Meta, err error) {
	file, err := w.Export(name)
	if err != nil {
		return nil, meta, err
	}
	if isMulti(file) {
		return nil, meta, fmt.Errorf("account %s: %w", name, ErrMulti)
	}
	secret, meta, err = keystore.Open(file, passphrase)
	if errors.Is(err, keystore.ErrWrongPassphrase) {
		return nil, meta, fmt.Errorf("account %s: %w: it is not the one that the account was made with", name, ErrPassphrase)
	}
	if err != nil {
		return nil, meta, fmt.Errorf("account %s: %w", name, err)
	}
	return secret, meta, nil
}

// Unlock decrypts an account's key.
func (w *Wallet) Unlock(name string, passphrase []byte) (keys.PrivateKey, error) {
	secret, meta, err := w.open(name, passphrase)
	if err != nil {
		return keys.PrivateKey{}, err
	}
	return keyOf(name, secret, meta)
}

// keyOf is the key that a decrypted file holds, or derives from words.
func keyOf(name string, secret []byte, meta keystore.Meta) (key keys.PrivateKey, err error) {
	if meta.Kind == kindWords {
		var h *hd.Wallet
		if h, err = hd.FromWords(string(secret), ""); err == nil {
			key, err = h.Account(0)
		}
	} else {
		key, err = keys.ParsePrivateKey(secret)
	}
	if err != nil {
		return keys.PrivateKey{}, fmt.Errorf("account %s: %w", name, err)
	}
	if public, err := publicKey(meta); err != nil || public != key.Public() {
		return keys.PrivateKey{}, fmt.Errorf("account %s: the file shows another public key than its secret has; restore it from a backup", name)
	}
	return key, nil
}
