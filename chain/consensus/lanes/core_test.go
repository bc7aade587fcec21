package lanes

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

var (
	testChain = hash.Sum("lanes test")
	testStart = time.UnixMilli(1_000_000)
)

// bench is the lanes of a few validators, whose effects the test carries out.
type bench struct {
	*testing.T
	now   time.Time
	set   *types.ValidatorSet
	cores []*Core
	disks [][]*types.Batch // what each has persisted
}

func newBench(t *testing.T, powers ...uint64) *bench {
	var members []types.Validator
	for _, p := range powers {
		members = append(members, types.Validator{Power: p})
	}
	set, err := types.NewValidatorSet(members)
	require.NoError(t, err)
	b := &bench{T: t, now: testStart, set: set, cores: make([]*Core, len(powers)), disks: make([][]*types.Batch, len(powers))}
	for i := range powers {
		b.restart(i, nil)
	}
	return b
}

func (b *bench) config(i int) Config {
	self := types.ValidatorIndex(i)
	cfg := DefaultConfig(consensus.Authority{Chain: testChain, Validators: b.set, Scheme: consensustest.Scheme{Self: self}}, &self)
	cfg.Window, cfg.MaxBytes = 8, 1000
	return cfg
}

func (b *bench) restart(i int, cut map[types.ValidatorIndex]At) []Effect {
	b.cores[i] = New(b.config(i), Restored{Batches: b.disks[i], Cut: cut})
	return b.step(i, Start{})
}

// step feeds a core. What it says of a batch must be on its disk before.
func (b *bench) step(i int, ev Event) []Effect {
	effects := append([]Effect{}, b.cores[i].Step(b.now, ev)...)
	for _, e := range effects {
		switch e := e.(type) {
		case Persist:
			b.disks[i] = append(b.disks[i], e.Batch)
		case SendBatch:
			require.True(b, b.holds(i, e.Batch.Hash()), "a batch leaves before it is stored")
		case SendAck:
			require.True(b, b.holds(i, e.Ack.Batch), "an acknowledgement leaves before the batch is stored")
		}
	}
	return effects
}

func (b *bench) holds(i int, h hash.Hash) bool {
	return slices.ContainsFunc(b.disks[i], func(x *types.Batch) bool { return x.Hash() == h })
}

func find[T Effect](effects []Effect) (out []T) {
	for _, e := range effects {
		if t, ok := e.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// make has validator i make a batch of one transaction.
func (b *bench) make(i int, tx string) *types.Batch {
	b.now = b.now.Add(time.Millisecond)
	sent := find[SendBatch](b.step(i, Txs{Txs: [][]byte{[]byte(tx)}}))
	require.Len(b, sent, 1)
	return sent[0].Batch
}

// ship gives a batch to others and their acknowledgements to its leader, and returns
// the certificate.
func (b *bench) ship(batch *types.Batch, to ...int) *types.LaneCert {
	var cert *types.LaneCert
	for _, i := range to {
		for _, ack := range find[SendAck](b.step(i, BatchIn{Batch: batch})) {
			for _, c := range find[SendCert](b.step(int(batch.Lane), AckIn{Ack: ack.Ack})) {
				cert = &c.Cert
			}
		}
	}
	return cert
}

func block(height types.Height, cut ...types.LaneCert) *types.Block {
	b, err := types.NewBlock(types.BlockHeader{Chain: testChain, Height: height, View: types.View(height), Cut: cut}, nil, consensustest.Scheme{}.SignBlock)
	if err != nil {
		panic(err)
	}
	return b
}

func TestCertificateTakesMoreThanAThirdOfThePower(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	require.NotNil(t, b.ship(b.make(0, "a"), 1), "two of four")
	b = newBench(t, 1, 1, 10, 1)
	batch := b.make(0, "a")
	require.Nil(t, b.ship(batch, 1, 3), "3 of 13")
	require.NotNil(t, b.ship(batch, 2))
}

func TestOneAcknowledgementALaneHeightEver(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	one := b.make(0, "one")
	fork := New(b.config(0), Restored{})
	fork.Step(b.now, Start{})
	two := find[SendBatch](fork.Step(b.now.Add(time.Second), Txs{Txs: [][]byte{[]byte("two")}}))[0].Batch
	require.Len(t, find[SendAck](b.step(1, BatchIn{Batch: one})), 1)
	effects := b.step(1, BatchIn{Batch: two})
	require.Empty(t, find[SendAck](effects))
	blames := find[Blame](effects)
	require.Len(t, blames, 1)
	authority := b.config(1).Authority
	place, err := authority.CheckEvidence(blames[0].Evidence)
	require.NoError(t, err)
	require.EqualValues(t, 1, place)
	b.restart(1, nil)
	require.Empty(t, find[SendAck](b.step(1, BatchIn{Batch: two})), "nor after a restart")
	again := b.step(1, BatchIn{Batch: one})
	require.Len(t, find[SendAck](again), 1, "the same one may be said again")
	require.Empty(t, find[Blame](again))
}

func TestRestartedLeaderGoesOnWhereItsLaneEnds(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	one, two := b.make(0, "one"), b.make(0, "two")
	sent := find[SendBatch](b.restart(0, nil))
	require.Equal(t, []SendBatch{{one}, {two}}, sent, "what has no certificate is sent again")
	three := b.make(0, "three")
	require.Equal(t, types.LaneHeight(3), three.Height)
	require.Equal(t, two.Hash(), three.Parent)
	require.NotNil(t, b.ship(one, 1))
	require.NotNil(t, b.ship(two, 1))
	require.NotNil(t, b.ship(three, 1))
}

func TestBatchThatDoesNotFollowIsNotAcknowledged(t *testing.T) {
	for name, spoil := range map[string]func(h *types.BatchHeader){
		"parent":       func(h *types.BatchHeader) { h.Parent[0]++ },
		"no ticks":     func(h *types.BatchHeader) { h.Ticks = 0 },
		"many ticks":   func(h *types.BatchHeader) { h.Ticks += maxTicks },
		"history":      func(h *types.BatchHeader) { h.History[0]++ },
		"chain":        func(h *types.BatchHeader) { h.Chain[0]++ },
		"epoch":        func(h *types.BatchHeader) { h.Epoch++ },
		"unknown lane": func(h *types.BatchHeader) { h.Lane = 99 },
		"height 0":     func(h *types.BatchHeader) { h.Height = 0 },
	} {
		b := newBench(t, 1, 1, 1, 1)
		b.ship(b.make(0, "one"), 1)
		good := b.make(0, "two")
		h := good.BatchHeader
		spoil(&h)
		bad, err := types.NewBatch(h, good.Txs, consensustest.Scheme{}.SignBlock)
		require.NoError(t, err)
		require.Empty(t, find[SendAck](b.step(1, BatchIn{Batch: bad})), name)
		require.Len(t, find[SendAck](b.step(1, BatchIn{Batch: good})), 1, "%s: the good one still is", name)
	}
	b := newBench(t, 1, 1, 1, 1)
	require.Empty(t, find[SendAck](b.step(1, BatchIn{Batch: b.make(0, string(make([]byte, 1001)))})), "too long")
}

func TestGapInALaneIsClosedLater(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	one, two, three := b.make(0, "1"), b.make(0, "2"), b.make(0, "3")
	require.Empty(t, find[SendAck](b.step(1, BatchIn{Batch: three})))
	require.Empty(t, find[SendAck](b.step(1, BatchIn{Batch: two})))
	require.Len(t, find[SendAck](b.step(1, BatchIn{Batch: one})), 3)
}

func TestForgedAcknowledgementsPreventNothing(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	batch := b.make(0, "a")
	forged := Ack{Lane: 0, Height: 1, Batch: batch.Hash(), Voter: 3, Signature: []byte("forged!!")}
	effects := b.step(0, AckIn{Ack: forged})
	require.Empty(t, find[SendCert](effects))
	require.Len(t, find[Blame](effects), 1)
	require.NotNil(t, b.ship(batch, 2))
}

func TestBadCertificatesAreRefused(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	cert := *b.ship(b.make(0, "a"), 1)
	require.NoError(t, b.cores[3].CheckCut([]types.LaneCert{cert}))
	for name, spoil := range map[string]func(c *types.LaneCert){
		"batch":       func(c *types.LaneCert) { c.Batch[0]++ },
		"height":      func(c *types.LaneCert) { c.Height++ },
		"lane":        func(c *types.LaneCert) { c.Lane = 2 },
		"strange":     func(c *types.LaneCert) { c.Lane = 99 },
		"signature":   func(c *types.LaneCert) { c.Signature = []byte("forged!!") },
		"one signer":  func(c *types.LaneCert) { c.Signers = bls.Bitmap{1} },
		"more":        func(c *types.LaneCert) { c.Signers = bls.Bitmap{0xf} },
		"long bitmap": func(c *types.LaneCert) { c.Signers = append(c.Signers, 0) },
	} {
		bad := cert
		bad.Signers = append(bls.Bitmap{}, cert.Signers...)
		spoil(&bad)
		require.ErrorIs(t, b.cores[3].CheckCut([]types.LaneCert{bad}), ErrCut, name)
		b.step(3, CertIn{Cert: bad})
		require.Empty(t, b.cores[3].Cut(nil), name)
	}
	require.ErrorIs(t, b.cores[3].CheckCut([]types.LaneCert{cert, cert}), ErrCut, "a lane twice")
}

func TestCutOffersWhatIsNotOrderedYet(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	low := *b.ship(b.make(0, "1"), 1, 2, 3)
	high := *b.ship(b.make(0, "2"), 1, 2, 3)
	other := *b.ship(b.make(2, "x"), 0, 1, 3)
	for _, c := range []types.LaneCert{high, low, other} {
		b.step(3, CertIn{Cert: c})
	}
	require.Equal(t, []types.LaneCert{high, other}, b.cores[3].Cut(nil))
	require.Equal(t, []types.LaneCert{high}, b.cores[3].Cut([]*types.Block{block(1, low, other)}))
	b.step(3, Decided{Block: block(1, high)})
	require.Equal(t, []types.LaneCert{other}, b.cores[3].Cut(nil))
}

func TestBlocksAreDeliveredInOrderOnceTheirBatchesAreHere(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	one, two := b.make(0, "1"), b.make(0, "2")
	b.ship(one, 1)
	cert := *b.ship(two, 1)
	x := *b.ship(b.make(2, "x"), 1, 3)
	effects := b.step(3, Decided{Block: block(1, cert)})
	require.Empty(t, find[Ordered](effects))
	fetch := find[Fetch](effects)
	require.Equal(t, []Fetch{{Lane: 0, Height: 2, Batch: two.Hash(), Holders: cert.Signers}}, fetch)
	require.Empty(t, find[Ordered](b.step(3, Decided{Block: block(2, x)})), "a later one waits")
	require.Empty(t, find[Fetch](b.step(3, Tick{})), "not asked again at once")
	b.now = b.now.Add(time.Hour)
	require.Len(t, find[Fetch](b.step(3, Tick{})), 1)
	require.Empty(t, find[Ordered](b.step(3, BatchIn{Batch: two})))
	ordered := find[Ordered](b.step(3, BatchIn{Batch: one}))
	require.Len(t, ordered, 2)
	require.Equal(t, []*types.Batch{one, two}, ordered[0].Batches)
	require.Len(t, ordered[1].Batches, 1)
	repeated := find[Ordered](b.step(3, Decided{Block: block(3, cert)}))
	require.Len(t, repeated, 1)
	require.Empty(t, repeated[0].Batches, "nothing is ordered twice")
}

func TestLaneThatRunsAheadStops(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	var last *types.LaneCert
	made := 0
	for ; made < 20 && b.cores[0].wanted; made++ {
		last = b.ship(b.make(0, "x"), 1, 2)
	}
	require.Equal(t, 8, made, "the window")
	b.step(0, Decided{Block: block(1, *last)})
	require.True(t, b.cores[0].wanted, "on again")
	b = newBench(t, 1, 1, 1, 1)
	for made = 0; b.cores[0].wanted; made++ {
		b.make(0, "x")
	}
	require.Equal(t, 4, made, "so many may wait for a certificate")
}

// All deliver the same, whatever each has stored of a lane whose leader made two
// branches, both certified.
func TestForkedLaneIsOrderedAlikeByAll(t *testing.T) {
	b := newBench(t, 1, 1, 1, 1)
	fork := New(b.config(0), Restored{})
	fork.Step(b.now, Start{})
	a1, a2 := b.make(0, "a1"), b.make(0, "a2")
	var forked []*types.Batch
	for _, tx := range []string{"b1", "b2", "b3"} {
		b.now = b.now.Add(time.Millisecond)
		forked = append(forked, find[SendBatch](fork.Step(b.now, Txs{Txs: [][]byte{[]byte(tx)}}))[0].Batch)
	}
	b.ship(a1, 1)
	certA := *b.ship(a2, 1)
	var certB types.LaneCert
	for _, batch := range forked {
		for _, ack := range find[SendAck](b.step(2, BatchIn{Batch: batch})) {
			for _, c := range find[SendCert](append([]Effect{}, fork.Step(b.now, AckIn{Ack: ack.Ack})...)) {
				certB = c.Cert
			}
		}
	}
	require.EqualValues(t, 3, certB.Height)
	all := append([]*types.Batch{a2, a1}, forked[2], forked[1], forked[0])
	var first []hash.Hash
	for i := 1; i <= 3; i++ {
		var got []hash.Hash
		take := func(effects []Effect) {
			for _, o := range find[Ordered](effects) {
				for _, batch := range o.Batches {
					got = append(got, batch.Hash())
				}
			}
		}
		for h, cut := range []types.LaneCert{certA, certB} {
			take(b.step(i, Decided{Block: block(types.Height(h+1), cut)}))
			for _, batch := range all { // what is fetched
				take(b.step(i, BatchIn{Batch: batch}))
			}
		}
		require.Equal(t, []hash.Hash{a1.Hash(), a2.Hash(), forked[2].Hash()}, got, "validator %d", i)
		if first == nil {
			first = got
		}
		require.Equal(t, first, got)
	}
}

// Messages are lost, repeated and reordered, validators restart from their disks: all
// deliver the same, and nothing twice.
func TestRandomNetworksDeliverAlike(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t, 1, 1, 1, 1)
		var wires []func()
		var delivered [4][]hash.Hash
		var blocks []*types.Block
		next := [4]int{}
		var act func(i int, effects []Effect)
		put := func(to int, ev Event) {
			for range 1 + r.IntN(2) {
				wires = append(wires, func() { act(to, b.step(to, ev)) })
			}
		}
		act = func(i int, effects []Effect) {
			for _, e := range effects {
				switch e := e.(type) {
				case SendBatch:
					for to := range 4 {
						if to != i && r.IntN(4) > 0 {
							put(to, BatchIn(e))
						}
					}
				case SendAck:
					put(int(e.To), AckIn{Ack: e.Ack})
				case SendCert:
					for to := range 4 {
						if to != i {
							put(to, CertIn(e))
						}
					}
				case Fetch:
					for holder := range e.Holders.All() {
						for _, batch := range b.disks[holder] {
							if batch.Hash() == e.Batch {
								put(i, BatchIn{Batch: batch})
							}
						}
					}
				case Ordered:
					for _, batch := range e.Batches {
						delivered[i] = append(delivered[i], batch.Hash())
					}
				case Blame:
					require.Nil(t, e.Evidence, "seed %d: validator %d is honest: %s", seed, e.Validator, e.Reason)
				}
			}
		}
		for round := range 400 {
			b.now = b.now.Add(time.Duration(r.IntN(50)) * time.Millisecond)
			i := r.IntN(4)
			switch k := r.IntN(10); {
			case k < 5 && len(wires) > 0:
				w := r.IntN(len(wires))
				do := wires[w]
				wires = slices.Delete(wires, w, w+1)
				do()
			case k < 7 && b.cores[i].wanted:
				act(i, b.step(i, Txs{Txs: [][]byte{{byte(round), byte(round >> 8), byte(i)}}}))
			case k == 7:
				if cut := b.cores[i].Cut(blocks[min(next[i], len(blocks)):]); len(cut) > 0 {
					blocks = append(blocks, block(types.Height(len(blocks)+1), cut...))
				}
			case k == 8 && next[i] < len(blocks):
				next[i]++
				act(i, b.step(i, Decided{Block: blocks[next[i]-1]}))
			case k == 9:
				act(i, b.step(i, Tick{}))
			}
		}
		for range 60 { // the network heals
			b.now = b.now.Add(time.Second)
			for i := range 4 {
				for ; next[i] < len(blocks); next[i]++ {
					act(i, b.step(i, Decided{Block: blocks[next[i]]}))
				}
				act(i, b.step(i, Tick{}))
			}
			for len(wires) > 0 {
				do := wires[0]
				wires = wires[1:]
				do()
			}
		}
		seen := map[hash.Hash]bool{}
		for _, h := range delivered[0] {
			require.False(t, seen[h], "seed %d: twice", seed)
			seen[h] = true
		}
		for i := range 4 {
			require.True(t, b.cores[i].Idle(), "seed %d: validator %d waits for ever", seed, i)
			require.Equal(t, delivered[0], delivered[i], "seed %d: validator %d", seed, i)
		}
		require.NotEmpty(t, delivered[0], "seed %d", seed)
	}
}

func TestBucketsAreSharedByStakeAndDealtAnew(t *testing.T) {
	set, err := types.NewValidatorSet([]types.Validator{{Power: 1}, {Power: 1}, {Power: 2}})
	require.NoError(t, err)
	count := func(e types.Epoch) (n [3]int, b *Buckets) {
		b = NewBuckets(set, types.EpochDomain(testChain, e))
		for _, owner := range b.owners {
			n[owner]++
		}
		return n, b
	}
	n, first := count(0)
	require.InDelta(t, bucketCount/4, n[0], bucketCount/12)
	require.InDelta(t, bucketCount/2, n[2], bucketCount/12)
	_, second := count(1)
	moved := 0
	for i := range first.owners {
		if first.owners[i] != second.owners[i] {
			moved++
		}
	}
	require.Greater(t, moved, bucketCount/3)
}
