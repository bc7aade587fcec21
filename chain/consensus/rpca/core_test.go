package rpca

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

var testChain = hash.Sum("test")

// bench is one node on a test bench: validator 0 of n.
type bench struct {
	*testing.T
	core    *Core
	cfg     Config
	genesis *types.Block
	now     time.Time
	records []Record
	last    []Effect
	seq     uint64
}

func newBench(t *testing.T, n int) *bench {
	set, err := types.NewValidatorSet(slices.Repeat([]types.Validator{{Power: 1}}, n))
	require.NoError(t, err)
	self := types.ValidatorIndex(0)
	b := &bench{
		T: t, genesis: types.GenesisBlock(testChain, 1_000_000), now: time.UnixMilli(1_000_000),
		cfg: Config{
			Chain: testChain, Validators: set, Scheme: consensustest.Scheme{}, Self: &self,
			Order: func(txs [][]byte) [][]byte {
				out := slices.Clone(txs)
				slices.SortFunc(out, bytes.Compare)
				return out
			},
			MaxBytes: 1000, MaxTxs: 10, Timing: DefaultTiming(),
		},
	}
	b.restart()
	return b
}

func (b *bench) restart() {
	var err error
	b.core, err = New(b.cfg, Restored{Root: b.genesis, Records: b.records})
	require.NoError(b, err)
	b.step(Start{})
}

func (b *bench) step(ev Event) []Effect {
	b.last = slices.Clone(b.core.Step(b.now, ev))
	for _, e := range b.last {
		if p, ok := e.(Persist); ok {
			b.records = append(b.records, p.Record)
		}
	}
	return b.last
}

// tick lets time pass.
func (b *bench) tick(d time.Duration) []Effect {
	b.now = b.now.Add(d)
	return b.step(Tick{})
}

// close closes the ledger with some transactions.
func (b *bench) close(txs ...string) Position {
	b.tick(b.cfg.Timing.MinClose)
	b.step(Payload{Parent: b.core.Working().Hash(), Txs: raw(txs...), Hurry: true})
	p, ok := find[BroadcastPosition](b.last)
	require.True(b, ok)
	return p.Position
}

func raw(txs ...string) (out [][]byte) {
	for _, tx := range txs {
		out = append(out, []byte(tx))
	}
	return out
}

func find[E Effect](effects []Effect) (found E, ok bool) {
	for _, e := range effects {
		if e, is := e.(E); is {
			found, ok = e, true
		}
	}
	return found, ok
}

func all[E Effect](effects []Effect) (out []E) {
	for _, e := range effects {
		if e, is := e.(E); is {
			out = append(out, e)
		}
	}
	return out
}

// position is somebody's, on the present parent, with the set delivered.
func (b *bench) position(voter int, closing int64, txs ...string) []Effect {
	b.seq++
	set := NewTxSet(raw(txs...))
	p := Position{
		Parent: b.core.Working().Hash(), Height: b.core.Working().Height + 1, Seq: b.seq, Set: set.ID(), Close: closing,
		Voter: types.ValidatorIndex(voter),
	}
	effects := b.step(PositionIn{p})
	b.last = append(effects, b.step(TxSetIn{set})...)
	return b.last
}

func signed(v Validation) Validation {
	v.Signature = consensustest.Scheme{Self: v.Voter}.Sign(v.Message(testChain))
	return v
}

func (b *bench) full(block *types.Block, voters ...int) []Effect {
	var out []Effect
	for _, i := range voters {
		v := Validation{Height: block.Height, Block: block.Hash(), Full: true, Voter: types.ValidatorIndex(i)}
		out = append(out, b.step(ValidationIn{signed(v)})...)
	}
	return out
}

func (b *bench) partial(height types.Height, block *types.Block, voters ...int) []Effect {
	var out []Effect
	for _, i := range voters {
		b.seq++
		v := Validation{Height: height, Block: block.Hash(), Seq: b.seq, Voter: types.ValidatorIndex(i)}
		out = append(out, b.step(ValidationIn{signed(v)})...)
	}
	return out
}

// agree has the others hold the node's position, and returns the ledger made.
func (b *bench) agree(p Position, txs ...string) *types.Block {
	b.tick(b.cfg.Timing.MinConsensus)
	for i := 1; i < b.core.quorum(); i++ {
		require.Equal(b, Establish, b.core.Phase(), "not before a quorum agrees")
		b.position(i, p.Close, txs...)
	}
	require.Equal(b, Open, b.core.Phase())
	return b.core.Working()
}

// child is a ledger as others may have made it.
func (b *bench) child(parent *types.Block, txs ...string) *types.Block {
	block, err := b.core.build(parent, NewTxSet(raw(txs...)), 0)
	require.NoError(b, err)
	return block
}

func (b *bench) serve(blocks ...*types.Block) []Effect {
	ledgers := make([]Ledger, len(blocks))
	for i := range blocks {
		ledgers[i].Block = blocks[i]
	}
	return b.step(Ledgers{From: "peer", Ledgers: ledgers})
}

// decided lists what the last step made final.
func (b *bench) decided() (out []hash.Hash) {
	for _, d := range all[Decided](b.last) {
		out = append(out, d.Block.Hash())
	}
	return out
}

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
