package rpca

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
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
