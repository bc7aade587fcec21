package throughput

import (
	"fmt"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/consensus/lanes"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// node is a validator: a consensus core and, with lanes, a lane core.
type node struct {
	w      *world
	self   types.ValidatorIndex
	down   bool
	engine *hotstuff.Core
	lanes  *lanes.Core
	timer  int
	uplink time.Duration      // when everything sent so far has left
	seen   map[hash.Hash]bool // blocks passed on

	ordered, items int
	delay          time.Duration
}

func newNode(w *world, self types.ValidatorIndex, down bool) (*node, error) {
	n := &node{w: w, self: self, down: down, seen: map[hash.Hash]bool{}}
	genesis := types.GenesisBlock(w.chain, start.UnixMilli()-1)
	var err error
	if n.engine, err = hotstuff.New(w.config(&n.self), hotstuff.Restored{Root: genesis, Cert: types.GenesisQC(w.chain)}); err != nil {
		return nil, fmt.Errorf("throughput: %w", err)
	}
	if w.Spread == Lanes {
		n.lanes = lanes.New(w.lanesConfig(&n.self), lanes.Restored{})
	}
	return n, nil
}

func (n *node) clock() time.Time { return start.Add(n.w.now) }

func (n *node) start() {
	if n.lanes != nil {
		n.lane(lanes.Start{})
	}
	n.step(hotstuff.Start{})
}

// step feeds the consensus core.
func (n *node) step(ev hotstuff.Event) {
	if n.down {
		return
	}
	for _, effect := range n.engine.Step(n.clock(), ev) {
		n.carryOut(effect)
	}
}

func (n *node) carryOut(effect hotstuff.Effect) {
	w := n.w
	switch e := effect.(type) {
	case hotstuff.Broadcast:
		n.spread(e.Block)
	case hotstuff.SendVote:
		to := w.nodes[e.To]
		w.send(n, to, 200, func() { to.step(hotstuff.VoteIn{Vote: e.Vote}) })
	case hotstuff.BroadcastTimeout:
		for _, to := range w.others(n) {
			w.send(n, to, 600, func() { to.step(hotstuff.TimeoutIn(e)) })
		}
	case hotstuff.SetTimer:
		n.timer++
		set := n.timer
		w.at(w.now+e.After, func() {
			if n.timer == set {
				n.step(hotstuff.TimerFired{View: e.View})
			}
		})
	case hotstuff.BuildPayload:
		w.at(w.now+time.Millisecond, func() {
			n.step(hotstuff.Payload{View: e.View, Parent: e.Parent.Hash(), Content: n.payload(e.Parent)})
		})
	case hotstuff.Fetch:
		n.fetch(e)
	case hotstuff.Decided:
		n.decided(e.Block)
	}
}

// payload is a full block, or a cut.
func (n *node) payload(parent *types.Block) types.Payload {
	if n.lanes != nil {
		return types.Payload{Cut: n.lanes.Cut(n.engine.Undecided(parent.Hash()))}
	}
	return types.Payload{Txs: n.txs()}
}

func (n *node) txs() (txs [][]byte) {
	for size := 0; size+len(n.w.tx) <= n.w.Bytes; size += len(n.w.tx) {
		txs = append(txs, n.w.tx)
	}
	return txs
}

// spread sends a block out, or passes it on.
func (n *node) spread(b *types.Block) {
	n.seen[b.Hash()] = true
	to := n.w.others(n)
	if n.w.Spread == Gossip {
		// A fixed overlay in which everyone is a few hops from everyone.
		var some []*node
		for k := range Fanout {
			some = append(some, to[(1<<k-1)%len(to)])
		}
		to = some
	}
	for _, other := range to {
		n.w.send(n, other, len(b.Raw()), func() { other.hear(b) })
	}
}

func (n *node) hear(b *types.Block) {
	if n.seen[b.Hash()] {
		return
	}
	n.seen[b.Hash()] = true
	if n.w.Spread == Gossip {
		n.spread(b)
	}
	n.step(hotstuff.Proposal{Block: b})
}

// fetch has the proposer's neighbour serve what is missing.
func (n *node) fetch(e hotstuff.Fetch) {
	for i := range e.Holders.All() {
		from := n.w.nodes[i]
		if from == n || from.down {
			continue
		}
		n.w.at(n.w.now+n.w.Latency, func() {
			blocks := from.engine.Undecided(e.Block)
			size := 0
			for _, b := range blocks {
				size += len(b.Raw())
			}
			if size > 0 {
				n.w.send(from, n, size, func() { n.step(hotstuff.Blocks{Blocks: blocks}) })
			}
		})
		return
	}
}

func (n *node) decided(b *types.Block) {
	if n.lanes != nil {
		n.lane(lanes.Decided{Block: b})
		return
	}
	size := 0
	for _, tx := range b.Txs {
		size += len(tx)
	}
	n.count(size, b.Time)
}

func (n *node) count(size int, made int64) {
	n.ordered += size
	n.items++
	n.delay += n.clock().Sub(time.UnixMilli(made))
}

// lane feeds the lane core.
func (n *node) lane(ev lanes.Event) {
	if n.down {
		return
	}
	for _, effect := range append([]lanes.Effect{}, n.lanes.Step(n.clock(), ev)...) {
		n.carryOutLane(effect)
	}
}

func (n *node) carryOutLane(effect lanes.Effect) {
	w := n.w
	switch e := effect.(type) {
	case lanes.WantTxs:
		w.at(w.now+time.Millisecond, func() { n.lane(lanes.Txs{Txs: n.txs()}) })
	case lanes.SendBatch:
		for _, to := range w.others(n) {
			w.send(n, to, len(e.Batch.Raw()), func() { to.lane(lanes.BatchIn(e)) })
		}
	case lanes.SendAck:
		to := w.nodes[e.To]
		w.send(n, to, 200, func() { to.lane(lanes.AckIn{Ack: e.Ack}) })
	case lanes.SendCert:
		for _, to := range w.others(n) {
			w.send(n, to, 200, func() { to.lane(lanes.CertIn(e)) })
		}
	case lanes.Fetch:
		n.fetchBatch(e)
	case lanes.Ordered:
		for _, b := range e.Batches {
			n.count(int(b.Size), b.Time)
		}
	case lanes.SetTimer:
		w.at(w.now+e.After, func() { n.lane(lanes.Tick{}) })
	}
}

// fetchBatch has a holder serve a batch.
func (n *node) fetchBatch(e lanes.Fetch) {
	for i := range e.Holders.All() {
		from := n.w.nodes[i]
		if from == n || from.down {
			continue
		}
		n.w.at(n.w.now+n.w.Latency, func() {
			if b, ok := from.lanes.Batch(e.Lane, e.Batch); ok {
				n.w.send(from, n, len(b.Raw()), func() { n.lane(lanes.BatchIn{Batch: b}) })
			}
		})
		return
	}
}
