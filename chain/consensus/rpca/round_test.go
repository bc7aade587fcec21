package rpca

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestLedgerClosesForWorkIdlenessOrOthersOnly(t *testing.T) {
	b := newBench(t, 5)
	timing := b.cfg.Timing
	asked := func() bool { _, ok := find[BuildPayload](b.last); return ok }
	b.tick(timing.MinClose - 1)
	require.False(t, asked(), "too early")
	b.tick(1)
	require.True(t, asked())
	b.step(Payload{Parent: b.genesis.Hash()})
	require.Equal(t, Open, b.core.Phase(), "no work")
	b.step(Payload{Parent: hash.Sum("other"), Txs: raw("a")})
	require.Equal(t, Open, b.core.Phase(), "for another parent")
	b.step(Payload{Parent: b.genesis.Hash(), Txs: raw("a")})
	require.Equal(t, Establish, b.core.Phase(), "work")

	b = newBench(t, 5)
	b.tick(timing.Idle)
	b.step(Payload{Parent: b.genesis.Hash()})
	require.Equal(t, Establish, b.core.Phase(), "idle for long")

	b = newBench(t, 5)
	b.position(1, 2000)
	b.position(2, 2000)
	require.False(t, asked())
	b.position(3, 2000)
	b.core.Step(b.now, TxSetIn{NewTxSet(nil)})
	b.step(Payload{Parent: b.genesis.Hash()})
	require.Equal(t, Establish, b.core.Phase(), "most closed it")
}

func TestAgreementNeedsEightyPercentOfTheList(t *testing.T) {
	for n, need := range map[int]int{1: 1, 4: 4, 5: 4, 6: 5, 10: 8, 11: 9, 20: 16} {
		b := newBench(t, n)
		require.Equal(t, need, b.core.quorum(), "of %d", n)
		p := b.close("a")
		b.agree(p, "a") // which checks that it is not earlier
	}
}

func TestAgreementAloneIsNotFinal(t *testing.T) {
	b := newBench(t, 5)
	block := b.agree(b.close("a"), "a")
	v, ok := find[BroadcastValidation](b.last)
	require.True(t, ok)
	require.True(t, v.Validation.Full)
	require.Equal(t, block.Hash(), v.Validation.Block)
	require.Empty(t, b.decided())
	b.full(block, 1, 2)
	require.Empty(t, b.decided(), "three of five")
	b.full(block, 2)
	require.Empty(t, b.decided(), "the same one again")
	b.full(block, 3)
	require.Equal(t, []hash.Hash{block.Hash()}, b.decided())
	d, _ := find[Decided](b.last)
	require.Equal(t, 4, d.Cert.Signers.Count())
	require.True(t, b.core.checkCert(block, &d.Cert))
}

func TestPartialValidationsAreNotCounted(t *testing.T) {
	b := newBench(t, 5)
	block := b.agree(b.close("a"), "a")
	b.partial(1, block, 1, 2, 3, 4)
	require.Empty(t, b.decided())
	b.full(block, 1, 2)
	require.Empty(t, b.decided())
}

func TestStrangersCountForNothing(t *testing.T) {
	b := newBench(t, 10)
	b.cfg.List = bls.NewBitmap(10)
	for i := range 5 {
		b.cfg.List.Set(i)
	}
	b.restart()
	p := b.close("a")
	b.tick(b.cfg.Timing.MinConsensus)
	for i := 5; i < 10; i++ {
		b.position(i, p.Close, "a")
	}
	require.Equal(t, Establish, b.core.Phase())
	b.restart()
	block := b.agree(b.close("a"), "a")
	b.full(block, 5, 6, 7, 8, 9)
	require.Empty(t, b.decided())
}

func TestSupportRisesFromFiftyToEightyInStepsOfFive(t *testing.T) {
	b := newBench(t, 5)
	b.close("a")
	b.tick(b.cfg.Timing.MinConsensus / 2)
	require.Equal(t, 50, b.core.Support(), "nothing is updated before all had time to take a position")
	b.now = b.now.Add(b.cfg.Timing.MinConsensus)
	for _, want := range []int{50, 55, 60, 65, 70, 75, 80, 80} {
		require.Equal(t, want, b.core.Support())
		b.tick(b.cfg.Timing.Tick)
	}
}

// In a list of ten, of which all hold positions, k contain the transaction.
func TestDisputedTransactionStaysWhileEnoughContainIt(t *testing.T) {
	for k := 1; k <= 10; k++ {
		for level := range 8 {
			b := newBench(t, 10)
			b.cfg.Quorum = 100 // no agreement meanwhile
			b.restart()
			b.close("base", "own")
			b.core.round.level = level
			for i := 1; i < 10; i++ {
				txs := []string{"base", string(rune('A' + i))} // each has one that nobody else has
				if i < k {
					txs = append(txs, "own")
				}
				b.position(i, b.core.round.own.Close, txs...)
			}
			b.tick(b.cfg.Timing.MinConsensus)
			want := []string{"base"}
			if k*10 >= min(50+5*level, 80) {
				want = append(want, "own")
			}
			require.Equal(t, NewTxSet(raw(want...)).ID(), b.core.round.own.Set, "%d of 10 at level %d", k, level)
		}
	}
}

func TestTransactionOfOthersIsTakenUp(t *testing.T) {
	b := newBench(t, 5)
	p := b.close()
	for i := 1; i < 4; i++ {
		b.position(i, p.Close, "theirs")
	}
	b.tick(b.cfg.Timing.MinConsensus)
	require.Equal(t, raw("theirs"), b.core.Working().Txs, "and agreed on at once")
}

func TestCloseTimeIsThatOfThreeQuartersOrNone(t *testing.T) {
	own := Position{Close: 4000}
	others := func(times ...int64) (out []Position) {
		for _, c := range times {
			out = append(out, Position{Close: c})
		}
		return out
	}
	for name, c := range map[string]struct {
		others  []Position
		support int
		want    int64
	}{
		"three quarters":                   {others(6000, 6000, 6000), 80, 6000},
		"half, early":                      {others(6000, 6000), 50, 6000},
		"half, tie, to the later":          {others(6000), 50, 6000},
		"too few for the threshold":        {others(6000, 6000), 70, 4000},
		"none at the last threshold":       {others(6000, 6000), 80, 0},
		"all disagree":                     {others(2000, 6000, 8000), 65, 4000},
		"all disagree to the end":          {others(2000, 6000, 8000), 80, 0},
		"agreed that there is none":        {others(0, 0, 0), 50, 0},
		"alone":                            {nil, 80, 4000},
		"own one has three quarters":       {others(4000, 4000, 6000), 80, 4000},
		"own one just misses, last chance": {others(4000, 6000), 80, 0},
	} {
		require.Equal(t, c.want, wantedClose(own, c.others, c.support), name)
	}
}

func TestLedgerTimeIsRoundedAndAfterItsParent(t *testing.T) {
	b := newBench(t, 1)
	resolution := b.cfg.Timing.Resolution.Milliseconds()
	for range 5 {
		parent := b.core.Working()
		p := b.close("a")
		require.Zero(t, p.Close%resolution)
		b.tick(b.cfg.Timing.MinConsensus)
		made := b.core.Working()
		require.Equal(t, max(p.Close, parent.Time+1), made.Time)
		require.Equal(t, parent.Hash(), made.Parent())
		require.Equal(t, made.Hash(), b.core.Root().Hash(), "alone, it is final at once")
	}
	block, err := b.core.build(b.genesis, NewTxSet(nil), 0)
	require.NoError(t, err)
	require.Equal(t, b.genesis.Time+1, block.Time)
}

func TestSameAgreementIsTheSameLedgerForAll(t *testing.T) {
	a, b := newBench(t, 5), newBench(t, 5)
	one, two := types.ValidatorIndex(1), types.ValidatorIndex(2)
	a.cfg.Self, b.cfg.Self = &one, &two
	txs := raw("c", "a", "b")
	x, err := a.core.build(a.genesis, NewTxSet(txs), 2000)
	require.NoError(t, err)
	y, err := b.core.build(b.genesis, NewTxSet([][]byte{txs[1], txs[2], txs[0], txs[0]}), 2000)
	require.NoError(t, err)
	require.Equal(t, x.Raw(), y.Raw())
	require.Equal(t, raw("a", "b", "c"), x.Txs, "in canonical order, not that of hashes")
	require.True(t, a.core.wellFormed(x))
}

func TestLedgerKeepsWithinItsCaps(t *testing.T) {
	b := newBench(t, 1)
	big := func(i int) string { return string(bytes.Repeat([]byte{byte(i)}, 300)) }
	b.close(big(1), big(2), big(3), big(4), big(5))
	b.tick(b.cfg.Timing.MinConsensus)
	require.Len(t, b.core.Working().Txs, 3)
	b.close("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12")
	b.tick(b.cfg.Timing.MinConsensus)
	require.Len(t, b.core.Working().Txs, 10)
}
