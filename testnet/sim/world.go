package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// Report is what a run came to.
type Report struct {
	Steps   int          // events handled by cores
	Decided types.Height // the least height decided by any honest replica
	Epochs  types.Epoch  // begun by any honest replica
	Proofs  int          // of offences, each as often as somebody found it
	Trace   hash.Hash    // over everything that happened: equal for equal schedules
}

// world is one running experiment.
type world struct {
	Schedule
	rand     *rand.Rand
	start    time.Time
	now      time.Duration
	queue    queue
	seq      uint64
	chain    hash.Hash
	params   types.Params
	set      *types.ValidatorSet // of any epoch: all have one power
	leaders  hotstuff.Schedule
	replicas []*replica
	side     []int // of the partition, per replica; all zero when whole
	calm     bool
	law      law
	report   Report
}

// Run carries out a schedule. The error names the law that was broken.
func Run(s Schedule) (Report, error) {
	w := newWorld(s)
	for i := range w.replicas {
		w.replicas[i].boot()
	}
	w.plan()
	w.runUntil(s.Chaos)
	if w.law.broken == nil {
		w.heal()
		before := w.highest()
		w.runUntil(s.Chaos + s.Calm)
		w.law.checkLive(w, before)
	}
	w.report.Decided = w.lowest()
	if w.law.broken != nil {
		return w.report, fmt.Errorf("%s at %s: %w", s, w.now, w.law.broken)
	}
	return w.report, nil
}

func newWorld(s Schedule) *world {
	members := make([]types.Validator, s.members())
	for i := range members {
		members[i].Power = 1
	}
	set, err := types.NewValidatorSet(members)
	if err != nil {
		panic(err) // a schedule has 1 to types.MaxValidators replicas
	}
	w := &world{
		Schedule: s, rand: rand.New(rand.NewPCG(s.Seed, 0x5eed)), start: time.UnixMilli(1_700_000_000_000),
		chain: hash.Sum("sim"), set: set, leaders: hotstuff.NewRoundRobin(set), side: make([]int, s.Replicas),
	}
	if s.EpochBlocks > 0 {
		w.params.EpochBlocks = s.EpochBlocks
	}
	w.law.votes = map[slot]hash.Hash{}
	for i := range s.Replicas {
		w.replicas = append(w.replicas, newReplica(w, i, i >= s.Replicas-s.Liars))
	}
	return w
}

// plan spreads crashes and partitions over the time of chaos.
func (w *world) plan() {
	at := func() time.Duration { return time.Duration(w.rand.Int64N(int64(w.Chaos))) }
	for range w.Crashes {
		r := w.replicas[w.rand.IntN(len(w.replicas))]
		w.at(at(), func() { r.crashSoon = true })
	}
	for range w.Partitions {
		begin := at()
		length := time.Duration(w.rand.Int64N(int64(time.Second)))
		sides := 2 + w.rand.IntN(2)
		w.at(begin, func() {
			for i := range w.side {
				w.side[i] = w.rand.IntN(sides)
			}
		})
		w.at(begin+length, func() { clear(w.side) })
	}
}

// members lists the replicas that validate in an epoch, by index: one more is left
// out from epoch to epoch.
func (w *world) members(e types.Epoch) []int {
	out := make([]int, 0, w.Replicas)
	for i := range w.Replicas {
		if w.Schedule.members() == w.Replicas || i != int(uint64(e)%uint64(w.Replicas)) {
			out = append(out, i)
		}
	}
	return out
}

// authority checks the certificates of an epoch.
func (w *world) authority(e types.Epoch) *consensus.Authority {
	return &consensus.Authority{Chain: w.chain, Epoch: e, Validators: w.set, Scheme: consensustest.Scheme{}}
}

// heal ends all faults but the liars.
func (w *world) heal() {
	w.calm = true
	clear(w.side)
	for _, r := range w.replicas {
		r.crashSoon = false
		if r.core == nil {
			r.boot()
		}
	}
}

func (w *world) runUntil(end time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= end && w.law.broken == nil {
		next := heap.Pop(&w.queue).(occurrence)
		w.now = next.at
		next.do()
	}
	w.now = end
}

// at has something happen at a time.
func (w *world) at(t time.Duration, do func()) {
	w.seq++
	heap.Push(&w.queue, occurrence{at: max(t, w.now), seq: w.seq, do: do})
}

// send has an event arrive at a replica, if the network is so kind. The event
// reaches whatever incarnation runs then.
func (w *world) send(from, to int, ev hotstuff.Event) {
	copies := 1
	if !w.calm {
		if w.rand.IntN(100) < w.Loss || w.side[from] != w.side[to] {
			copies--
		}
		if w.rand.IntN(100) < w.Duplicate {
			copies++
		}
	}
	for range copies {
		w.at(w.now+w.delay(), func() { w.replicas[to].step(ev) })
	}
}

func (w *world) delay() time.Duration {
	return time.Millisecond/2 + time.Duration(w.rand.Int64N(int64(w.Delay)))
}

func (w *world) honest(yield func(*replica) bool) {
	for _, r := range w.replicas {
		if !r.liar && !yield(r) {
			return
		}
	}
}

func (w *world) highest() (top types.Height) {
	for r := range w.honest {
		top = max(top, r.height())
	}
	return top
}

func (w *world) lowest() types.Height {
	low := w.highest()
	for r := range w.honest {
		low = min(low, r.height())
	}
	return low
}

// occurrence is something that happens at a time; seq keeps ties in order.
type occurrence struct {
	at  time.Duration
	seq uint64
	do  func()
}

type queue []occurrence

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(occurrence)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = occurrence{}
	*q = old[:len(old)-1]
	return last
}
