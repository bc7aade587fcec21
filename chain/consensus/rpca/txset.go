package rpca

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/hash"
)

// TxSet is a set of transactions that positions name by its id. The core knows
// transactions as bytes only. It is immutable.
type TxSet struct {
	id  hash.Hash
	ids []hash.Hash // ascending
	txs [][]byte    // in the order of ids
}

// NewTxSet makes a set; of equal transactions one is kept. The set shares memory
// with the transactions.
func NewTxSet(txs [][]byte) *TxSet {
	entries := make([]candidate, len(txs))
	for i, tx := range txs {
		entries[i] = candidate{hash.Sum("starling/rpca/tx", tx), tx}
	}
	return setOf(entries)
}

// candidate is a transaction and the hash of all its bytes, signature included:
// a transaction with another valid signature is another candidate, else two
// ledgers could differ that were made of sets with the same id.
type candidate struct {
	id hash.Hash
	tx []byte
}

func setOf(entries []candidate) *TxSet {
	slices.SortFunc(entries, func(a, b candidate) int { return bytes.Compare(a.id[:], b.id[:]) })
	entries = slices.CompactFunc(entries, func(a, b candidate) bool { return a.id == b.id })
	s := &TxSet{ids: make([]hash.Hash, len(entries)), txs: make([][]byte, len(entries))}
	all := make([]byte, 0, len(entries)*hash.Size)
	for i, e := range entries {
		s.ids[i], s.txs[i] = e.id, e.tx
		all = append(all, e.id[:]...)
	}
	s.id = hash.Sum("starling/rpca/txset", all)
	return s
}

// ID commits to every byte of every transaction in the set.
func (s *TxSet) ID() hash.Hash { return s.id }

// Len is the number of transactions.
func (s *TxSet) Len() int { return len(s.txs) }

// Txs lists the transactions by rising hash. Callers must not change them.
func (s *TxSet) Txs() [][]byte { return s.txs }

// Encode returns the canonical encoding.
func (s *TxSet) Encode() ([]byte, error) { return canon.Marshal(s.txs) }

// DecodeTxSet decodes what [TxSet.Encode] wrote, of at most maxBytes.
func DecodeTxSet(data []byte, maxBytes int) (*TxSet, error) {
	var txs [][]byte
	if err := decode(data, maxBytes, &txs); err != nil {
		return nil, fmt.Errorf("transaction set: %w", err)
	}
	if txs == nil || slices.ContainsFunc(txs, func(tx []byte) bool { return len(tx) == 0 }) {
		return nil, fmt.Errorf("transaction set: %w: no set, or an empty transaction", ErrMessage)
	}
	s := NewTxSet(txs)
	if len(s.txs) != len(txs) {
		return nil, fmt.Errorf("transaction set: %w: a transaction stands twice", ErrMessage)
	}
	for i := range txs {
		if !bytes.Equal(txs[i], s.txs[i]) {
			return nil, fmt.Errorf("transaction set: %w: not in order", ErrMessage)
		}
	}
	return s, nil
}

// limited keeps, of entries, those with the lowest hashes that fit the caps: the
// same ones for everybody.
func limited(entries []candidate, maxBytes, maxTxs int) []candidate {
	slices.SortFunc(entries, func(a, b candidate) int { return bytes.Compare(a.id[:], b.id[:]) })
	return entries[:fitting(len(entries), maxBytes, maxTxs, func(i int) int { return len(entries[i].tx) })]
}

// fitting is how many of the first n things fit.
func fitting(n, maxBytes, maxTxs int, size func(int) int) int {
	total := 0
	for i := range min(n, maxTxs) {
		if total += size(i); total > maxBytes {
			return i
		}
	}
	return min(n, maxTxs)
}
