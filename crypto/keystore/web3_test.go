package keystore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

type web3Vectors struct {
	Passphrase, Secret string
	Files              []json.RawMessage
}

func readWeb3(tb testing.TB) (v web3Vectors) {
	raw, err := os.ReadFile("testdata/web3_v3.json")
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(raw, &v))
	require.Len(tb, v.Files, 2)
	return v
}

func TestWeb3Vectors(t *testing.T) {
	v := readWeb3(t)
	for _, file := range v.Files {
		require.True(t, IsWeb3(file))
		secret, err := OpenWeb3(file, []byte(v.Passphrase))
		require.NoError(t, err)
		require.Equal(t, v.Secret, hex.EncodeToString(secret))
		_, err = OpenWeb3(file, []byte("another"))
		require.ErrorIs(t, err, ErrWrongPassphrase)
	}
}

func TestWeb3FilesThatAskForTooMuchOrAreNone(t *testing.T) {
	v := readWeb3(t)
	for name, change := range map[string][2]string{
		"another version":  {`"version": 3`, `"version": 4`},
		"another cipher":   {`aes-128-ctr`, `aes-128-cbc`},
		"short vector":     {`6087dab2f9fdbbfaddc31a909735c1e6`, `6087`},
		"no hexadecimal":   {`6087dab2`, `zz87dab2`},
		"endless passes":   {`"c": 262144`, `"c": 99999999999`},
		"no passes":        {`"c": 262144`, `"c": 0`},
		"another function": {`hmac-sha256`, `hmac-md5`},
		"another kdf":      {`"pbkdf2"`, `"rot13"`},
		"short key":        {`"dklen": 32`, `"dklen": 16`},
		"short secret":     {`5318b4d5`, ``},
	} {
		file := bytes.Replace(v.Files[0], []byte(change[0]), []byte(change[1]), 1)
		require.NotEqual(t, []byte(v.Files[0]), file, name)
		_, err := OpenWeb3(file, []byte(v.Passphrase))
		require.ErrorIs(t, err, ErrFormat, name)
	}
	for name, change := range map[string][2]string{
		"all memory":  {`"n": 262144`, `"n": 1073741824`},
		"wide blocks": {`"r": 1`, `"r": 1000000`},
		"many times":  {`"p": 8`, `"p": 1000000`},
		"n of no use": {`"n": 262144`, `"n": 262143`},
	} {
		file := bytes.Replace(v.Files[1], []byte(change[0]), []byte(change[1]), 1)
		_, err := OpenWeb3(file, []byte(v.Passphrase))
		require.ErrorIs(t, err, ErrFormat, name)
	}
	for _, file := range []string{"", "{}", "[]", `{"format":"starling-keystore","version":1}`, string(make([]byte, maxWeb3File+1))} {
		require.False(t, IsWeb3([]byte(file)))
		_, err := OpenWeb3([]byte(file), nil)
		require.ErrorIs(t, err, ErrFormat)
	}
}
