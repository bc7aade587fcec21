package rpcasim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/testnet/sim/virtual"
)

// Report is what a run came to.
type Report struct {
	Steps    int          // events handled by cores
	Decided  types.Height // the least height final at any honest node
	Calm     types.Height // the highest when the network became timely
	Lowest   types.Height // the least then
	Txs      int          // transactions in final ledgers
	Lost     uint64       // rounds that honest nodes gave up
	Switched int          // times that an honest node changed its branch
	Halted   int          // honest nodes that stopped
	Trace    hash.Hash    // over everything that happened: equal for equal schedules
}

// world is one running experiment.
type world struct {
	Schedule
	rand   *rand.Rand
	start  time.Time
	now    time.Duration
	queue  virtual.Queue
	chain  hash.Hash
	set    *types.ValidatorSet
	nodes  []*node
	side   []int // of the partition, per node; all zero when whole
	calm   bool
	law    law
	txs    uint64
	report Report
}

// Run carries out a schedule. The error names the law that was broken.
func Run(s Schedule) (Report, error) {
	w, err := newWorld(s)
	if err != nil {
		return Report{}, err
	}
	for _, n := range w.nodes {
		w.at(time.Duration(w.rand.Int64N(int64(timing().Tick))), n.boot)
	}
	w.plan()
	w.traffic()
	if s.Splitter {
		(&splitter{w: w, liar: w.nodes[len(w.nodes)-1]}).act()
	}
	w.runUntil(s.Chaos)
	w.report.Calm, w.report.Lowest = w.highest(), w.lowest()
	if w.law.broken == nil {
		w.heal()
		w.runUntil(s.Chaos + s.Calm)
		w.law.checkLive(w, w.report.Calm)
	}
	w.report.Decided = w.lowest()
	w.report.Txs = w.law.txs
	if w.law.broken != nil {
		return w.report, fmt.Errorf("%s at %s: %w", s, w.now, w.law.broken)
	}
	return w.report, nil
}

func newWorld(s Schedule) (*world, error) {
	members := make([]types.Validator, s.Nodes)
	for i := range members {
		members[i].Power = 1
	}
	set, err := types.NewValidatorSet(members)
	if err != nil {
		return nil, err
	}
	w := &world{
		Schedule: s, rand: rand.New(rand.NewPCG(s.Seed, 0x5eed)), start: time.UnixMilli(1_700_000_000_000),
		chain: hash.Sum("rpcasim"), set: set, side: make([]int, s.Nodes),
	}
	w.law = newLaw()
	for i := range s.Nodes {
		liar := i >= s.Nodes-s.Liars || s.Splitter && i == s.Nodes-1
		w.nodes = append(w.nodes, newNode(w, types.ValidatorIndex(i), liar))
	}
	return w, nil
}

// plan spreads crashes and partitions over the time of chaos.
func (w *world) plan() {
	at := func() time.Duration { return time.Duration(w.rand.Int64N(int64(w.Chaos))) }
	for range w.Crashes {
		n := w.nodes[w.rand.IntN(len(w.nodes))]
		w.at(at(), func() { n.crashSoon = true })
	}
	for range w.Partitions {
		begin := at()
		length := time.Duration(w.rand.Int64N(int64(2 * time.Second)))
		sides := 2 + w.rand.IntN(2)
		w.at(begin, func() {
			for i := range w.side {
				w.side[i] = w.rand.IntN(sides)
			}
		})
		w.at(begin+length, func() { clear(w.side) })
	}
	for i := range w.Cut {
		w.side[i] = 1
	}
}

// traffic hands a new transaction to some node now and then, which passes it on.
func (w *world) traffic() {
	if w.Every == 0 {
		return
	}
	w.at(w.now+w.Every, func() {
		w.submit(w.nodes[w.rand.IntN(len(w.nodes))])
		w.traffic()
	})
}

// submit hands a new transaction to nodes, who pass it on.
func (w *world) submit(to ...*node) []byte {
	w.txs++
	tx := binary.BigEndian.AppendUint64(nil, w.txs)
	for _, n := range to {
		n.pool = append(n.pool, tx)
	}
	for _, other := range w.nodes {
		if !slices.Contains(to, other) {
			w.deliver(to[0].self, other.self, func() { other.pool = append(other.pool, tx) })
		}
	}
	return tx
}

// heal ends all faults but the equivocation of liars.
func (w *world) heal() {
	w.calm = true
	clear(w.side)
	for _, n := range w.nodes {
		n.crashSoon = false
		if n.core == nil {
			n.boot()
		}
	}
}

func (w *world) runUntil(end time.Duration) {
	for w.queue.Due(end) && w.law.broken == nil {
		at, do := w.queue.Pop()
		w.now = at
		do()
	}
	w.now = end
}

// at has something happen at a time.
func (w *world) at(t time.Duration, do func()) {
	w.queue.Put(max(t, w.now), do)
}

// deliver has something happen at a node, if the network is so kind.
func (w *world) deliver(from, to types.ValidatorIndex, do func()) {
	copies := 1
	if !w.calm {
		if w.rand.IntN(100) < w.Loss || w.side[from] != w.side[to] {
			copies--
		}
		if w.rand.IntN(100) < w.Duplicate {
			copies++
		}
		if w.side[from] != w.side[to] {
			copies = 0
		}
	}
	for range copies {
		w.at(w.now+w.delay(), do)
	}
}

// send has an event arrive at a node, at whatever incarnation runs then.
func (w *world) send(from, to types.ValidatorIndex, ev rpca.Event) {
	w.deliver(from, to, func() { w.nodes[to].step(ev) })
}

func (w *world) delay() time.Duration {
	return time.Millisecond/2 + time.Duration(w.rand.Int64N(int64(w.Delay)))
}

func (w *world) honest(yield func(*node) bool) {
	for _, n := range w.nodes {
		if !n.liar && !yield(n) {
			return
		}
	}
}

func (w *world) highest() (top types.Height) {
	for n := range w.honest {
		top = max(top, n.height())
	}
	return top
}

func (w *world) lowest() types.Height {
	low := w.highest()
	for n := range w.honest {
		low = min(low, n.height())
	}
	return low
}
