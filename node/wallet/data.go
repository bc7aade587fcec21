package wallet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/keystore"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/ring"
	"github.com/starlingmesh/starling/dht/store"
)

// DataFile is where an account's numbers in the DHT are kept: losing it costs a few bytes in
// each record that it changes later.
func (a Account) DataFile() string { return strings.TrimSuffix(a.Path, keystore.Extension) + ".dht" }

// session is one record's entry in the file.
type session struct {
	Replica string `json:"replica"`
	Parts   uint64 `json:"parts"`
	Dot     uint64 `json:"dot"`
}

// dataFile is the file: for each network the records by their keys.
type dataFile map[string]map[string]session

// Author makes records of the DHT for an account, until done is called, which keeps its numbers.
// One process at a time does so; another waits until ctx ends.
func Author(ctx context.Context, a Account, key keys.PrivateKey, network string) (_ *store.Author, done func() error, err error) {
	path := a.DataFile()
	lock := flock.New(path + ".lock")
	if ok, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil || !ok {
		return nil, nil, fmt.Errorf("wait for another program that writes as %s: %w", a.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Unlock())
		}
	}()
	file := dataFile{}
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, &file)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("read %s: %w (it may be removed: later changes then take a little more room)", path, err)
	}
	author := &store.Author{Network: store.NewNetwork(network), Key: key, Clock: &crdt.Clock{}, Rand: rand.Reader, Sessions: map[ring.ID]store.Session{}}
	for place, s := range file[network] {
		id, err := hash.Parse(place)
		replica, herr := hex.DecodeString(s.Replica)
		if err != nil || herr != nil || len(replica) != len(crdt.Replica{}) {
			continue // a new one is drawn for that record
		}
		author.Sessions[id] = store.Session{Replica: crdt.Replica(replica), Parts: s.Parts, Dot: s.Dot}
	}
	return author, func() error {
		file[network] = map[string]session{}
		for place, s := range author.Sessions {
			file[network][place.String()] = session{hex.EncodeToString(s.Replica[:]), s.Parts, s.Dot}
		}
		raw, err := json.Marshal(file)
		if err == nil {
			err = renameio.WriteFile(path, raw, 0o600)
		}
		return errors.Join(err, lock.Unlock())
	}, nil
}
