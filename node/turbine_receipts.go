package node

import (
	"sync"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/turbine"
)

// receipt tells how a payload came, or left.
type receipt struct {
	turbine.Receipt
	epoch   types.Epoch
	channel fec.Channel
	slot    uint64
	sender  types.ValidatorIndex
	bytes   int
	own     bool
}

// receiptsKept is how many receipts are kept.
const receiptsKept = 256

// receipts keeps the newest receipts. It is safe for concurrent use.
type receipts struct {
	mu  sync.Mutex
	all []receipt // oldest first
}

func (r *receipts) keep(one receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == receiptsKept {
		r.all = append(r.all[:0], r.all[1:]...)
	}
	r.all = append(r.all, one)
}

// newest returns up to n receipts, newest first, of those that want.
func (r *receipts) newest(n int, want func(receipt) bool) (out []receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.all) - 1; i >= 0 && len(out) < n; i-- {
		if want(r.all[i]) {
			out = append(out, r.all[i])
		}
	}
	return out
}

// channelName is a channel's name in the API.
func channelName(ch fec.Channel) string {
	switch ch {
	case proposalChannel:
		return "proposal"
	case batchChannel:
		return "batch"
	}
	return "unknown"
}

// Turbine implements api.Node.
func (b backend) Turbine() api.Turbine {
	s := b.spread
	c := s.counts()
	out := api.Turbine{
		MinBytes: s.n.cfg.Turbine.MinBytes, Shreds: c.Shreds, Duplicates: c.Duplicates, Repaired: c.Repaired, Recovered: c.Recovered, Relayed: c.Relayed,
		Asked: c.Asked, Served: c.Served, Dropped: c.Dropped, Refused: c.Refused, Silent: []string{}, Paths: []api.TurbinePath{}, Recent: []api.TurbineReceipt{},
	}
	if g := s.group(b.engine.Status().Epoch); g != nil {
		out.HeldBytes = g.driver.Held()
		if loss, known := g.driver.Loss(); known {
			out.Loss = &loss
		}
		for _, m := range g.driver.Silent() {
			out.Silent = append(out.Silent, b.epochs.name(g.epoch, types.ValidatorIndex(m)))
		}
	}
	for _, p := range s.packets.Paths() {
		out.Paths = append(out.Paths, api.TurbinePath{Peer: p.Peer.String(), By: p.Mode.String(), Packets: p.Packets, Dropped: p.Dropped, Loss: p.Loss})
	}
	for _, r := range s.receipts.newest(recentReceipts, func(receipt) bool { return true }) {
		view := b.turbineReceipt(r)
		view.Sets = nil // each for itself has them
		out.Recent = append(out.Recent, view)
	}
	return out
}

// recentReceipts is how many receipts the overview shows.
const recentReceipts = 32

// TurbineSlot implements api.Node.
func (b backend) TurbineSlot(slot uint64) []api.TurbineReceipt {
	out := []api.TurbineReceipt{}
	for _, r := range b.spread.receipts.newest(receiptsKept, func(r receipt) bool { return r.slot == slot }) {
		out = append(out, b.turbineReceipt(r))
	}
	return out
}

func (b backend) turbineReceipt(r receipt) api.TurbineReceipt {
	after := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.Sub(r.Began).Microseconds()) / 1000
	}
	out := api.TurbineReceipt{
		Epoch: uint64(r.epoch), Channel: channelName(r.channel), Slot: r.slot, Sender: b.epochs.name(r.epoch, r.sender), Own: r.own, Bytes: r.bytes,
		Began: r.Began, TookMS: after(r.Finished), Sets: []api.TurbineSet{},
	}
	for _, s := range r.Sets {
		out.Tree, out.Repaired, out.Recovered = out.Tree+s.Tree, out.Repaired+s.Repaired, out.Recovered+s.Recovered
		out.Sets = append(out.Sets, api.TurbineSet{
			Set: s.Set, FirstMS: after(s.First), DoneMS: after(s.Done), Tree: s.Tree, Repaired: s.Repaired, Recovered: s.Recovered,
		})
	}
	return out
}
