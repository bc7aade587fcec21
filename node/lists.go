package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/google/renameio/v2"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// listsFile keeps the trusted lists that others published, so that a node that
// restarts while they are silent still knows with whom it would fork.
const listsFile = "trusted-lists.cbor"

// listKeeper writes published trusted lists to the home.
type listKeeper struct {
	home string
	mu   sync.Mutex
}

// load reads the kept lists. What does not carry its validator's signature, as
// after a change of the genesis, is left out.
func (k *listKeeper) load(chain hash.Hash, set *types.ValidatorSet, scheme consensus.Scheme) ([]rpca.TrustedList, error) {
	path := filepath.Join(k.home, listsFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read published trusted lists: %w", err)
	}
	var kept [][]byte
	if err := canon.Unmarshal(raw, &kept); err != nil {
		return nil, fmt.Errorf("read published trusted lists from %s (remove the file: others publish theirs again): %w", path, err)
	}
	var lists []rpca.TrustedList
	for _, one := range kept {
		l, err := rpca.DecodeTrustedList(one, set.Len())
		if err == nil && int(l.Validator) < set.Len() && scheme.Verify(l.Validator, l.Message(chain), l.Signature) {
			lists = append(lists, l)
		}
	}
	return lists, nil
}

// keep replaces what is kept by what the engine knows now.
func (k *listKeeper) keep(known func() []rpca.TrustedList) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var encoded [][]byte
	for _, l := range known() {
		one, err := l.Encode()
		if err != nil {
			return fmt.Errorf("encode trusted list: %w", err)
		}
		encoded = append(encoded, one)
	}
	raw, err := canon.Marshal(encoded)
	if err != nil {
		return fmt.Errorf("encode trusted lists: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(k.home, listsFile), raw, 0o600); err != nil {
		return fmt.Errorf("keep published trusted lists: %w", err)
	}
	return nil
}
