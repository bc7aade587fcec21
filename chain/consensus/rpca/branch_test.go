package rpca

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestMinorityTurnsToThePreferredBranchOnly(t *testing.T) {
	b := newBench(t, 10) // 8 are a quorum, 2 may be faulty
	mine := b.agree(b.close("mine"), "mine")
	theirs := b.child(b.genesis, "theirs")
	b.full(theirs, 1, 2, 3, 4)
	b.serve(theirs)
	require.Equal(t, mine.Hash(), b.core.Working().Hash(), "four against it: with two liars the other six could be a quorum")
	b.partial(1, theirs, 5)
	require.Equal(t, theirs.Hash(), b.core.Working().Hash(), "five against it: it can never be final")
	last, ok := find[BroadcastValidation](b.last)
	require.True(t, ok)
	require.False(t, last.Validation.Full, "but its height is not validated twice")
	enter, ok := find[EnterRound](b.last)
	require.True(t, ok)
	require.True(t, enter.Switched)
	next := b.agree(b.close("n"), "n")
	last, _ = find[BroadcastValidation](b.last)
	require.True(t, last.Validation.Full, "the next one is")
	require.Equal(t, next.Hash(), last.Validation.Block)
	require.Equal(t, theirs.Hash(), next.Parent())
}

func TestLiarsAloneAreNotFollowed(t *testing.T) {
	b := newBench(t, 10)
	made := b.child(b.genesis, "made up")
	b.full(made, 8, 9)
	b.serve(made)
	b.tick(time.Minute)
	require.Equal(t, b.genesis.Hash(), b.core.Working().Hash())
}

func TestLedgerOfOthersIsFetchedCheckedAndFollowed(t *testing.T) {
	b := newBench(t, 5)
	one := b.child(b.genesis, "1")
	two := b.child(one, "2")
	b.full(two, 1, 2, 3, 4)
	require.Empty(t, b.decided())
	b.tick(b.cfg.Timing.Tick)
	want, ok := find[FetchLedger](b.last)
	require.True(t, ok)
	require.Equal(t, two.Hash(), want.Block)
	require.Zero(t, want.Above)
	require.Equal(t, 4, want.Holders.Count())
	b.serve(two)
	require.Empty(t, b.decided(), "on top of what?")
	b.serve(one, b.child(b.genesis, "3"))
	require.Len(t, all[Blame](b.last), 1, "not one on top of the other")
	b.serve(b.child(b.genesis, "3"))
	require.Empty(t, b.decided())
	b.serve(one)
	b.tick(b.cfg.Timing.Tick)
	want, ok = find[FetchLedger](b.last)
	require.True(t, ok)
	require.Equal(t, types.Height(1), want.Above, "the rest")
	b.serve(two)
	require.Equal(t, []hash.Hash{one.Hash(), two.Hash()}, b.decided())
	require.Equal(t, two.Hash(), b.core.Working().Hash())
	for _, d := range all[Decided](b.last) {
		require.Equal(t, two.Hash(), d.Cert.Block)
	}
}

func TestServedCertificateIsCheckedAgainstTheOwnList(t *testing.T) {
	b := newBench(t, 5)
	one := b.child(b.genesis, "1")
	cert := func(message hash.Hash, signers ...int) *types.QC {
		qc := types.QC{View: 1, Block: one.Hash(), Signers: bls.NewBitmap(5)}
		var sigs [][]byte
		for _, i := range signers {
			qc.Signers.Set(i)
			sigs = append(sigs, consensustest.Scheme{Self: types.ValidatorIndex(i)}.Sign(message))
		}
		qc.Signature, _ = consensustest.Scheme{}.Merge(sigs)
		return &qc
	}
	good := ValidationMessage(testChain, 1, one.Hash())
	for name, qc := range map[string]*types.QC{
		"too few":         cert(good, 1, 2, 3),
		"another message": cert(ValidationMessage(testChain, 2, one.Hash()), 1, 2, 3, 4),
	} {
		b.step(Ledgers{Ledgers: []Ledger{{one, qc}}})
		require.Empty(t, b.decided(), name)
	}
	b.step(Ledgers{Ledgers: []Ledger{{one, cert(good, 1, 2, 3, 4)}}})
	require.Equal(t, []hash.Hash{one.Hash()}, b.decided())
}

func TestNothingFinalIsUndone(t *testing.T) {
	for name, contradict := range map[string]func(b *bench, other *types.Block){
		"validations": func(b *bench, other *types.Block) { b.full(other, 6, 7, 8, 9, 1, 2, 3, 4) },
		"descendant": func(b *bench, other *types.Block) {
			two := b.child(other, "2")
			b.full(two, 1, 2, 3, 4, 5, 6, 7, 8)
			b.serve(other, two)
		},
	} {
		b := newBench(t, 10)
		block := b.agree(b.close("a"), "a")
		b.full(block, 1, 2, 3, 4, 5, 8, 9)
		require.Equal(t, []hash.Hash{block.Hash()}, b.decided())
		for i := range b.core.voices { // they lie: forget what they said before
			b.core.voices[i] = &voice{}
		}
		other := b.child(b.genesis, "other")
		contradict(b, other)
		halt, ok := find[Halt](b.last)
		require.True(t, ok, name)
		require.ErrorIs(t, halt.Err, ErrConflict)
		var conflict *ConflictError
		require.ErrorAs(t, halt.Err, &conflict)
		require.Equal(t, block.Hash(), b.core.Root().Hash())
		require.Nil(t, b.core.Step(b.now, Tick{}), "it does nothing any more")
	}
}

func TestLateAnswerAboutFinalLedgersIsNoContradiction(t *testing.T) {
	b := newBench(t, 5)
	one := b.child(b.genesis, "1")
	two := b.child(one, "2")
	three := b.child(two, "3")
	b.full(two, 1, 2, 3, 4)
	b.serve(one, two)
	require.Equal(t, two.Hash(), b.core.Root().Hash())
	b.full(three, 1, 2, 3, 4)
	b.serve(one, two, three)
	require.Empty(t, all[Halt](b.last))
	require.Equal(t, []hash.Hash{three.Hash()}, b.decided())
}

func TestObserverFollowsAndSignsNothing(t *testing.T) {
	b := newBench(t, 5)
	b.cfg.Self = nil
	b.restart()
	b.tick(b.cfg.Timing.Idle)
	one := b.child(b.genesis, "1")
	b.full(one, 0, 1, 2, 3)
	b.serve(one)
	require.Equal(t, []hash.Hash{one.Hash()}, b.decided())
	b.tick(time.Minute)
	require.Empty(t, b.records)
}

func TestLiarFillsNoMemory(t *testing.T) {
	b := newBench(t, 5)
	p := b.close("a")
	for i := range 10_000 {
		b.seq++
		set := NewTxSet([][]byte{{byte(i), byte(i >> 8)}})
		spam := Position{Parent: p.Parent, Height: 1, Seq: b.seq, Set: set.ID(), Close: p.Close, Voter: 4}
		b.step(PositionIn{spam})
		b.step(TxSetIn{set})
		b.step(TxSetIn{NewTxSet([][]byte{{1, byte(i), byte(i >> 8)}})}) // nobody named it
		spam.Parent, spam.Height = hash.Sum("p", be(uint64(i))), types.Height(i+2)
		b.step(PositionIn{spam})
		b.step(ValidationIn{signed(Validation{Height: types.Height(i + 1), Block: hash.Sum("b", be(uint64(i))), Full: true, Voter: 4})})
	}
	sets, ledgers := b.core.Holds()
	require.LessOrEqual(t, sets, 4)
	require.Equal(t, 1, ledgers)
	liar := b.core.voices[4]
	require.LessOrEqual(t, len(liar.positions), positionsKept)
	require.LessOrEqual(t, len(liar.fulls), fullsKept)

	// A chain that leads nowhere is dropped when it grows too long.
	parent := b.genesis
	for range 3 * chainLedgers {
		parent = b.child(parent)
		b.serve(parent)
	}
	_, ledgers = b.core.Holds()
	require.LessOrEqual(t, ledgers, chainLedgers+1)
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	good := newBench(t, 5)
	for name, spoil := range map[string]func(*Config){
		"quorum":     func(c *Config) { c.Quorum = 101 },
		"order":      func(c *Config) { c.Order = nil },
		"caps":       func(c *Config) { c.MaxTxs = 0 },
		"list":       func(c *Config) { c.List = bls.NewBitmap(99) },
		"empty list": func(c *Config) { c.List = bls.NewBitmap(5) },
		"self":       func(c *Config) { self := types.ValidatorIndex(5); c.Self = &self },
		"tick":       func(c *Config) { c.Timing.Tick = 0 },
		"resolution": func(c *Config) { c.Timing.Resolution = time.Microsecond },
		"fresh":      func(c *Config) { c.Timing.Fresh = c.Timing.Resend },
	} {
		cfg := good.cfg
		spoil(&cfg)
		_, err := New(cfg, Restored{Root: good.genesis})
		require.ErrorIs(t, err, ErrConfig, name)
	}
	_, err := New(good.cfg, Restored{Root: types.GenesisBlock(hash.Sum("other"), 0)})
	require.ErrorIs(t, err, ErrForeignRoot)
}
