package sync

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/store"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// shelf is a server whose first blocks are on disk.
type shelf struct {
	Server
	state     *state.State
	pending   []*types.Block
	undecided []*types.Block
}

func newShelf(t *testing.T, executed []*types.Block) *shelf {
	db, err := state.OpenDB(t.TempDir(), state.DBOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := &shelf{}
	s.state, err = state.Open(db, state.Options{})
	require.NoError(t, err)
	s.Server = Server{
		Store:     store.New(s.state),
		Executed:  func() types.Height { return types.Height(s.state.Version()) },
		Pending:   func() []*types.Block { return s.pending },
		Undecided: func(context.Context, hash.Hash) []*types.Block { return s.undecided },
	}
	_, err = s.state.Commit(0, nil, nil)
	require.NoError(t, err)
	for _, b := range executed {
		e := store.Entry{Height: uint64(b.Height), Hash: b.Hash(), Block: b.Raw(), Receipts: []byte{0}, Cert: []byte{0}}
		_, err := s.state.Commit(uint64(b.Height), nil, s.Store.Stage(e))
		require.NoError(t, err)
	}
	return s
}

// ask serves a request and holds the answer to what its asker would.
func (s *shelf) ask(t *testing.T, req Request) (run, Response) {
	resp, err := s.Serve(t.Context(), req)
	require.NoError(t, err)
	r, err := decode("server", req, resp)
	require.NoError(t, err, "an honest server must never look like a liar")
	return r, resp
}

func heights(blocks []*types.Block) (out []types.Height) {
	for _, b := range blocks {
		out = append(out, b.Height)
	}
	return out
}

func TestServerServesExecutedThenPendingThenUndecidedBlocks(t *testing.T) {
	blocks := chainOf(t, 9)
	s := newShelf(t, blocks[:4])
	s.pending = blocks[2:6]   // two of them were executed in between
	s.undecided = blocks[4:9] // two of them were decided in between
	r, resp := s.ask(t, Request{Above: 1, Block: blocks[8].Hash()})
	require.Equal(t, []types.Height{2, 3, 4, 5, 6, 7, 8, 9}, heights(r.blocks))
	require.Equal(t, types.Height(6), resp.Tip, "only decided blocks count")

	r, _ = s.ask(t, Request{Above: 1})
	require.Equal(t, []types.Height{2, 3, 4, 5, 6}, heights(r.blocks), "nothing undecided was asked for")
	r, _ = s.ask(t, Request{Above: 7, Block: blocks[8].Hash()})
	require.Equal(t, []types.Height{8, 9}, heights(r.blocks))
	for _, above := range []types.Height{9, 1000, math.MaxUint64} {
		r, resp = s.ask(t, Request{Above: above, Block: blocks[8].Hash()})
		require.Empty(t, r.blocks)
		require.NotNil(t, resp.Blocks, "an empty list, not null, goes over the wire")
	}
}

func TestServerLeavesOutUndecidedBlocksThatLostMeanwhile(t *testing.T) {
	decided, lost := chainOf(t, 3), fork(t, 3)
	for name, s := range map[string]*shelf{"pending": newShelf(t, decided[:2]), "executed": newShelf(t, decided)} {
		t.Run(name, func(t *testing.T) {
			s.pending, s.undecided = decided[2:], append(lost, child(t, lost[2], "x"))
			r, _ := s.ask(t, Request{Block: s.undecided[3].Hash()})
			require.Equal(t, []types.Height{1, 2, 3}, heights(r.blocks))
		})
	}
}

func TestResponseIsBounded(t *testing.T) {
	s := newShelf(t, nil)
	s.pending = chainOf(t, MaxBlocks+5)
	r, resp := s.ask(t, Request{})
	require.Len(t, r.blocks, MaxBlocks)
	require.Equal(t, types.Height(MaxBlocks+5), resp.Tip)

	s = newShelf(t, chainOf(t, MaxBlocks+5))
	r, _ = s.ask(t, Request{Above: 2})
	require.Len(t, r.blocks, MaxBlocks)

	large := make([]byte, MaxResponseBytes/4)
	parent := types.GenesisBlock(testChain, 0)
	s = newShelf(t, nil)
	for range 5 {
		parent = child(t, parent, string(large))
		s.pending = append(s.pending, parent)
	}
	r, _ = s.ask(t, Request{})
	require.Len(t, r.blocks, 3, "four would be more than the bytes allowed, with their headers")

	s = newShelf(t, nil)
	s.pending = []*types.Block{child(t, types.GenesisBlock(testChain, 0), string(make([]byte, MaxResponseBytes+1)))}
	r, _ = s.ask(t, Request{})
	require.Len(t, r.blocks, 1, "a block that alone is too large is served alone")
}

func TestServerStopsAtPrunedBlocks(t *testing.T) {
	blocks := chainOf(t, 6)
	s := newShelf(t, blocks[:4])
	_, err := s.state.Commit(5, nil, append(s.Store.Drop(1), s.Store.Drop(2)...))
	require.NoError(t, err)
	r, resp := s.ask(t, Request{})
	require.Empty(t, r.blocks)
	require.Equal(t, types.Height(5), resp.Tip)
	r, _ = s.ask(t, Request{Above: 2})
	require.Equal(t, []types.Height{3, 4}, heights(r.blocks), "block 5 is not stored")
}

func TestServerReportsADamagedStore(t *testing.T) {
	s := newShelf(t, chainOf(t, 2))
	e := store.Entry{Height: 3, Block: []byte("rubbish"), Receipts: []byte{0}, Cert: []byte{0}}
	_, err := s.state.Commit(3, nil, s.Store.Stage(e))
	require.NoError(t, err)
	s.undecided = chainOf(t, 4)[3:]
	resp, err := s.Serve(t.Context(), Request{Above: 2, Block: hash.Sum("any")})
	require.NoError(t, err)
	require.Len(t, resp.Blocks, 1, "nothing is built on what cannot be read")
}
