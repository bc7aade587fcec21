package rpca

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestEveryPromiseIsWrittenDownBeforeItLeaves(t *testing.T) {
	b := newBench(t, 5)
	check := func(effects []Effect) {
		for _, e := range effects {
			switch e := e.(type) {
			case BroadcastPosition:
				require.True(t, slices.ContainsFunc(b.records, func(r Record) bool { return r.Position != nil && r.Position.Seq == e.Position.Seq }))
			case BroadcastValidation:
				require.True(t, slices.ContainsFunc(b.records, func(r Record) bool {
					return r.Validation != nil && r.Validation.Message(testChain) == e.Validation.Message(testChain)
				}))
			}
		}
	}
	order := func(effects []Effect) {
		for i, e := range effects {
			if _, ok := e.(Persist); ok {
				_, p := effects[i+1].(BroadcastPosition)
				_, v := effects[i+1].(BroadcastValidation)
				require.True(t, p || v, "what follows a record is what it promises")
			}
		}
	}
	p := b.close("a")
	check(b.last)
	order(b.last)
	b.agree(p, "a")
	check(b.last)
	order(b.last)
}

func TestRestartedValidatorRepeatsNoNumberAndNoHeight(t *testing.T) {
	b := newBench(t, 5)
	p := b.close("a")
	b.restart()
	q := b.close("b")
	require.Equal(t, p.Parent, q.Parent)
	require.Greater(t, q.Seq, p.Seq)
	block := b.agree(q, "b")
	b.restart()
	require.Equal(t, block.Hash(), b.core.Working().Hash(), "it goes on where it was")
	again, ok := find[BroadcastValidation](b.last)
	require.True(t, ok, "and says so again")
	require.Equal(t, block.Hash(), again.Validation.Block)

	// Even put back to the parent, it signs no second full one of the height.
	b.core.working = b.core.tree.root
	b.core.enter(false, false)
	other := b.agree(b.close("other"), "other")
	require.NotEqual(t, block.Hash(), other.Hash())
	for _, v := range all[BroadcastValidation](b.last) {
		require.False(t, v.Validation.Full && v.Validation.Block == other.Hash())
	}
}

func TestStalledRoundExpiresButNotEarly(t *testing.T) {
	b := newBench(t, 5)
	timing := b.cfg.Timing
	b.close("a")
	b.position(1, 2000, "b") // nobody will ever agree
	closed := b.now
	for b.core.LostRounds() == 0 {
		require.Less(t, b.now.Sub(closed), timing.MaxConsensus+timing.Tick)
		b.tick(timing.Tick)
	}
	require.GreaterOrEqual(t, b.now.Sub(closed), timing.MaxConsensus)
	v, ok := find[BroadcastValidation](b.last)
	require.True(t, ok)
	require.False(t, v.Validation.Full)
	require.Equal(t, types.Height(1), v.Validation.Height)
	require.Equal(t, Open, b.core.Phase())

	p := b.close("a")
	b.position(1, p.Close, "a")
	block := b.agree(p, "a")
	for _, v := range all[BroadcastValidation](b.last) {
		require.False(t, v.Validation.Full, "the height was given up")
	}
	next := b.agree(b.close("c"), "c")
	b.full(next, 1, 2, 3)
	require.Equal(t, []hash.Hash{block.Hash(), next.Hash()}, b.decided(), "but becomes final through the next one")
}

func TestRoundInWhichPositionsMoveIsGivenMoreTime(t *testing.T) {
	b := newBench(t, 5)
	timing := b.cfg.Timing
	b.core.lastRound = 4 * time.Second
	b.close("a")
	closed := b.now
	for i := 0; b.core.LostRounds() == 0; i++ {
		b.tick(timing.Tick)
		if b.core.Phase() == Establish {
			b.position(1, 2000, "moving", string(rune('a'+i%20)))
		}
	}
	require.GreaterOrEqual(t, b.now.Sub(closed), 10*4*time.Second, "ten times as long as the round before")
	require.Less(t, b.now.Sub(closed), timing.Abandon)
}

func TestEquivocationIsBlamedAndTheFirstCounts(t *testing.T) {
	b := newBench(t, 5)
	p := b.close("a")
	b.position(1, p.Close, "a")
	b.seq--
	b.position(1, p.Close, "b")
	require.Len(t, all[Blame](b.last), 1)
	twice := b.core.voices[1].positions
	require.Len(t, twice, 1)
	require.Equal(t, NewTxSet(raw("a")).ID(), twice[0].Set)

	x, y := b.child(b.genesis, "x"), b.child(b.genesis, "y")
	b.full(x, 1)
	require.Empty(t, all[Blame](b.last))
	b.full(y, 1)
	require.Len(t, all[Blame](b.last), 1)
	require.Equal(t, x.Hash(), b.core.voices[1].fulls[0].Block)
}
