package keystore

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fast makes tests fast; nothing else should use it.
var fast = Params{MemoryKiB: 8, Passes: 1, Lanes: 1}

var example = Meta{
	Name: "savings <&> 🐦", Kind: "secp256k1", Label: "star1qqqqqqqq",
	Created: time.Date(2026, 11, 20, 12, 30, 15, 0, time.UTC),
}

func seal(t testing.TB, secret string) []byte {
	file, err := Seal([]byte(secret), example, []byte("pass"), fast, rand.Reader)
	require.NoError(t, err)
	return file
}

// resum makes a file's checksum right again after a change.
func resum(file []byte) []byte {
	body := bytes.Clone(file[:len(file)-trailerSize])
	return append(body, trailer(body)...)
}

func TestSealedSecretOpens(t *testing.T) {
	for _, secret := range []string{"x", strings.Repeat("s", 32), strings.Repeat("s", MaxSecretSize)} {
		file := seal(t, secret)
		got, meta, err := Open(file, []byte("pass"))
		require.NoError(t, err)
		require.Equal(t, secret, string(got))
		require.Equal(t, example, meta)
		inspected, err := Inspect(file)
		require.NoError(t, err)
		require.Equal(t, example, inspected)
		require.LessOrEqual(t, len(file), MaxFileSize)
	}
}

func TestAnySecretOpensUnderItsPassphraseOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "secret")
		pass := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "passphrase")
		other := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "other")
		file, err := Seal(secret, example, pass, fast, rand.Reader)
		require.NoError(t, err)
		got, _, err := Open(file, pass)
		require.NoError(t, err)
		require.Equal(t, secret, got)
		if !bytes.Equal(pass, other) {
			_, _, err = Open(file, other)
			require.ErrorIs(t, err, ErrWrongPassphrase)
			require.NotErrorIs(t, err, ErrDamaged)
		}
	})
}

func TestDefaultParamsWork(t *testing.T) {
	file, err := Seal([]byte("secret"), example, []byte("pass"), DefaultParams(), rand.Reader)
	require.NoError(t, err)
	_, _, err = Open(file, []byte("pass"))
	require.NoError(t, err)
}

func TestEveryFlippedBitIsDamage(t *testing.T) {
	file := seal(t, "a secret of 32 bytes, more or less")
	for bit := range 8 * len(file) {
		file[bit/8] ^= 1 << (bit % 8)
		secret, _, err := Open(file, []byte("pass"))
		require.ErrorIs(t, err, ErrDamaged, "bit %d", bit)
		require.NotErrorIs(t, err, ErrWrongPassphrase, "bit %d", bit)
		require.Nil(t, secret)
		file[bit/8] ^= 1 << (bit % 8)
	}
	_, _, err := Open(file, []byte("pass"))
	require.NoError(t, err)
}

func TestEveryTruncationAndExtensionIsDamage(t *testing.T) {
	file := seal(t, "secret")
	for n := range file {
		_, _, err := Open(file[:n], []byte("pass"))
		require.ErrorIs(t, err, ErrDamaged, "%d bytes", n)
	}
	for _, more := range []string{"\n", " ", "x", "{}", strings.Repeat("x", MaxFileSize)} {
		_, _, err := Open(append(bytes.Clone(file), more...), []byte("pass"))
		require.ErrorIs(t, err, ErrDamaged)
	}
}

// Who alters a file can repair the checksum, but not the cipher's tag.
func TestAlteredFieldsDoNotOpenEvenWithARightChecksum(t *testing.T) {
	file := string(seal(t, "secret"))
	for _, change := range [][2]string{
		{"savings", "savongs"},
		{`"kind": "secp256k1"`, `"kind": "ed25519"`},
		{"star1q", "star1p"},
		{"2026", "2025"},
		{`"memory_kib": 8`, `"memory_kib": 9`},
		{`"passes": 1`, `"passes": 2`},
	} {
		changed := strings.Replace(file, change[0], change[1], 1)
		require.NotEqual(t, file, changed, change[0])
		_, _, err := Open(resum([]byte(changed)), []byte("pass"))
		require.ErrorIs(t, err, ErrWrongPassphrase, change[0])
	}
}

func TestOnlyTheOneFormIsRead(t *testing.T) {
	file := string(seal(t, "secret"))
	for name, change := range map[string][2]string{
		"unknown field":      {`  "name"`, "  \"extra\": 1,\n  \"name\""},
		"field in upper":     {`"name": "sav`, `"Name": "sav`},
		"field twice":        {`  "kind": "secp256k1"`, "  \"kind\": \"x\",\n  \"kind\": \"secp256k1\""},
		"spacing":            {`"name": `, `"name":  `},
		"escape":             {"secp256k1", `secp256k\u0031`},
		"unknown kdf":        {"argon2id", "argon2ix"},
		"unknown cipher":     {"aes-256-gcm", "aes-128-gcm"},
		"upper hexadecimals": {`"salt": "`, `"salt": "FF`},
		"odd hexadecimals":   {`"nonce": "`, `"nonce": "f`},
		"long nonce":         {`"nonce": "`, `"nonce": "ff`},
		"time zone":          {"15Z", "15+00:00"},
		"no time":            {"2026-", "hello"},
		"control character":  {"secp256k1", `\u0007`},
		"another format":     {"starling-keystore", "starling-something"},
		"number as text":     {`"passes": 1`, `"passes": "1"`},
	} {
		changed := strings.Replace(file, change[0], change[1], 1)
		require.NotEqual(t, file, changed, name)
		_, _, err := Open(resum([]byte(changed)), []byte("pass"))
		require.ErrorIs(t, err, ErrDamaged, name)
	}
}

func TestAnotherVersionIsNamedSo(t *testing.T) {
	changed := strings.Replace(string(seal(t, "secret")), `"version": 1`, `"version": 2`, 1)
	_, _, err := Open(resum([]byte(changed)), []byte("pass"))
	require.ErrorIs(t, err, ErrVersion)
	require.NotErrorIs(t, err, ErrDamaged)
}

func TestFilesCanRestOnPBKDF2(t *testing.T) {
	file, err := Seal([]byte("secret"), example, []byte("pass"), Params{Iterations: MinIterations}, rand.Reader)
	require.NoError(t, err)
	require.Contains(t, string(file), "pbkdf2-hmac-sha256")
	require.NotContains(t, string(file), "memory")
	secret, meta, err := Open(file, []byte("pass"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(secret))
	require.Equal(t, example, meta)
	_, _, err = Open(file, []byte("path"))
	require.ErrorIs(t, err, ErrWrongPassphrase)

	// Opened by the standard's own words: the key, the cipher, and what it authenticates.
	d, err := decode(file)
	require.NoError(t, err)
	salt, _ := hex.DecodeString(d.KDF.Salt)
	key, err := pbkdf2.Key(sha256.New, "pass", salt, MinIterations, 32)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	nonce, _ := hex.DecodeString(d.Cipher.Nonce)
	sealed, _ := hex.DecodeString(d.Secret)
	secret, err = aead.Open(nil, nonce, sealed, d.header())
	require.NoError(t, err)
	require.Equal(t, "secret", string(secret))

	for name, change := range map[string][2]string{
		"the other's name":        {"pbkdf2-hmac-sha256", "argon2id"},
		"no name that is known":   {"pbkdf2-hmac-sha256", "pbkdf2-hmac-sha1"},
		"fields of both":          {`"iterations"`, `"lanes": 1,` + "\n    " + `"iterations"`},
		"fewer than there may be": {`"iterations": 1000`, `"iterations": 999`},
		"more than there may be":  {`"iterations": 1000`, `"iterations": 10000001`},
	} {
		bad := resum([]byte(strings.Replace(string(file), change[0], change[1], 1)))
		_, _, err := Open(bad, []byte("pass"))
		require.True(t, errors.Is(err, ErrParams) || errors.Is(err, ErrDamaged), "%s: %v", name, err)
	}
	require.NoError(t, PBKDF2Params().check())
}

func TestParamsAreBoundedBeforeAnyWork(t *testing.T) {
	for _, p := range []Params{
		{Iterations: MinIterations - 1},
		{Iterations: MaxIterations + 1},
		{Iterations: MinIterations, Lanes: 1},
		{},
		{MemoryKiB: 8, Passes: 1},
		{MemoryKiB: 8, Lanes: 1},
		{MemoryKiB: 7, Passes: 1, Lanes: 1},
		{MemoryKiB: 15, Passes: 1, Lanes: 2},
		{MemoryKiB: 8, Passes: MaxPasses + 1, Lanes: 1},
		{MemoryKiB: 1 << 10, Passes: 1, Lanes: MaxLanes + 1},
		{MemoryKiB: MaxMemoryKiB + 1, Passes: 1, Lanes: 1},
	} {
		_, err := Seal([]byte("x"), example, nil, p, rand.Reader)
		require.ErrorIs(t, err, ErrParams, "%+v", p)
	}
	changed := strings.Replace(string(seal(t, "secret")), `"memory_kib": 8`, `"memory_kib": 4294967295`, 1)
	_, _, err := Open(resum([]byte(changed)), []byte("pass"))
	require.ErrorIs(t, err, ErrParams)
}

func TestUnusableInputIsRefusedWhenSealing(t *testing.T) {
	for _, secret := range [][]byte{nil, make([]byte, MaxSecretSize+1)} {
		_, err := Seal(secret, example, nil, fast, rand.Reader)
		require.ErrorIs(t, err, ErrSecret)
	}
	for _, meta := range []Meta{
		{Name: strings.Repeat("n", maxText+1)},
		{Kind: "a\nb"},
		{Label: "\xff"},
		{Created: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := Seal([]byte("x"), meta, nil, fast, rand.Reader)
		require.ErrorIs(t, err, ErrMeta)
	}
	_, err := Seal([]byte("x"), example, nil, fast, bytes.NewReader(make([]byte, 5)))
	require.Error(t, err)
}

func TestTheSecretIsNotInTheFileAndNoTwoFilesAreAlike(t *testing.T) {
	a, b := seal(t, "correct horse"), seal(t, "correct horse")
	require.NotEqual(t, a, b)
	require.NotContains(t, string(a), "correct")
	require.NotContains(t, string(a), "636f7272656374")
}

func TestWriteReadList(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a"+Extension)
	file := seal(t, "secret")
	require.NoError(t, Write(path, file, false))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	got, meta, err := Read(path)
	require.NoError(t, err)
	require.Equal(t, file, got)
	require.Equal(t, example, meta)

	second := seal(t, "second")
	require.ErrorIs(t, Write(path, second, false), ErrExists)
	got, _, err = Read(path)
	require.NoError(t, err)
	require.Equal(t, file, got, "a refused write changes nothing")
	require.NoError(t, Write(path, second, true))
	got, _, err = Read(path)
	require.NoError(t, err)
	require.Equal(t, second, got)

	bad := filepath.Join(dir, "b"+Extension)
	require.NoError(t, os.WriteFile(bad, file[:100], 0o600))
	open := filepath.Join(dir, "c"+Extension)
	require.NoError(t, os.WriteFile(open, file, 0o600))
	require.NoError(t, os.Chmod(open, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d"+Extension), 0o700))
	entries, err := List(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.Equal(t, Entry{Path: path, Meta: example}, entries[0])
	require.ErrorIs(t, entries[1].Err, ErrDamaged)
	require.True(t, entries[2].Exposed)

	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 5, "no temporary file is left")
}

func TestOfManyWritersOfOneNameOneWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a"+Extension)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		file := seal(t, "secret")
		wg.Go(func() { errs[i] = Write(path, file, false) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, ErrExists)
		}
	}
	require.Equal(t, 1, won)
}

func TestDiskErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing"+Extension)
	_, _, err := Read(missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, missing)
	_, err = List(filepath.Join(dir, "nowhere"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, Write(missing, []byte("garbage"), false), ErrDamaged)
	require.Error(t, Write(filepath.Join(dir, "nowhere", "a"+Extension), seal(t, "x"), false))
	require.NoError(t, os.WriteFile(missing, make([]byte, 10*MaxFileSize), 0o600))
	_, _, err = Read(missing)
	require.ErrorIs(t, err, ErrDamaged)
}

func FuzzOpen(f *testing.F) {
	file := seal(f, "secret")
	f.Add(file, false)
	f.Add(file[:40], true)
	f.Add([]byte("{}"), true)
	f.Add(bytes.Replace(file, []byte(`"lanes": 1`), []byte(`"lanes": 0`), 1), true)
	f.Fuzz(func(t *testing.T, file []byte, repair bool) {
		if repair && len(file) >= trailerSize {
			file = resum(file)
		}
		if d, err := decode(file); err == nil {
			require.Equal(t, file, d.encode(), "what decodes is canonical")
			if d.KDF.MemoryKiB > 1<<10 || d.KDF.Passes > 2 {
				return // allowed, but slow
			}
		}
		_, _, err := Open(file, []byte("other"))
		require.Error(t, err)
	})
}
