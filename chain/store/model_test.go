package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/crypto/hash"
)

// TestStoreFollowsTheChain commits, drops, rolls back and reopens, and compares
// with maps. Some blocks are large enough for the value log.
func TestStoreFollowsTheChain(t *testing.T) {
	type location struct {
		height uint64
		index  uint32
	}
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		open := func() (*state.DB, *state.State, *Store) {
			db, err := state.OpenDB(dir, state.DBOptions{MemTableBytes: 1 << 20})
			require.NoError(t, err)
			s, err := state.Open(db, state.Options{Chain: []byte("test")})
			require.NoError(t, err)
			return db, s, New(s)
		}
		db, s, st := open()
		defer func() { require.NoError(t, db.Close()) }()

		var chain []Entry
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch act := rapid.IntRange(0, 5).Draw(t, "act"); {
			case act == 0 && len(chain) > 0:
				to := rapid.IntRange(0, len(chain)-1).Draw(t, "back to")
				require.NoError(t, s.Rollback(uint64(to)))
				chain = chain[:to+1]
			case act == 1:
				require.NoError(t, db.Close())
				db, s, st = open()
			default:
				h := uint64(len(chain))
				e := Entry{
					Height: h, Hash: hash.Sum(fmt.Sprint(h, rapid.Uint64().Draw(t, "salt"))),
					Block:    bytes.Repeat([]byte{byte(h)}, rapid.SampledFrom([]int{1, 100, 300_000}).Draw(t, "size")),
					Receipts: []byte{2, byte(h)}, Cert: []byte{3, byte(h)},
				}
				for i := range rapid.IntRange(0, 5).Draw(t, "txs") {
					e.Txs = append(e.Txs, TxEntry{ID: hash.Sum(fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "tx"))), Index: uint32(i)})
				}
				_, err := s.Commit(h, nil, st.Stage(e))
				require.NoError(t, err)
				chain = append(chain, e)
			}
		}

		places := map[hash.Hash]location{}
		for _, e := range chain {
			block, err := st.Block(e.Height)
			require.NoError(t, err)
			require.True(t, bytes.Equal(e.Block, block))
			receipts, err := st.Receipts(e.Height)
			require.NoError(t, err)
			require.Equal(t, e.Receipts, receipts)
			cert, err := st.Cert(e.Height)
			require.NoError(t, err)
			require.Equal(t, e.Cert, cert)
			height, err := st.HeightOf(e.Hash)
			require.NoError(t, err)
			require.Equal(t, e.Height, height)
			for _, tx := range e.Txs {
				if _, known := places[tx.ID]; !known {
					places[tx.ID] = location{e.Height, tx.Index}
				}
			}
		}
		_, err = st.Block(uint64(len(chain)))
		require.ErrorIs(t, err, ErrNotFound)
		for i := range 13 {
			id := hash.Sum(fmt.Sprint(i))
			height, index, err := st.TxLocation(id)
			want, known := places[id]
			require.Equal(t, known, err == nil)
			require.True(t, known || errors.Is(err, ErrNotFound))
			require.Equal(t, want, location{height, index})
		}
	})
}
