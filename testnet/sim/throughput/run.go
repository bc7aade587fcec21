package throughput

import (
	"fmt"
	"time"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/consensus/lanes"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/testnet/sim/virtual"
)

// Spread is how large data travels.
type Spread int

// The ways of spreading.
const (
	Direct Spread = iota // the leader sends its block to everyone
	Gossip               // everyone passes a block on to [Fanout] others
	Lanes                // every validator sends its batches to everyone
)

// Fanout is how many peers gossip passes a block on to.
const Fanout = 6

// String names the way as the plot does.
func (s Spread) String() string {
	return [...]string{"one leader, direct", "one leader, gossip", "lanes"}[s]
}

// Experiment is a network under full load.
type Experiment struct {
	Validators int
	Spread     Spread
	Bytes      int           // of one block, or one batch
	Uplink     int           // of each node, bytes a second
	Latency    time.Duration // of every link, one way
	For        time.Duration // the second half is measured
	Crashed    []int         // validators that never start
}

// Result is what an experiment came to.
type Result struct {
	Rate   float64       // bytes a second that the slowest live validator has ordered
	Blocks types.Height  // decided by it
	Views  types.View    // the highest it was in
	Delay  time.Duration // mean, from making a block or batch to ordering it
}

// world is a running experiment.
type world struct {
	Experiment
	now     time.Duration
	queue   virtual.Queue
	chain   hash.Hash
	set     *types.ValidatorSet
	leaders hotstuff.Schedule
	nodes   []*node
	tx      []byte
}

// start is when virtual time begins.
var start = time.UnixMilli(1_700_000_000_000)

// Run carries an experiment out.
func Run(e Experiment) (Result, error) {
	members := make([]types.Validator, e.Validators)
	for i := range members {
		members[i].Power = 1
	}
	set, err := types.NewValidatorSet(members)
	if err != nil {
		return Result{}, fmt.Errorf("throughput: %w", err)
	}
	w := &world{Experiment: e, chain: hash.Sum("throughput"), set: set, leaders: hotstuff.NewRoundRobin(set), tx: make([]byte, 8<<10)}
	down := map[int]bool{}
	for _, i := range e.Crashed {
		down[i] = true
	}
	for i := range e.Validators {
		n, err := newNode(w, types.ValidatorIndex(i), down[i])
		if err != nil {
			return Result{}, err
		}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		n.start()
	}
	w.at(e.For/2, func() {
		for _, n := range w.nodes {
			n.ordered, n.items, n.delay = 0, 0, 0
		}
	})
	for w.queue.Due(e.For) {
		at, do := w.queue.Pop()
		w.now = at
		do()
	}
	return w.result(), nil
}

func (w *world) result() Result {
	var slowest *node
	for _, n := range w.nodes {
		if !n.down && (slowest == nil || n.ordered < slowest.ordered) {
			slowest = n
		}
	}
	r := Result{
		Rate:   float64(slowest.ordered) / (w.For / 2).Seconds(),
		Blocks: slowest.engine.DecidedHeight(), Views: slowest.engine.View(),
	}
	if slowest.items > 0 {
		r.Delay = slowest.delay / time.Duration(slowest.items)
	}
	return r
}

// at has something happen at a time.
func (w *world) at(t time.Duration, do func()) {
	w.queue.Put(t, do)
}

// small is the size, in bytes, up to which a message goes before large ones.
const small = 16 << 10

// send has a message of a size arrive at another node.
func (w *world) send(from, to *node, size int, deliver func()) {
	if from == to || to.down { // the connection to who crashed is gone
		return
	}
	took := time.Duration(float64(size) / float64(w.Uplink) * float64(time.Second))
	sent := w.now + took
	if done := from.busy(size); size > small {
		sent = done
	}
	w.at(sent+w.Latency, deliver)
}

// busy occupies a node's uplink and returns when it has sent everything so far.
func (n *node) busy(size int) time.Duration {
	took := time.Duration(float64(size) / float64(n.w.Uplink) * float64(time.Second))
	n.uplink = max(n.uplink, n.w.now) + took
	return n.uplink
}

// others lists the other validators, beginning with the next.
func (w *world) others(n *node) []*node {
	i := int(n.self)
	return append(append([]*node{}, w.nodes[i+1:]...), w.nodes[:i]...)
}

// authority checks what the validators sign.
func (w *world) authority(self types.ValidatorIndex) consensus.Authority {
	return consensus.Authority{Chain: w.chain, Validators: w.set, Scheme: consensustest.Scheme{Self: self}}
}

// config is the consensus core's. Views take as long as large blocks do.
func (w *world) config(self *types.ValidatorIndex) hotstuff.Config {
	patience := 8*w.Latency + 4*time.Duration(float64(w.Bytes*w.Validators)/float64(w.Uplink)*float64(time.Second))
	if w.Spread == Lanes {
		patience = 20 * w.Latency
	}
	return hotstuff.Config{
		Chain: w.chain, Validators: w.set, Schedule: w.leaders, Rule: hotstuff.ThreePhase{}, Scheme: consensustest.Scheme{Self: *self}, Self: self,
		ViewTimeout: patience, MaxViewTimeout: 4 * patience, MaxDrift: time.Hour, Reputation: true,
	}
}

// lanesConfig is the lane core's.
func (w *world) lanesConfig(self *types.ValidatorIndex) lanes.Config {
	cfg := lanes.DefaultConfig(w.authority(*self), self)
	cfg.MaxBytes, cfg.Retry = w.Bytes, 20*w.Latency
	return cfg
}
