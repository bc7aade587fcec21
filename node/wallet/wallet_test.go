package wallet

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/keys"
)

func TestNewAccountIsListedAndUnlocks(t *testing.T) {
	w := Open(filepath.Join(t.TempDir(), "wallet"), fast)
	none, err := w.List()
	require.NoError(t, err)
	require.Empty(t, none)

	for _, name := range []string{"bob", "alice"} {
		a, err := w.New(name, keys.Secp256k1, secret)
		require.NoError(t, err)
		require.Equal(t, name, a.Name)
		k, err := w.Unlock(name, secret)
		require.NoError(t, err)
		require.Equal(t, a.Public, k.Public())
		info, err := os.Stat(a.Path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	all, err := w.List()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "alice", all[0].Name)
	entries, err := os.ReadDir(filepath.Dir(all[0].Path))
	require.NoError(t, err)
	require.Len(t, entries, 2, "drafts stay behind")
}

func TestExportedFileImportsUnderAnotherName(t *testing.T) {
	w := Open(t.TempDir(), fast)
	a, err := w.New("alice", keys.Ed25519, secret)
	require.NoError(t, err)
	file, err := w.Export("alice")
	require.NoError(t, err)
	b, err := w.ImportFile("copy", file)
	require.NoError(t, err)
	require.Equal(t, a.Public, b.Public)
	_, err = w.ImportFile("broken", []byte("{"))
	require.Error(t, err)
	_, err = w.ImportKey("again", key(t, "x"), secret)
	require.NoError(t, err)
}

func TestAccountsAreNeverOverwritten(t *testing.T) {
	w := Open(t.TempDir(), fast)
	var made atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := w.ImportKey("alice", key(t, "alice"), secret)
			if err == nil {
				made.Add(1)
				return
			}
			if !errors.Is(err, ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, made.Load())
}

func TestMistakesAreNamed(t *testing.T) {
	w := Open(t.TempDir(), fast)
	for _, bad := range []string{"", "..", "../x", "a/b", "Alice", "a b", "-a", ".a", "a.json"} {
		_, err := w.New(bad, keys.Secp256k1, secret)
		require.ErrorIs(t, err, ErrName, "%q", bad)
		_, err = w.Unlock(bad, secret)
		require.ErrorIs(t, err, ErrName, "%q", bad)
	}
	_, err := w.New("a", keys.Secp256k1, nil)
	require.ErrorIs(t, err, ErrPassphrase)
	_, err = w.Unlock("nobody", secret)
	require.ErrorIs(t, err, ErrNoAccount)
	_, err = w.New("a", keys.Secp256k1, secret)
	require.NoError(t, err)
	_, err = w.Unlock("a", []byte("wrong"))
	require.ErrorIs(t, err, ErrPassphrase)
}

func TestBrokenFileDoesNotHideOthers(t *testing.T) {
	dir := t.TempDir()
	w := Open(dir, fast)
	_, err := w.New("good", keys.Secp256k1, secret)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.key.json"), []byte("{"), 0o600))
	all, err := w.List()
	require.ErrorContains(t, err, "account bad")
	require.Len(t, all, 1)
}
