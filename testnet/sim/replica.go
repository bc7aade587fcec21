package sim

import (
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// replica is a core with its disk. The disk outlives crashes.
type replica struct {
	w    *world
	id   int
	self types.ValidatorIndex // in the present epoch, if it validates
	liar bool
	core *hotstuff.Core // nil while down

	crashSoon bool // at the next record that is to be persisted
	timer     int  // the timer set last; earlier ones are void

	// The disk.
	records  []hotstuff.Record
	executed []decided // the genesis block first
}

type decided struct {
	block    *types.Block
	cert     types.QC
	standing []byte
}

func newReplica(w *world, id int, liar bool) *replica {
	genesis := types.GenesisBlock(w.chain, w.start.UnixMilli())
	return &replica{w: w, id: id, liar: liar, executed: []decided{{block: genesis, cert: types.GenesisQC(w.chain)}}}
}

func (r *replica) height() types.Height { return r.executed[len(r.executed)-1].block.Height }

// boot starts the replica from its disk.
func (r *replica) boot() {
	root := r.executed[len(r.executed)-1]
	r.begin(r.w.params.EpochOf(root.block.Height+1), root, nil, r.kept(root.block))
}

// begin runs a core for an epoch.
func (r *replica) begin(epoch types.Epoch, root decided, h *types.Handover, records []hotstuff.Record) {
	rule := r.w.Rule
	if r.liar {
		rule = credulous{rule}
	}
	cfg := hotstuff.Config{
		Chain: r.w.chain, Epoch: epoch, Handover: h, Validators: r.w.set, Schedule: r.w.leaders, Rule: rule, Scheme: consensustest.Scheme{},
		ViewTimeout: r.w.ViewTimeout, MaxViewTimeout: maxTimeouts * r.w.ViewTimeout, MaxDrift: time.Hour, Reputation: r.w.Reputation,
	}
	if i := slices.Index(r.w.members(epoch), r.id); i >= 0 {
		r.self = types.ValidatorIndex(i)
		self := r.self
		cfg.Self, cfg.Scheme = &self, consensustest.Scheme{Self: self}
	}
	if r.w.EpochBlocks > 0 {
		cfg.Last = r.w.params.LastOf(epoch)
		if epoch > 0 && root.block.Height == r.w.params.LastOf(epoch-1) {
			cfg.Prior = r.w.authority(epoch - 1)
		}
	}
	core, err := hotstuff.New(cfg, hotstuff.Restored{Root: root.block, Cert: root.cert, Records: records, Standing: root.standing})
	if err != nil {
		r.w.law.fail("replica %d does not start again: %w", r.id, err)
		return
	}
	if !r.liar {
		r.w.report.Epochs = max(r.w.report.Epochs, epoch)
	}
	r.core = core
	r.step(hotstuff.Start{})
	if r.w.EpochBlocks == 0 {
		return
	}
	// Execution tells the next set, some time after the epoch began.
	r.w.at(r.w.now+time.Duration(r.w.rand.Int64N(int64(50*time.Millisecond))), func() {
		if r.core == core {
			r.step(hotstuff.NextSet{Hash: hash.Sum("set", []byte{byte(epoch + 1)})})
		}
	})
}

// kept drops the records that execution made superfluous, as drivers do; the
// last record of each sort stays.
func (r *replica) kept(executed *types.Block) []hotstuff.Record {
	first := max(0, len(r.records)-2)
	for i, rec := range r.records {
		if rec.Epoch > executed.Epoch || rec.View() > executed.View {
			first = min(first, i)
			break
		}
	}
	return r.records[first:]
}

// step feeds the core and carries out what it wants. A crash cuts the effects
// short, before or after the record that was to be persisted.
func (r *replica) step(ev hotstuff.Event) {
	if r.core == nil || r.w.law.broken != nil {
		return
	}
	r.w.report.Steps++
	core := r.core
	for _, effect := range core.Step(r.w.start.Add(r.w.now), ev) {
		if p, ok := effect.(hotstuff.Persist); ok && r.crashSoon {
			if r.w.rand.IntN(2) == 0 {
				r.records = append(r.records, p.Record)
			}
			r.crash()
			return
		}
		r.carryOut(effect)
		if r.core != core {
			return
		}
	}
}

func (r *replica) crash() {
	r.core, r.crashSoon = nil, false
	r.timer++
	// Execution lags: what was decided last may have to be decided again.
	if lag := r.w.rand.IntN(3); lag < len(r.executed) {
		r.executed = r.executed[:len(r.executed)-lag]
	}
	down := time.Duration(r.w.rand.Int64N(int64(800 * time.Millisecond)))
	r.w.at(r.w.now+down, func() {
		if r.core == nil {
			r.boot()
		}
	})
}

func (r *replica) carryOut(effect hotstuff.Effect) {
	w := r.w
	w.law.observe(w, r, effect)
	switch e := effect.(type) {
	case hotstuff.Persist:
		r.records = append(r.records, e.Record)
	case hotstuff.Broadcast:
		r.propose(e.Block)
	case hotstuff.SendVote:
		if !r.liar || w.rand.IntN(3) > 0 {
			w.send(r.id, w.members(e.Vote.Epoch)[e.To], hotstuff.VoteIn{Vote: e.Vote})
		}
	case hotstuff.BroadcastTimeout:
		r.toOthers(hotstuff.TimeoutIn(e))
	case hotstuff.SetTimer:
		r.timer++
		set := r.timer
		w.at(w.now+e.After, func() {
			if r.timer == set {
				r.step(hotstuff.TimerFired{View: e.View})
			}
		})
	case hotstuff.BuildPayload:
		txs := [][]byte{{byte(e.View), byte(e.View >> 8), byte(r.id)}}
		w.at(w.now+time.Millisecond, func() {
			r.step(hotstuff.Payload{View: e.View, Parent: e.Parent.Hash(), Content: types.Payload{Txs: txs}})
		})
	case hotstuff.Fetch:
		r.fetch(e)
	case hotstuff.Decided:
		r.executed = append(r.executed, decided{e.Block, e.Cert, e.Standing})
	case hotstuff.EpochEnded:
		r.timer++
		r.begin(e.Epoch+1, r.executed[len(r.executed)-1], e.Handover, r.records)
	}
}

func (r *replica) toOthers(ev hotstuff.Event) {
	for _, other := range r.w.replicas {
		if other != r {
			r.w.send(r.id, other.id, ev)
		}
	}
}

// fetch asks one holder, drawn at random, who answers after two delays.
func (r *replica) fetch(e hotstuff.Fetch) {
	other := r.w.replicas[r.w.rand.IntN(len(r.w.replicas))]
	if other == r {
		return
	}
	r.w.at(r.w.now+r.w.delay(), func() {
		if blocks := other.serve(e.Block, e.Above); len(blocks) > 0 {
			r.w.send(other.id, r.id, hotstuff.Blocks{Blocks: blocks})
		}
	})
}

// serve lists the ancestors of a block, and the block, above a height.
func (r *replica) serve(h hash.Hash, above types.Height) []*types.Block {
	if r.core == nil {
		return nil
	}
	undecided := r.core.Undecided(h)
	var blocks []*types.Block
	for _, d := range r.executed {
		if d.block.Height > above {
			blocks = append(blocks, d.block)
		}
		if d.block.Hash() == h {
			return blocks
		}
	}
	return append(blocks, undecided...)
}
