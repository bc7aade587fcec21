package p2p

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
)

// LoadOrCreateIdentity reads the node's Ed25519 key from path (libp2p's protobuf
// encoding), making one with mode 0600 if there is none.
func LoadOrCreateIdentity(path string) (crypto.PrivKey, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createIdentity(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(data)
	if err != nil || key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("%s: %w", path, ErrIdentity)
	}
	// The file holds the public half too; a flipped bit in either shows here.
	probe := []byte("starling identity check")
	sig, err := key.Sign(probe)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, ErrIdentity)
	}
	if ok, err := key.GetPublic().Verify(probe, sig); err != nil || !ok {
		return nil, fmt.Errorf("%s: %w", path, ErrIdentity)
	}
	return key, nil
}

func createIdentity(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	data, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("write identity: %w", err)
	}
	if err := renameio.WriteFile(path, data, 0o600); err != nil {
		return nil, fmt.Errorf("write identity: %w", err)
	}
	return key, nil
}
