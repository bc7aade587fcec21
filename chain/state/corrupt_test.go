package state

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/stretchr/testify/require"
)

// damage flips one bit of a stored record behind the state's back.
func (w *world) damage(key []byte, bit int) {
	txn := w.db.badger.NewTransactionAt(forever, false)
	item, err := txn.Get(key)
	require.NoError(w.t, err)
	value, err := item.ValueCopy(nil)
	require.NoError(w.t, err)
	ts := item.Version()
	txn.Discard()
	value[bit/8%len(value)] ^= 1 << (bit % 8)
	w.overwrite(key, value, ts)
}

func (w *world) overwrite(key, value []byte, ts uint64) {
	wb := w.db.badger.NewWriteBatchAt(ts)
	if value == nil {
		require.NoError(w.t, wb.Delete(key))
	} else {
		require.NoError(w.t, wb.Set(key, value))
	}
	require.NoError(w.t, wb.Flush())
}

func (w *world) keys(prefix byte) (keys [][]byte) {
	txn := w.db.badger.NewTransactionAt(forever, false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefix}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	return keys
}

// read touches everything that the state holds.
func (w *world) read() error {
	v := w.Latest()
	defer v.Close()
	for _, c := range set(0, 40, "") {
		if _, _, err := v.Prove(c.Key); err != nil {
			return err
		}
	}
	if err := v.RangeExtra(nil, nil, func(_, _ []byte) error { return nil }); err != nil {
		return err
	}
	return v.Range(nil, func(_, _ []byte) error { return nil })
}

func TestFlippedBitIsDetected(t *testing.T) {
	for name, prefix := range map[string]byte{
		"flat value": prefixFlat, "tree node": prefixNode, "extra record": prefixExtra,
		"version record": prefixVersion, "touched list": prefixTouched, "marker": prefixMarker,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), Options{})
			defer func() { w.db.Close() }()
			extra := KV{Key: []byte("block"), Value: []byte("body")}
			w.commit(0, set(0, 40, "old"), extra)
			w.commit(1, set(0, 40, "value"), extra)
			keys := w.keys(prefix)
			require.NotEmpty(t, keys)
			if prefix == prefixTouched {
				keys = keys[len(keys)-1:] // going back to version 0 reads that of version 1
			}
			for bit := 0; bit < 4000; bit += 97 {
				key := keys[bit%len(keys)]
				w.damage(key, bit)
				reopened, err := Open(w.db, w.opts)
				if err == nil {
					w.State = reopened
					err = w.read()
				}
				if err == nil {
					err = w.Rollback(0)
				}
				require.ErrorIs(t, err, ErrCorrupt, "record %x, bit %d", key, bit)
				w.damage(key, bit) // back again
			}
			reopened, err := Open(w.db, w.opts)
			require.NoError(t, err)
			w.State = reopened
			require.NoError(t, w.read())
		})
	}
}

func TestCommitOverDamagedNodeIsRefused(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer w.stop()
	w.commit(0, set(0, 40, "old"))
	w.damage(nodeKey(place{}), 50)
	reopened, err := Open(w.db, w.opts) // with an empty cache
	require.NoError(t, err)
	_, err = reopened.Commit(1, set(3, 4, "new"), nil)
	require.ErrorIs(t, err, ErrCorrupt)
}

// TestMisplacedRecordIsDetected covers faults that keep each record intact.
func TestMisplacedRecordIsDetected(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer w.stop()
	w.commit(0, set(0, 40, "old"))
	w.commit(1, set(0, 40, "new"))
	ts := w.current().ts

	a, b := flatKey([]byte("key-1")), flatKey([]byte("key-2"))
	w.overwrite(a, seal(b, []byte("old")), ts)
	_, err := w.Get([]byte("key-1"))
	require.ErrorIs(t, err, ErrCorrupt, "value of another key")

	w.overwrite(a, seal(a, []byte("old")), ts)
	_, _, err = w.Prove(1, []byte("key-1"))
	require.ErrorIs(t, err, ErrCorrupt, "value of an older version")

	w.overwrite(a, nil, ts)
	_, _, err = w.Prove(1, []byte("key-1"))
	require.ErrorIs(t, err, ErrCorrupt, "value is gone")

	w.overwrite(nodeKey(place{}), nil, ts)
	reopened, err := Open(w.db, w.opts)
	require.NoError(t, err)
	_, _, err = reopened.Prove(1, []byte("key-3"))
	require.ErrorIs(t, err, ErrCorrupt, "node is gone")
}

func TestLostMarkerIsNotTakenForANewDatabase(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	defer w.stop()
	w.commit(0, set(0, 40, "old"))
	w.overwrite(markerKey, nil, w.current().ts)
	_, err := Open(w.db, w.opts)
	require.ErrorIs(t, err, ErrCorrupt)
}

// TestDamagedTableIsRefused flips a bit of a key on disk, which would otherwise
// hide the record or show an older one.
func TestDamagedTableIsRefused(t *testing.T) {
	w := newWorld(t, t.TempDir(), Options{})
	w.commit(0, set(0, 40, strings.Repeat("v", 20)))
	w.stop()
	tables, err := filepath.Glob(filepath.Join(w.dir, "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	data, err := os.ReadFile(tables[0])
	require.NoError(t, err)
	at := bytes.Index(data, []byte("key-"))
	require.Positive(t, at)
	data[at] ^= 4
	require.NoError(t, os.WriteFile(tables[0], data, 0o600))
	_, err = OpenDB(w.dir, smallDB)
	require.ErrorIs(t, err, ErrCorrupt)
}
