// Package store keeps decided blocks with their receipts and certificates, and
// finds them by height, hash and transaction. Look at [Store].
//
// It shares the database of package state, and its records are written with the
// state's commit ([Store.Stage]), so block, receipts, index and state are there
// together or not at all. Every record is checksummed by the state; a flipped
// bit is [state.ErrCorrupt]. The package does not know what a block looks like.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrNotFound means that no such block or transaction is stored.
var ErrNotFound = errors.New("not found")

// Entry is what is stored of a decided block.
type Entry struct {
	Height   uint64
	Hash     hash.Hash
	Block    []byte
	Receipts []byte
	Cert     []byte
	Txs      []TxEntry // the transactions to be found by their identifier
}

// TxEntry is a transaction and its place in the block.
type TxEntry struct {
	ID    hash.Hash
	Index uint32
}

// Store reads what was staged and committed. Its methods are safe for concurrent
// use.
type Store struct{ state *state.State }

// New returns the store on a state's database.
func New(s *state.State) *Store { return &Store{s} }

// Prefixes of record keys; integers are big-endian so that heights sort.
const (
	blockPrefix   = "b"
	receiptPrefix = "r"
	certPrefix    = "c"
	hashPrefix    = "h"
	txPrefix      = "t"
	epochPrefix   = "e"
	batchPrefix   = "l" // by hash
	batchesPrefix = "x" // hashes, by height
	lanesKey      = "q"
)

func heightKey(prefix string, height uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), height)
}

func hashKey(prefix string, h hash.Hash) []byte { return append([]byte(prefix), h[:]...) }

// Stage lists the records that put an entry into the store; they go with the
// state's commit of the same height. A transaction that is indexed already keeps
// its first place.
func (s *Store) Stage(e Entry) []state.KV {
	kvs := make([]state.KV, 0, 4+len(e.Txs))
	kvs = append(kvs,
		state.KV{Key: heightKey(blockPrefix, e.Height), Value: e.Block},
		state.KV{Key: heightKey(receiptPrefix, e.Height), Value: e.Receipts},
		state.KV{Key: heightKey(certPrefix, e.Height), Value: e.Cert},
		state.KV{Key: hashKey(hashPrefix, e.Hash), Value: binary.BigEndian.AppendUint64(nil, e.Height)},
	)
	for _, tx := range e.Txs {
		place := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, e.Height), tx.Index)
		kvs = append(kvs, state.KV{Key: hashKey(txPrefix, tx.ID), Value: place, Once: true})
	}
	return kvs
}

// StageBatches lists the records that keep the batches which a block orders, and where
// the lanes stand after it.
func (s *Store) StageBatches(height uint64, ids []hash.Hash, batches [][]byte, cuts []byte) []state.KV {
	list := make([]byte, 0, len(ids)*hash.Size)
	kvs := make([]state.KV, 0, len(ids)+2)
	for i, id := range ids {
		list = append(list, id[:]...)
		kvs = append(kvs, state.KV{Key: hashKey(batchPrefix, id), Value: batches[i]})
	}
	return append(kvs, state.KV{Key: heightKey(batchesPrefix, height), Value: list}, state.KV{Key: []byte(lanesKey), Value: cuts})
}

// Batch returns an encoded batch that was ordered.
func (s *Store) Batch(id hash.Hash) ([]byte, error) {
	return s.get(hashKey(batchPrefix, id), "batch %s", id)
}

// LaneCuts returns where the lanes stand, nil if that was never staged.
func (s *Store) LaneCuts() ([]byte, error) {
	raw, err := s.get([]byte(lanesKey), "%s", "lanes")
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return raw, err
}

// BatchesOf returns the encoded batches that the block of a height orders, in order.
func (s *Store) BatchesOf(height uint64) ([][]byte, error) {
	ids, err := s.batchIDs(height)
	if err != nil {
		return nil, err
	}
	batches := make([][]byte, len(ids))
	for i, id := range ids {
		if batches[i], err = s.Batch(id); err != nil {
			return nil, err
		}
	}
	return batches, nil
}

func (s *Store) batchIDs(height uint64) (ids []hash.Hash, err error) {
	list, err := s.get(heightKey(batchesPrefix, height), "batches of block %d", height)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(list)%hash.Size != 0 {
		return nil, fmt.Errorf("batches of block %d: %w", height, state.ErrCorrupt)
	}
	for ; len(list) > 0; list = list[hash.Size:] {
		ids = append(ids, hash.Hash(list[:hash.Size]))
	}
	return ids, nil
}

// Drop lists the records that take a block with its batches, its receipts and its
// certificate out of the store. Its transactions stay in the index, so that they are never
// taken for new ones.
func (s *Store) Drop(height uint64) []state.KV {
	kvs := []state.KV{
		{Key: heightKey(blockPrefix, height)}, {Key: heightKey(receiptPrefix, height)}, {Key: heightKey(certPrefix, height)},
	}
	ids, err := s.batchIDs(height)
	if err != nil || len(ids) == 0 {
		return kvs // what cannot be read stays
	}
	for _, id := range ids {
		kvs = append(kvs, state.KV{Key: hashKey(batchPrefix, id)})
	}
	return append(kvs, state.KV{Key: heightKey(batchesPrefix, height)})
}

// StageEpochEnd lists the record that keeps the proof of an epoch's end. It is never
// dropped: a light client needs all of them.
func (s *Store) StageEpochEnd(epoch uint64, end []byte) []state.KV {
	return []state.KV{{Key: heightKey(epochPrefix, epoch), Value: end}}
}

// EpochEnd returns the encoded proof of an epoch's end.
func (s *Store) EpochEnd(epoch uint64) ([]byte, error) {
	return s.get(heightKey(epochPrefix, epoch), "end of epoch %d", epoch)
}

// Block returns the encoded block of a height.
func (s *Store) Block(height uint64) ([]byte, error) {
	return s.get(heightKey(blockPrefix, height), "block %d", height)
}

// Receipts returns the encoded receipts of a height.
func (s *Store) Receipts(height uint64) ([]byte, error) {
	return s.get(heightKey(receiptPrefix, height), "receipts of block %d", height)
}

// Cert returns the encoded certificate of a height.
func (s *Store) Cert(height uint64) ([]byte, error) {
	return s.get(heightKey(certPrefix, height), "certificate of block %d", height)
}

// HeightOf finds a block by its hash.
func (s *Store) HeightOf(h hash.Hash) (uint64, error) {
	v, err := s.get(hashKey(hashPrefix, h), "block %s", h)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("height of block %s: %w", h, state.ErrCorrupt)
	}
	return binary.BigEndian.Uint64(v), nil
}

// TxLocation finds the block that holds a transaction, and its place in it.
func (s *Store) TxLocation(id hash.Hash) (height uint64, index uint32, err error) {
	v, err := s.get(hashKey(txPrefix, id), "transaction %s", id)
	if err != nil {
		return 0, 0, err
	}
	if len(v) != 12 {
		return 0, 0, fmt.Errorf("place of transaction %s: %w", id, state.ErrCorrupt)
	}
	return binary.BigEndian.Uint64(v), binary.BigEndian.Uint32(v[8:]), nil
}

func (s *Store) get(key []byte, what string, arg any) ([]byte, error) {
	snapshot := s.state.Latest()
	defer snapshot.Close()
	v, err := snapshot.Extra(key)
	if err == nil && v == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf(what+": %w", arg, err)
	}
	return v, nil
}
