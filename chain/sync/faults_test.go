package sync

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// child makes a block on a parent; txs tell it from others.
func child(t testing.TB, parent *types.Block, txs ...string) *types.Block {
	var raw [][]byte
	for _, tx := range txs {
		raw = append(raw, []byte(tx))
	}
	b, err := types.NewBlock(types.BlockHeader{
		Chain: testChain, Height: parent.Height + 1, View: parent.View + 1, Time: parent.Time + 1,
		Justify: types.QC{View: parent.View, Block: parent.Hash(), Signers: []byte{}, Signature: []byte{}},
	}, raw, func(hash.Hash) ([]byte, error) { return []byte{1}, nil })
	require.NoError(t, err)
	return b
}

// fork makes n blocks on the genesis block that are not those of chainOf.
func fork(t testing.TB, n int) []*types.Block {
	blocks := []*types.Block{child(t, types.GenesisBlock(testChain, 0), "fork")}
	for len(blocks) < n {
		blocks = append(blocks, child(t, blocks[len(blocks)-1]))
	}
	return blocks
}

// field is a network in which every answer takes a second, and an engine that
// takes only blocks of the true chain and asks again for what it lacks, as the
// real one does. Time is that of a synctest bubble.
type field struct {
	*world
	chain   []*types.Block
	holders []string
	flying  int // requests that wait for an answer
	most    int // of them at once
	windows int // asked for
}

func newField(t *testing.T, chain []*types.Block) *field {
	return &field{world: newWorld(t), chain: chain}
}

// Candidates lists the holders first.
func (f *field) Candidates(w Want) []string {
	out := append([]string{}, f.holders...)
	for _, p := range f.world.Candidates(w) {
		if len(f.holders) == 0 || f.holders[0] != p {
			out = append(out, p)
		}
	}
	return out
}

// Request answers after a second; a nil peer never does.
func (f *field) Request(ctx context.Context, peer string, req Request) (Response, error) {
	f.mu.Lock()
	if int(req.Above) < len(f.chain) { // else a want that was made just before the end
		f.windows++
	}
	f.flying++
	f.most = max(f.most, f.flying)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.flying--
		f.mu.Unlock()
	}()
	var answer <-chan time.Time
	if f.peers[peer] != nil {
		answer = time.After(time.Second)
	}
	select {
	case <-answer:
		return f.world.Request(ctx, peer, req)
	case <-ctx.Done():
		return Response{}, ctx.Err()
	}
}

func (f *field) Fetched(_ string, blocks []*types.Block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range blocks {
		if b.Height == f.height()+1 && b.Hash() == f.chain[f.height()].Hash() {
			f.got = append(f.got, b)
		}
	}
}

// sync runs a syncer until the whole chain is there, and returns how long it took.
func (f *field) sync(backlog func() int) time.Duration {
	s := New(Config{Peers: f, Engine: f, Logger: slog.New(slog.DiscardHandler), Backlog: backlog, Decided: f.decided})
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	start := time.Now()
	go func() { done <- s.Run(ctx) }()
	target := f.chain[len(f.chain)-1]
	for f.decided() < target.Height {
		require.Less(f.t, time.Since(start), 10*time.Minute, "stuck at %d", f.decided())
		s.Want(Want{Block: target.Hash(), Holders: f.holders})
		<-time.After(time.Second)
	}
	took := time.Since(start)
	cancel()
	require.NoError(f.t, <-done)
	return took
}

func idle() int { return 0 }

func TestWindowsAreFetchedAtOnceFromDifferentPeers(t *testing.T) {
	chain := chainOf(t, 9*MaxBlocks) // one window alone, then two rounds of four
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chain)
		for i := range parallel {
			f.peers[fmt.Sprint(i)] = honest(chain)
		}
		f.sync(idle)
		require.Equal(t, parallel, f.most)
		require.Equal(t, 9, f.windows, "nothing is fetched twice")
		for i := range parallel {
			require.GreaterOrEqual(t, f.asked[fmt.Sprint(i)], 2, "every round asks everyone")
		}
	})
}

func TestHoldersAreAskedFirst(t *testing.T) {
	chain := chainOf(t, 3)
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chain)
		f.holders = []string{"holder"}
		for _, p := range []string{"a", "b", "c", "holder"} {
			f.peers[p] = honest(chain)
		}
		f.sync(idle)
		require.NotContains(t, f.asked, "a")
		require.NotContains(t, f.asked, "b")
		require.NotContains(t, f.asked, "c")
	})
}

func TestLargeBlocksAreNotFetchedManyTimes(t *testing.T) {
	chain := chainOf(t, 82)
	few := func(req Request) (Response, error) { // a response holds but two
		r, err := honest(chain)(req)
		r.Blocks = r.Blocks[:min(2, len(r.Blocks))]
		return r, err
	}
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chain)
		for i := range parallel {
			f.peers[fmt.Sprint(i)] = few
		}
		f.sync(idle)
		require.Equal(t, 41, f.windows)
	})
}

func TestPeerThatServesBlockByBlockDelaysLittle(t *testing.T) {
	chain := chainOf(t, 5*MaxBlocks)
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chain)
		f.holders = []string{"miser"} // asked first
		f.peers["honest"] = honest(chain)
		f.peers["miser"] = func(req Request) (Response, error) {
			r, err := honest(chain)(req)
			r.Blocks = r.Blocks[:min(1, len(r.Blocks))]
			return r, err
		}
		f.sync(idle)
		require.Less(t, f.windows, 60)
	})
}

func TestPeerThatNeverAnswersIsReportedSlow(t *testing.T) {
	chain := chainOf(t, 2*MaxBlocks)
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chain)
		f.holders = []string{"silent"}
		f.peers["silent"], f.peers["honest"] = nil, honest(chain)
		f.sync(idle)
		require.Contains(t, f.slow, "silent")
		require.NotContains(t, f.slow, "honest")
		require.Empty(t, f.bad)
	})
}

func TestStoppingWhileAPeerIsSilentBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chainOf(t, 1))
		f.peers["silent"] = nil
		s := New(Config{Peers: f, Engine: f, Logger: slog.New(slog.DiscardHandler), Backlog: idle, Decided: f.decided})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		s.Want(Want{})
		synctest.Wait()
		require.Equal(t, 1, f.flying)
		for range 1000 {
			s.Want(Want{}) // never waits, though nobody takes it
		}
		cancel()
		require.NoError(t, <-done)
		require.Empty(t, f.slow)
		require.Empty(t, f.bad)
	})
}

// A forged chain can look well to the syncer, which knows no certificates. It must
// not keep fetching on top of it what the engine has no place for.
func TestForgedChainDoesNotLeadTheFetchAstray(t *testing.T) {
	chain, forged := chainOf(t, 40*MaxBlocks), fork(t, MaxBlocks)
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chain)
		f.holders = []string{"liar"}
		lies := 0
		f.peers["liar"] = func(req Request) (Response, error) {
			if req.Above > 0 || lies == 3 {
				return honest(chain)(req)
			}
			lies++
			r, err := honest(forged)(req)
			r.Tip = 40 * MaxBlocks
			return r, err
		}
		for _, p := range []string{"a", "b", "c"} {
			f.peers[p] = honest(chain)
		}
		f.sync(idle)
		require.Equal(t, 3, lies)
		require.LessOrEqual(t, f.windows, 40+3*(1+parallel), "each lie costs one round")
	})
}

func TestLieAboutTheTipEndsTheFetchOnly(t *testing.T) {
	chain := chainOf(t, 20)
	synctest.Test(t, func(t *testing.T) {
		for _, tip := range []types.Height{0, 1, math.MaxUint64} {
			f := newField(t, chain)
			f.peers["liar"] = func(req Request) (Response, error) {
				r, err := honest(chain)(req)
				r.Tip, r.Blocks = tip, r.Blocks[:min(3, len(r.Blocks))]
				return r, err
			}
			f.sync(idle)
			require.Empty(t, f.bad)
		}
	})
}

func TestFetchWaitsWhileExecutionLagsBehind(t *testing.T) {
	chain := chainOf(t, 12*MaxBlocks)
	synctest.Test(t, func(t *testing.T) {
		f := newField(t, chain)
		f.peers["honest"] = honest(chain)
		executed := 0 // three blocks each time it is looked at
		f.sync(func() int {
			behind := int(f.decided()) - executed
			require.LessOrEqual(t, behind, maxBacklog+parallel*MaxBlocks, "no more than a round above the limit")
			executed = min(executed+3, int(f.decided()))
			return behind
		})
		require.Positive(t, executed)
	})
}
