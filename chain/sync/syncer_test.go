package sync

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	stdsync "sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testChain = hash.Sum("sync test")

// chainOf makes n blocks on the genesis block.
func chainOf(t testing.TB, n int) []*types.Block {
	parent := types.GenesisBlock(testChain, 0)
	var blocks []*types.Block
	for range n {
		b, err := types.NewBlock(types.BlockHeader{
			Chain: testChain, Height: parent.Height + 1, View: types.View(parent.Height + 1), Time: parent.Time + 1,
			Justify: types.QC{View: parent.View, Block: parent.Hash(), Signers: []byte{}, Signature: []byte{}},
		}, nil, func(hash.Hash) ([]byte, error) { return []byte{1}, nil })
		require.NoError(t, err)
		blocks = append(blocks, b)
		parent = b
	}
	return blocks
}

// world is everything around a syncer: peers by name, and an engine that takes
// blocks in order.
type world struct {
	t     *testing.T
	peers map[string]func(Request) (Response, error)

	mu    stdsync.Mutex
	bad   []string
	slow  []string
	asked map[string]int
	got   []*types.Block
	grown chan struct{}
}

func newWorld(t *testing.T) *world {
	return &world{t: t, peers: map[string]func(Request) (Response, error){}, asked: map[string]int{}, grown: make(chan struct{}, 1024)}
}

func (w *world) Candidates(Want) []string { return slices.Sorted(maps.Keys(w.peers)) }

func (w *world) Request(ctx context.Context, peer string, req Request) (Response, error) {
	w.mu.Lock()
	w.asked[peer]++
	w.mu.Unlock()
	return w.peers[peer](req)
}

func (w *world) Bad(peer string, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = append(w.bad, peer)
}

func (w *world) Slow(peer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slow = append(w.slow, peer)
}

func (w *world) Fetched(_ string, blocks []*types.Block) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range blocks {
		if b.Height == w.height()+1 {
			w.got = append(w.got, b)
		}
	}
	w.grown <- struct{}{}
}

func (w *world) height() types.Height { return types.Height(len(w.got)) }

func (w *world) decided() types.Height {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.height()
}

// sync runs a syncer until everything wanted is there.
func (w *world) sync(target *types.Block) {
	s := New(Config{
		Peers: w, Engine: w, Logger: slog.New(slog.DiscardHandler),
		Backlog: func() int { return 0 }, Decided: w.decided,
	})
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for w.decided() < target.Height {
		s.Want(Want{Block: target.Hash()})
		select {
		case <-w.grown:
		case <-time.After(50 * time.Millisecond): // the engine, too, repeats what it lacks
		}
		require.NoError(w.t, ctx.Err(), "stuck at %d", w.decided())
	}
	cancel()
	require.NoError(w.t, <-done)
}

// honest serves a chain as a node does.
func honest(blocks []*types.Block) func(Request) (Response, error) {
	return func(req Request) (Response, error) {
		out := Response{Tip: types.Height(len(blocks)), Blocks: [][]byte{}}
		for _, b := range blocks[min(int(req.Above), len(blocks)):] {
			if len(out.Blocks) == MaxBlocks {
				break
			}
			out.Blocks = append(out.Blocks, b.Raw())
		}
		return out, nil
	}
}

func TestFarBehindNodeGetsEverythingFromSeveralPeers(t *testing.T) {
	blocks := chainOf(t, 5*MaxBlocks+7)
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c"} {
		w.peers[name] = honest(blocks)
	}
	w.sync(blocks[len(blocks)-1])
	require.Equal(t, blocks[len(blocks)-1].Hash(), w.got[len(w.got)-1].Hash())
	require.Greater(t, len(w.asked), 1)
	require.Empty(t, w.bad)
}

func TestPeerThatServesBadBlocksIsReportedAndTheWorkGoesOn(t *testing.T) {
	blocks := chainOf(t, 2*MaxBlocks)
	serve := honest(blocks)
	for name, lie := range map[string]func(Response) Response{
		"undecodable": func(r Response) Response { r.Blocks[0] = []byte{1}; return r },
		"unlinked":    func(r Response) Response { r.Blocks[0], r.Blocks[1] = r.Blocks[1], r.Blocks[0]; return r },
		"too many":    func(r Response) Response { r.Blocks = append(r.Blocks, r.Blocks...); return r },
		"skipping":    func(r Response) Response { r.Blocks = r.Blocks[1:]; return r },
		"flipped bit": func(r Response) Response {
			r.Blocks[1] = slices.Clone(r.Blocks[1])
			r.Blocks[1][len(r.Blocks[1])/2] ^= 1
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.peers["honest"] = serve
			w.peers["liar"] = func(req Request) (Response, error) {
				r, err := serve(req)
				if len(r.Blocks) < 2 {
					return r, err
				}
				return lie(r), err
			}
			for len(w.bad) == 0 { // until the liar was asked at all
				w.got = nil
				w.sync(blocks[len(blocks)-1])
			}
			require.Contains(t, w.bad, "liar")
			require.NotContains(t, w.bad, "honest")
		})
	}
}

func TestPeersThatCannotHelpDoNotStopTheWork(t *testing.T) {
	blocks := chainOf(t, 10)
	w := newWorld(t)
	w.peers["honest"] = honest(blocks)
	w.peers["empty"] = func(Request) (Response, error) { return Response{}, nil }
	w.peers["failing"] = func(Request) (Response, error) { return Response{}, errors.New("busy") }
	w.sync(blocks[9])
	require.Empty(t, w.bad)
}

func TestWantKeepsOnlyTheNewest(t *testing.T) {
	s := New(Config{})
	for h := range types.Height(100) {
		s.Want(Want{Above: h}) // never waits
	}
	require.Equal(t, types.Height(99), (<-s.wants).Above)
	require.Empty(t, s.wants)
}

func FuzzDecodeResponse(f *testing.F) {
	good, _ := honest(chainOf(f, 3))(Request{})
	f.Add(canon.MustMarshal(good))
	f.Add([]byte{0x82, 0x01, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Response
		if canon.Unmarshal(data, &r) != nil {
			return
		}
		run, err := decode("peer", Request{}, r)
		if err != nil {
			return
		}
		for i, b := range run.blocks {
			require.Equal(t, types.Height(i+1), b.Height)
		}
	})
}
