package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/starlingmesh/starling/crypto/hash"
)

// point is where a version is found in the database.
type point struct {
	version uint64
	ts      uint64 // reading at this timestamp shows the version
	root    hash.Hash
	chunks  uint32 // of its touched list
}

const pointBytes = 8 + 8 + hash.Size + 4

func (p point) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, p.version)
	b = binary.BigEndian.AppendUint64(b, p.ts)
	b = append(b, p.root[:]...)
	return binary.BigEndian.AppendUint32(b, p.chunks)
}

func decodePoint(b []byte) (p point, err error) {
	if len(b) != pointBytes {
		return p, fmt.Errorf("version record of %d bytes: %w", len(b), ErrCorrupt)
	}
	p.version = binary.BigEndian.Uint64(b)
	p.ts = binary.BigEndian.Uint64(b[8:])
	copy(p.root[:], b[16:])
	p.chunks = binary.BigEndian.Uint32(b[16+hash.Size:])
	return p, nil
}

// marker is the last record of every write: what it names is committed.
type marker struct {
	ts    uint64 // of the write that it ends; above current.ts after a rollback
	floor uint64 // nothing is known to be left below this timestamp
	some  bool   // false before the first commit; current is then zero
	point point
	chain []byte
}

func (m marker) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, m.ts)
	b = binary.BigEndian.AppendUint64(b, m.floor)
	if m.some {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(m.point.append(b), m.chain...)
}

func decodeMarker(b []byte) (m marker, err error) {
	if len(b) < 17+pointBytes || b[16] > 1 {
		return m, fmt.Errorf("marker of %d bytes: %w", len(b), ErrCorrupt)
	}
	m.ts = binary.BigEndian.Uint64(b)
	m.floor = binary.BigEndian.Uint64(b[8:])
	m.some = b[16] == 1
	m.chain = bytes.Clone(b[17+pointBytes:])
	m.point, err = decodePoint(b[17 : 17+pointBytes])
	return m, err
}

// readMarker returns the newest marker; ok is false in a new database.
func (db *DB) readMarker() (m marker, ok bool, err error) {
	txn := db.badger.NewTransactionAt(forever, false)
	defer txn.Discard()
	b, err := readSealed(txn, markerKey)
	switch {
	case err != nil:
		return m, false, err
	case b == nil && db.badger.MaxVersion() > 0:
		return m, false, fmt.Errorf("database %s has records but no marker: %w", db.dir, ErrCorrupt)
	case b == nil:
		return m, false, nil
	}
	m, err = decodeMarker(b)
	return m, err == nil, err
}

// writeMarker ends a write: everything before it is made durable first.
func (db *DB) writeMarker(m marker) error {
	if err := db.barrier(); err != nil {
		return err
	}
	txn := db.badger.NewTransactionAt(m.ts, true)
	defer txn.Discard()
	if err := txn.Set(markerKey, seal(markerKey, m.encode())); err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	if err := txn.CommitAt(m.ts, nil); err != nil {
		return fmt.Errorf("write marker: %w", err)
	}
	return db.barrier()
}

// forever is the timestamp that sees every write.
const forever = 1<<64 - 1

// readSealed returns a copy of the value of key, nil if there is none.
func readSealed(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read record %x: %w", key, err)
	}
	sealed, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("read record %x: %w: %w", key, ErrCorrupt, err)
	}
	return unseal(key, sealed)
}
