package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// replica is a core with its disk. The disk outlives crashes.
type replica struct {
	w      *world
	id     int                  // its place in the world
	seat   int                  // the replica whose key it has: its own, or its twin's
	self   types.ValidatorIndex // in the present epoch, if it validates
	faulty bool                 // a liar or a twin: the laws do not hold for it
	liar   *liar
	core   *hotstuff.Core // nil while down

	crashes []Crash // to come
	writes  int     // to the vote log so far
	timer   int     // the timer set last; earlier ones are void

	// The disk.
	records  []hotstuff.Record
	executed []decided // the genesis block first
}

type decided struct {
	block    *types.Block
	cert     types.QC
	standing []byte
}

func newReplica(w *world, id int) *replica {
	genesis := types.GenesisBlock(w.chain, w.start.UnixMilli())
	r := &replica{w: w, id: id, seat: id, executed: []decided{{block: genesis, cert: types.GenesisQC(w.chain)}}}
	if id >= w.Replicas {
		r.seat -= w.Twins
	}
	r.faulty = w.faulty(r.seat)
	if r.faulty && r.seat < w.Replicas-w.Twins {
		r.liar = newLiar(r)
	}
	for _, c := range w.Crashes {
		if c.Replica == id {
			r.crashes = append(r.crashes, c)
		}
	}
	slices.SortStableFunc(r.crashes, func(a, b Crash) int { return int(a.At - b.At) })
	return r
}

func (r *replica) height() types.Height { return r.executed[len(r.executed)-1].block.Height }

// clock is what the replica's clock says.
func (r *replica) clock() time.Time {
	t := r.w.start.Add(r.w.now)
	if r.seat < len(r.w.Skews) {
		t = t.Add(r.w.Skews[r.seat])
	}
	return t
}

// boot starts the replica from its disk.
func (r *replica) boot() {
	root := r.executed[len(r.executed)-1]
	r.begin(r.w.params.EpochOf(root.block.Height+1), root, nil, r.kept(root.block))
}

// begin runs a core for an epoch.
func (r *replica) begin(epoch types.Epoch, root decided, h *types.Handover, records []hotstuff.Record) {
	w, rule := r.w, r.w.Rule
	if r.liar != nil {
		rule = credulous{rule}
	}
	cfg := hotstuff.Config{
		Chain: w.chain, Epoch: epoch, Handover: h, Validators: w.set, Schedule: w.leaders, Rule: rule, Scheme: consensustest.Scheme{},
		ViewTimeout: w.ViewTimeout, MaxViewTimeout: maxTimeouts * w.ViewTimeout, MaxDrift: maxDrift, Reputation: w.Reputation,
	}
	if i := slices.Index(w.members(epoch), r.seat); i >= 0 {
		r.self = types.ValidatorIndex(i)
		self := r.self
		cfg.Self, cfg.Scheme = &self, consensustest.Scheme{Self: self}
	}
	if w.EpochBlocks > 0 {
		cfg.Last = w.params.LastOf(epoch)
		if epoch > 0 && root.block.Height == w.params.LastOf(epoch-1) {
			cfg.Prior = w.authority(epoch - 1)
		}
	}
	core, err := hotstuff.New(cfg, hotstuff.Restored{Root: root.block, Cert: root.cert, Records: records, Standing: root.standing})
	if err != nil {
		w.law.fail(ErrStall, "%s does not start again: %s", r, err)
		return
	}
	if !r.faulty {
		w.report.Epochs = max(w.report.Epochs, epoch)
	}
	r.core = core
	r.step(hotstuff.Start{})
	if w.EpochBlocks == 0 {
		return
	}
	// Execution tells the next set, some time after the epoch began.
	w.at(w.now+time.Duration(w.rand.Int64N(int64(50*time.Millisecond))), func() {
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

// receive takes what the network brings.
func (r *replica) receive(ev hotstuff.Event) {
	if r.liar != nil && r.core != nil {
		r.liar.hear(ev)
	}
	r.step(ev)
}

// step feeds the core and carries out what it wants. A crash cuts the effects
// short, before or after the record that was to be persisted.
func (r *replica) step(ev hotstuff.Event) {
	if r.core == nil || r.w.law.broken != nil {
		return
	}
	r.w.report.Steps++
	core := r.core
	r.w.logEvent(r, ev)
	for _, effect := range core.Step(r.clock(), ev) {
		r.w.logEffect(effect)
		p, write := effect.(hotstuff.Persist)
		if write {
			r.writes++
			if c, now := r.crashNow(); now {
				if c.OnDisk {
					r.carryOut(p)
				}
				r.crash(c)
				return
			}
		}
		r.carryOut(effect)
		if r.core != core {
			return
		}
	}
}

// crashNow reports whether this write to the vote log is one to crash at.
func (r *replica) crashNow() (Crash, bool) {
	if len(r.crashes) == 0 || r.w.now < r.crashes[0].At {
		return Crash{}, false
	}
	c := r.crashes[0]
	if c.Nth > 0 {
		r.crashes[0].Nth--
		return Crash{}, false
	}
	r.crashes = r.crashes[1:]
	return c, true
}

func (r *replica) crash(c Crash) {
	r.core = nil
	r.timer++
	r.w.report.Crashes++
	// Execution lags: what was decided last may have to be decided again.
	r.executed = r.executed[:max(1, len(r.executed)-c.Lag)]
	r.w.at(r.w.now+c.Down, func() {
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
		if r.liar != nil {
			r.liar.propose(e.Block)
		} else {
			w.toAll(r, hotstuff.Proposal(e))
		}
	case hotstuff.SendVote:
		if r.liar == nil || r.liar.votes(e) {
			w.toValidator(r, e.Vote.Epoch, e.To, hotstuff.VoteIn{Vote: e.Vote})
		}
	case hotstuff.BroadcastTimeout:
		if r.liar != nil {
			e = r.liar.timeout(e)
		}
		w.toAll(r, hotstuff.TimeoutIn(e))
	case hotstuff.ShowEnding:
		w.toAll(r, hotstuff.EndingIn(e))
	case hotstuff.SetTimer:
		r.setTimer(e)
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
	case hotstuff.EnterView:
		r.entered(e.View)
	}
}

func (r *replica) setTimer(e hotstuff.SetTimer) {
	r.timer++
	set := r.timer
	r.w.at(r.w.now+e.After, func() {
		if r.timer == set {
			r.step(hotstuff.TimerFired{View: e.View})
		}
	})
}

// entered notes that a view has begun, and ends the chaos after the last.
func (r *replica) entered(v types.View) {
	w := r.w
	if r.liar != nil {
		r.liar.enter(v)
	}
	if len(w.Rounds) == 0 {
		return
	}
	w.progress = w.now
	if v > types.View(len(w.Rounds)) {
		w.calm = w.calm || !r.faulty
	}
}

// lag is how long the replica keeps its messages back.
func (r *replica) lag() time.Duration {
	if r.liar == nil || !r.w.Tricks.Has(Delay) || r.w.rand.IntN(2) == 0 {
		return 0
	}
	return r.w.ViewTimeout - min(r.w.ViewTimeout, time.Duration(r.w.rand.Int64N(int64(20*time.Millisecond))))
}

// String names the replica in reports.
func (r *replica) String() string { return fmt.Sprintf("replica %s", r.w.name(r.id)) }
