package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/testnet/sim/virtual"
)

// Report is what a run came to.
type Report struct {
	Steps   int           // events handled by cores
	Decided types.Height  // the least height decided by any honest replica
	Healing time.Duration // from the end of chaos until everyone honest was live
	Writes  []int         // to the vote log of each replica
	Crashes int           // that happened
	Epochs  types.Epoch   // begun by any honest replica
	Proofs  int           // of offences, each as often as somebody found it
	Trace   uint64        // over everything that happened: equal for equal schedules
}

// world is one running experiment.
type world struct {
	Schedule
	rand     *rand.Rand
	start    time.Time
	now      time.Duration
	queue    virtual.Queue
	chain    hash.Hash
	params   types.Params
	set      *types.ValidatorSet // of any epoch: all have one power
	leaders  hotstuff.Schedule
	replicas []*replica
	progress time.Duration // when a replica last entered a view
	calm     bool
	law      law
	report   Report
	out      io.Writer // for the log, or nil
}

// Run carries out a schedule. The error names the law that was broken.
func Run(s Schedule) (Report, error) { return newWorld(s).run() }

func (w *world) run() (Report, error) {
	for _, r := range w.replicas {
		r.boot()
	}
	w.runUntil(w.Chaos, func() bool { return w.calm })
	w.heal()
	before, healed := types.Height(len(w.law.chain)), w.now
	w.runUntil(w.now+w.Calm, func() bool { return w.live(before) })
	w.law.checkLive(w, before)
	w.report.Decided, w.report.Healing = w.lowest(), w.now-healed
	for _, r := range w.replicas {
		w.report.Writes = append(w.report.Writes, r.writes)
	}
	if w.law.broken != nil {
		return w.report, fmt.Errorf("at %s: %w", w.now, w.law.broken)
	}
	return w.report, nil
}

func newWorld(s Schedule) *world {
	members := make([]types.Validator, s.size())
	for i := range members {
		members[i].Power = 1
	}
	set, err := types.NewValidatorSet(members)
	if err != nil {
		panic(err) // a schedule has 1 to 64 replicas
	}
	chain := hash.Sum("sim")
	w := &world{
		Schedule: s, rand: rand.New(rand.NewPCG(s.Seed, 0x5eed)), start: time.UnixMilli(1_700_000_000_000),
		chain: chain, set: set, params: types.Params{EpochBlocks: uint64(s.EpochBlocks)}, leaders: hotstuff.NewRoundRobin(set),
	}
	if len(s.Rounds) > 0 {
		w.leaders = turns{s.Rounds, w.leaders}
	}
	w.law.votes = map[slot]hash.Hash{}
	for i := range s.cores() {
		w.replicas = append(w.replicas, newReplica(w, i))
	}
	return w
}

// authority checks the certificates of an epoch.
func (w *world) authority(e types.Epoch) *consensus.Authority {
	return &consensus.Authority{Chain: w.chain, Epoch: e, Validators: w.set, Scheme: consensustest.Scheme{}}
}

// heal ends all faults but the liars' and the twins'.
func (w *world) heal() {
	w.calm = true
	for _, r := range w.replicas {
		r.crashes = nil
		if r.core == nil {
			r.boot()
		}
	}
}

// runUntil lets things happen until a time, or until enough is the case.
func (w *world) runUntil(end time.Duration, enough func() bool) {
	for w.queue.Due(end) && w.law.broken == nil {
		if enough() {
			return
		}
		at, do := w.queue.Pop()
		w.now = at
		do()
	}
	if w.law.broken == nil {
		w.now = end
	}
}

// at has something happen at a time.
func (w *world) at(t time.Duration, do func()) {
	w.queue.Put(max(t, w.now), do)
}

func (w *world) honest(yield func(*replica) bool) {
	for _, r := range w.replicas {
		if !r.faulty && !yield(r) {
			return
		}
	}
}

// more is how many blocks beyond what was decided before show that a replica lives.
const more = 5

// live reports whether every honest replica has decided what anybody had decided
// before, and a few blocks more.
func (w *world) live(before types.Height) bool { return w.lowest() >= before+more }

func (w *world) lowest() types.Height {
	low := types.Height(len(w.law.chain))
	for r := range w.honest {
		low = min(low, r.height())
	}
	return low
}
