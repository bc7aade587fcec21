package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/crypto/hash"
)

func openStore(t *testing.T, dir string) (*state.DB, *state.State, *Store) {
	db, err := state.OpenDB(dir, state.DBOptions{})
	require.NoError(t, err)
	s, err := state.Open(db, state.Options{Chain: []byte("test")})
	require.NoError(t, err)
	return db, s, New(s)
}

func entry(height uint64, txs ...string) Entry {
	e := Entry{Height: height, Hash: hash.Sum("b", []byte{byte(height)}), Block: []byte{1, byte(height)}, Receipts: []byte{2}, Cert: []byte{3}}
	for i, tx := range txs {
		e.Txs = append(e.Txs, TxEntry{ID: hash.Sum(tx), Index: uint32(i)})
	}
	return e
}

func TestBlocksAreFoundByHeightHashAndTransaction(t *testing.T) {
	dir := t.TempDir()
	db, s, st := openStore(t, dir)
	_, err := s.Commit(0, nil, nil)
	require.NoError(t, err)
	_, err = s.Commit(1, nil, st.Stage(entry(1, "a", "b")))
	require.NoError(t, err)
	_, err = s.Commit(2, nil, st.Stage(entry(2, "b", "c")))
	require.NoError(t, err)
	require.NoError(t, db.Close())

	db, _, st = openStore(t, dir)
	defer db.Close()
	block, err := st.Block(2)
	require.NoError(t, err)
	require.Equal(t, []byte{1, 2}, block)
	height, err := st.HeightOf(entry(1).Hash)
	require.NoError(t, err)
	require.Equal(t, uint64(1), height)
	height, index, err := st.TxLocation(hash.Sum("b"))
	require.NoError(t, err)
	require.Equal(t, uint64(1), height, "its first place")
	require.Equal(t, uint32(1), index)
	_, _, err = st.TxLocation(hash.Sum("d"))
	require.ErrorIs(t, err, ErrNotFound)
	_, err = st.Block(3)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestDroppedBlockKeepsItsTransactionsKnown(t *testing.T) {
	db, s, st := openStore(t, t.TempDir())
	defer db.Close()
	_, err := s.Commit(0, nil, st.Stage(entry(0, "a")))
	require.NoError(t, err)
	_, err = s.Commit(1, nil, st.Drop(0))
	require.NoError(t, err)
	for _, get := range []func(uint64) ([]byte, error){st.Block, st.Receipts, st.Cert} {
		_, err := get(0)
		require.ErrorIs(t, err, ErrNotFound)
	}
	_, _, err = st.TxLocation(hash.Sum("a"))
	require.NoError(t, err)
}

func TestBlockAndStateComeBackTogether(t *testing.T) {
	db, s, st := openStore(t, t.TempDir())
	defer db.Close()
	for h := range uint64(4) {
		_, err := s.Commit(h, []state.Change{{Key: []byte("k"), Value: []byte{byte(h)}}}, st.Stage(entry(h, string(rune('a'+h)))))
		require.NoError(t, err)
	}
	require.NoError(t, s.Rollback(1))
	_, err := st.Block(2)
	require.ErrorIs(t, err, ErrNotFound)
	_, _, err = st.TxLocation(hash.Sum("c"))
	require.ErrorIs(t, err, ErrNotFound)
	v, err := s.Get([]byte("k"))
	require.NoError(t, err)
	require.Equal(t, []byte{1}, v)
}
