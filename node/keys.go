package node

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/net/p2p"
)

// Names of the secret files in a node's home. They are readable by their owner
// only and must never be used by two running nodes.
const (
	identityFile  = "identity.key"  // Ed25519: the node's place in the mesh, signs proposals
	validatorFile = "validator.key" // BLS12-381: signs votes
)

// Keys are the secrets of a node.
type Keys struct {
	Identity crypto.PrivKey
	Vote     *bls.SecretKey // nil if the node has no validator key
}

// validatorKeyFile is the JSON form of a vote key.
type validatorKeyFile struct {
	Warning string         `json:"warning"`
	Public  types.HexBytes `json:"public"`
	Secret  types.HexBytes `json:"secret"`
}

// LoadKeys reads the keys of a home, making an identity if there is none. A vote
// key is made by [CreateKeys] only, since the genesis must name it.
func LoadKeys(home string) (Keys, error) {
	identity, err := p2p.LoadOrCreateIdentity(filepath.Join(home, identityFile))
	if err != nil {
		return Keys{}, err
	}
	vote, err := readVoteKey(filepath.Join(home, validatorFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Keys{Identity: identity}, nil
	}
	return Keys{Identity: identity, Vote: vote}, err
}

// CreateKeys makes what is missing of a validator's keys.
func CreateKeys(home string) (Keys, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return Keys{}, fmt.Errorf("make home: %w", err)
	}
	keys, err := LoadKeys(home)
	if err != nil || keys.Vote != nil {
		return keys, err
	}
	if keys.Vote, err = bls.Generate(rand.Reader); err != nil {
		return Keys{}, fmt.Errorf("make validator key: %w", err)
	}
	return keys, writeVoteKey(filepath.Join(home, validatorFile), keys.Vote)
}

// Validator describes the holder of the keys as a genesis file does.
func (k Keys) Validator(name string, power uint64) (types.Validator, error) {
	id, err := peer.IDFromPrivateKey(k.Identity)
	if err != nil {
		return types.Validator{}, fmt.Errorf("identity: %w", err)
	}
	proof := k.Vote.Prove()
	return types.Validator{
		Name: name, Power: power, Key: k.Vote.Public().Bytes(), Possession: proof[:], Identity: id.String(),
	}, nil
}

func readVoteKey(path string) (*bls.SecretKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read validator key: %w", err)
	}
	var f validatorKeyFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("validator key %s is damaged: %w (restore it from your backup)", path, err)
	}
	key, err := bls.ParseSecretKey(f.Secret)
	if err != nil || string(key.Public().Bytes()) != string(f.Public) {
		return nil, fmt.Errorf("validator key %s is damaged: its halves do not match (restore it from your backup)", path)
	}
	return key, nil
}

func writeVoteKey(path string, key *bls.SecretKey) error {
	data, err := json.MarshalIndent(validatorKeyFile{
		Warning: "secret; never run two nodes with this key: they would vote against each other",
		Public:  key.Public().Bytes(), Secret: key.Bytes(),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode validator key: %w", err)
	}
	if err := renameio.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write validator key: %w", err)
	}
	return nil
}
