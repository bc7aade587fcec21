package keystore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/starlingmesh/starling/crypto/hash"
)

const (
	formatName = "starling-keystore"
	version    = 1
	cipherName = "aes-256-gcm"

	keySize, saltSize, nonceSize, tagSize = 32, 16, 12, 16

	// MaxSecretSize is the length of the longest secret in bytes.
	MaxSecretSize = 8 << 10
	// MaxFileSize is the length of the longest file in bytes.
	MaxFileSize = 32 << 10
	// maxText is the length of the longest text field in bytes.
	maxText = 256
)

// Meta describes a key. It is readable without the passphrase, and Open vouches
// for it.
type Meta struct {
	Name    string    // what people call the key
	Kind    string    // kind of key, given by the caller
	Label   string    // anything more, such as an address
	Created time.Time // kept to the second, in UTC
}

// document is the file, field by field in its order.
type document struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Label   string `json:"label"`
	Created string `json:"created"`
	KDF     struct {
		Name       string `json:"name"`
		MemoryKiB  uint32 `json:"memory_kib,omitempty"`
		Passes     uint32 `json:"passes,omitempty"`
		Lanes      uint8  `json:"lanes,omitempty"`
		Iterations uint32 `json:"iterations,omitempty"`
		Salt       string `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce string `json:"nonce"`
	} `json:"cipher"`
	Secret   string `json:"secret"`
	Checksum string `json:"checksum"`
}

func newDocument(meta Meta, params Params, salt, nonce []byte) (*document, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	created := meta.Created.UTC()
	if year := created.Year(); year < 1 || year > 9999 {
		return nil, fmt.Errorf("%w: created in the year %d", ErrMeta, year)
	}
	for _, text := range []string{meta.Name, meta.Kind, meta.Label} {
		if err := checkText(text); err != nil {
			return nil, err
		}
	}
	d := &document{
		Format: formatName, Version: version, Name: meta.Name, Kind: meta.Kind, Label: meta.Label,
		Created: created.Format(time.RFC3339),
	}
	d.KDF.Name, d.KDF.MemoryKiB, d.KDF.Passes, d.KDF.Lanes = params.kdf(), params.MemoryKiB, params.Passes, params.Lanes
	d.KDF.Iterations = params.Iterations
	d.KDF.Salt = hex.EncodeToString(salt)
	d.Cipher.Name, d.Cipher.Nonce = cipherName, hex.EncodeToString(nonce)
	return d, nil
}

func checkText(text string) error {
	if len(text) > maxText || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%w: %q is longer than %d bytes, no UTF-8, or holds control characters", ErrMeta, text, maxText)
	}
	return nil
}

// header is what the cipher authenticates: all fields but the secret and the
// checksum.
func (d document) header() []byte {
	d.Secret, d.Checksum = "", ""
	return d.json()
}

func (d document) json() []byte {
	b, _ := json.MarshalIndent(d, "", "  ") // strings and integers only: cannot fail
	return append(b, '\n')
}

// encode fills in the checksum and returns the file.
func (d document) encode() []byte {
	d.Checksum = strings.Repeat("0", 2*hash.Size)
	file := d.json()
	body := file[:len(file)-trailerSize]
	return append(bytes.Clone(body), trailer(body)...)
}

// trailerSize is the length of the last lines, which hold the checksum.
const trailerSize = len(`  "checksum": "`) + 2*hash.Size + len("\"\n}\n")

func trailer(body []byte) string {
	return `  "checksum": "` + hash.Sum("starling/keystore-checksum", body).String() + "\"\n}\n"
}

// decode checks the checksum before it looks at anything else, then that the
// file is exactly what encoding it again gives.
func decode(file []byte) (*document, error) {
	if len(file) > MaxFileSize || len(file) < trailerSize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(file))
	}
	body, end := file[:len(file)-trailerSize], file[len(file)-trailerSize:]
	if trailer(body) != string(end) {
		return nil, fmt.Errorf("%w: the checksum does not match", ErrDamaged)
	}
	var id struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(file, &id); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if id.Format != formatName {
		return nil, fmt.Errorf("%w: it is not a key file", ErrDamaged)
	}
	if id.Version != version {
		return nil, fmt.Errorf("%w: version %d", ErrVersion, id.Version)
	}
	var d document
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !bytes.Equal(d.json(), file) || d.KDF.Name != d.params().kdf() || d.Cipher.Name != cipherName {
		return nil, fmt.Errorf("%w: it is not in the form that this program writes", ErrDamaged)
	}
	return &d, nil
}

func (d *document) params() Params {
	return Params{MemoryKiB: d.KDF.MemoryKiB, Passes: d.KDF.Passes, Lanes: d.KDF.Lanes, Iterations: d.KDF.Iterations}
}

func (d *document) meta() (Meta, error) {
	created, err := time.Parse(time.RFC3339, d.Created)
	if err != nil || created.UTC().Format(time.RFC3339) != d.Created {
		return Meta{}, fmt.Errorf("%w: creation time %q", ErrDamaged, d.Created)
	}
	for _, text := range []string{d.Name, d.Kind, d.Label} {
		if err := checkText(text); err != nil {
			return Meta{}, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	return Meta{Name: d.Name, Kind: d.Kind, Label: d.Label, Created: created.UTC()}, nil
}

// unhex reads lower-case hexadecimal of a length in bytes between least and most.
func unhex(s string, least, most int) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) < least || len(b) > most || hex.EncodeToString(b) != s {
		return nil, fmt.Errorf("%w: a binary field is malformed", ErrDamaged)
	}
	return b, nil
}
