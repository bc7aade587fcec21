package rpcasim

import (
	"bytes"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// node is a core with its disk. The disk outlives crashes.
type node struct {
	w    *world
	self types.ValidatorIndex
	liar bool
	skew time.Duration
	core *rpca.Core // nil while down, and of a splitter

	crashSoon bool // at the next record that is to be persisted
	timer     int  // the timer set last; earlier ones are void
	pool      [][]byte

	// A liar's: the sets and ledgers that it made up.
	sets   map[hash.Hash]*rpca.TxSet
	forged map[hash.Hash]*types.Block
	echoed map[hash.Hash]bool

	// The disk.
	records  []rpca.Record
	executed []final // the genesis block first
}

type final struct {
	block *types.Block
	cert  types.QC
}

func newNode(w *world, self types.ValidatorIndex, liar bool) *node {
	n := &node{w: w, self: self, liar: liar, sets: map[hash.Hash]*rpca.TxSet{}, forged: map[hash.Hash]*types.Block{}, echoed: map[hash.Hash]bool{}}
	if w.Skew > 0 {
		n.skew = time.Duration(w.rand.Int64N(int64(w.Skew)))
	}
	n.executed = []final{{block: types.GenesisBlock(w.chain, w.start.UnixMilli()), cert: types.GenesisQC(w.chain)}}
	return n
}

func (n *node) height() types.Height { return n.executed[len(n.executed)-1].block.Height }

// list is the node's trusted list.
func (n *node) list() bls.Bitmap {
	if n.w.Lists == nil {
		return rpca.Everyone(n.w.Nodes)
	}
	b := bls.NewBitmap(n.w.Nodes)
	for _, i := range n.w.Lists[n.self] {
		b.Set(i)
	}
	return b
}

// canonical is the order of transactions in a ledger: that of their numbers.
func canonical(txs [][]byte) [][]byte {
	out := slices.Clone(txs)
	slices.SortFunc(out, bytes.Compare)
	return out
}

// boot starts the node from its disk.
func (n *node) boot() {
	if n.liar && n.w.Splitter {
		return
	}
	core, err := rpca.New(rpca.Config{
		Chain: n.w.chain, Validators: n.w.set, Scheme: consensustest.Scheme{Self: n.self}, Self: &n.self, List: n.list(),
		Order: canonical, MaxBytes: 40_000, MaxTxs: 5000, Quorum: n.w.Quorum, Timing: timing(),
	}, rpca.Restored{Root: n.executed[len(n.executed)-1].block, Records: n.records})
	if err != nil {
		n.w.law.fail("node %d does not start again: %w", n.self, err)
		return
	}
	n.core = core
	n.step(rpca.Start{})
}

// step feeds the core and carries out what it wants. A crash cuts the effects
// short, before or after the record that was to be persisted.
func (n *node) step(ev rpca.Event) {
	if n.core == nil || n.w.law.broken != nil {
		return
	}
	n.w.report.Steps++
	core := n.core
	for _, effect := range slices.Clone(core.Step(n.w.start.Add(n.w.now+n.skew), ev)) {
		if p, ok := effect.(rpca.Persist); ok && n.crashSoon {
			if n.w.rand.IntN(2) == 0 {
				n.records = append(n.records, p.Record)
			}
			n.crash()
			return
		}
		n.carryOut(effect)
		if n.core != core {
			return
		}
	}
	n.w.law.bounded(n)
	n.overhear(ev)
}

func (n *node) crash() {
	n.core, n.crashSoon = nil, false
	n.timer++
	if n.w.Amnesia {
		n.records = slices.DeleteFunc(n.records, func(r rpca.Record) bool { return r.Validation != nil })
	}
	// Execution lags: what was decided last may have to be decided again.
	if lag := n.w.rand.IntN(3); lag < len(n.executed) {
		n.executed = n.executed[:len(n.executed)-lag]
	}
	down := time.Duration(n.w.rand.Int64N(int64(800 * time.Millisecond)))
	n.w.at(n.w.now+down, func() {
		if n.core == nil {
			n.boot()
		}
	})
}

func (n *node) carryOut(effect rpca.Effect) {
	w := n.w
	w.law.observe(w, n, effect)
	switch e := effect.(type) {
	case rpca.Persist:
		n.records = append(n.records, e.Record)
	case rpca.BroadcastPosition:
		n.propose(e.Position)
	case rpca.BroadcastValidation:
		n.validate(e.Validation)
	case rpca.SetTimer:
		n.timer++
		set := n.timer
		w.at(w.now+e.After, func() {
			if n.timer == set {
				n.step(rpca.Tick{})
			}
		})
	case rpca.BuildPayload:
		n.payload(e)
	case rpca.FetchTxSet:
		n.ask(e.Holders, func(other *node) {
			if s := other.set(e.Set); s != nil {
				w.send(other.self, n.self, rpca.TxSetIn{Set: s})
			}
		})
	case rpca.FetchLedger:
		n.ask(e.Holders, func(other *node) {
			if l := other.serve(e.Block, e.Above); len(l) > 0 {
				w.send(other.self, n.self, rpca.Ledgers{Ledgers: l})
			}
		})
	case rpca.Decided:
		n.executed = append(n.executed, final{e.Block, e.Cert})
		n.pool = slices.DeleteFunc(n.pool, func(tx []byte) bool { return holds(e.Block, tx) })
	}
}

func holds(b *types.Block, tx []byte) bool {
	return slices.ContainsFunc(b.Txs, func(t []byte) bool { return bytes.Equal(t, tx) })
}

// payload offers what neither the undecided nor the decided ledgers hold.
func (n *node) payload(e rpca.BuildPayload) {
	var txs [][]byte
	for _, tx := range n.pool {
		held := slices.ContainsFunc(e.Undecided, func(b *types.Block) bool { return holds(b, tx) }) ||
			slices.ContainsFunc(n.executed, func(f final) bool { return holds(f.block, tx) })
		if !held {
			txs = append(txs, tx)
		}
	}
	n.w.at(n.w.now, func() { n.step(rpca.Payload{Parent: e.Parent, Txs: txs}) })
}

func (n *node) toOthers(ev rpca.Event) {
	for _, other := range n.w.nodes {
		if other != n {
			n.w.send(n.self, other.self, ev)
		}
	}
}

// ask turns to one of the holders, drawn at random.
func (n *node) ask(holders bls.Bitmap, request func(*node)) {
	all := slices.Collect(holders.All())
	other := n.w.nodes[all[n.w.rand.IntN(len(all))]]
	if other != n && other.core != nil {
		n.w.deliver(n.self, other.self, func() { request(other) })
	}
}

func (n *node) set(id hash.Hash) *rpca.TxSet {
	if s := n.sets[id]; s != nil {
		return s
	}
	if n.core == nil {
		return nil
	}
	s, _ := n.core.TxSet(id)
	return s
}

// serve lists the ledgers above a height up to one, at most a few.
func (n *node) serve(h hash.Hash, above types.Height) (out []rpca.Ledger) {
	if n.core == nil {
		return nil
	}
	if b := n.forged[h]; b != nil {
		return append(n.serve(b.Parent(), above), rpca.Ledger{Block: b})
	}
	for _, f := range n.executed {
		if f.block.Height > above {
			out = append(out, rpca.Ledger{Block: f.block, Cert: &f.cert})
		}
		if f.block.Hash() == h {
			return out[:min(len(out), 8)]
		}
	}
	for _, b := range n.core.Undecided(h) {
		if b.Height > above {
			out = append(out, rpca.Ledger{Block: b})
		}
	}
	return out[:min(len(out), 8)]
}
