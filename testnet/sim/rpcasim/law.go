package rpcasim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

var (
	// ErrFork means that two honest nodes hold different ledgers of a height final.
	ErrFork = errors.New("fork")
	// ErrTwice means that an honest node contradicted itself.
	ErrTwice = errors.New("promise broken")
	// ErrStuck means that the network was timely and yet made nothing final.
	ErrStuck = errors.New("no progress")
)

// law watches every effect of every honest node.
type law struct {
	broken    error
	chain     []hash.Hash // final ledger by height - 1, whoever had it first
	txs       int
	fulls     map[slot]hash.Hash
	partials  map[types.ValidatorIndex]types.Height
	positions map[slot]hash.Hash
}

type slot struct {
	voter types.ValidatorIndex
	round hash.Hash
	n     uint64
}

func newLaw() law {
	return law{fulls: map[slot]hash.Hash{}, partials: map[types.ValidatorIndex]types.Height{}, positions: map[slot]hash.Hash{}}
}

func (l *law) fail(format string, args ...any) {
	if l.broken == nil {
		l.broken = fmt.Errorf(format, args...)
	}
}

func (l *law) observe(w *world, n *node, effect rpca.Effect) {
	w.report.Trace = hash.Sum("trace", w.report.Trace[:], canon.MustMarshal([]uint64{uint64(w.now), uint64(n.self)}), fmt.Appendf(nil, "%T", effect))
	if n.liar {
		return
	}
	switch e := effect.(type) {
	case rpca.BroadcastPosition:
		l.position(n, e.Position)
	case rpca.BroadcastValidation:
		l.validation(n, e.Validation)
	case rpca.Decided:
		l.decide(w, n, e)
	case rpca.EnterRound:
		if e.Expired {
			w.report.Lost++
		}
		if e.Switched {
			w.report.Switched++
		}
	case rpca.Halt:
		w.report.Halted++
		l.fail("node %d stops: %w", n.self, e.Err)
	}
}

// position: one content a number and round, crash or no crash, on disk first.
func (l *law) position(n *node, p rpca.Position) {
	s := slot{n.self, p.Parent, p.Seq}
	content := p.Message(n.w.chain)
	if before, ok := l.positions[s]; ok && before != content {
		l.fail("%w: node %d took two positions %d in one round", ErrTwice, n.self, p.Seq)
	}
	l.positions[s] = content
	for _, rec := range slices.Backward(n.records) {
		if r := rec.Position; r != nil && r.Message(n.w.chain) == content {
			return
		}
	}
	l.fail("%w: node %d shows a position that is not on its disk", ErrTwice, n.self)
}

// validation: one full one a height, and none of a height that a partial one
// before gave up.
func (l *law) validation(n *node, v rpca.Validation) {
	written := func(rec rpca.Record) bool {
		return rec.Validation != nil && rec.Validation.Message(n.w.chain) == v.Message(n.w.chain)
	}
	if !slices.ContainsFunc(n.records, written) {
		l.fail("%w: node %d shows a validation that is not on its disk", ErrTwice, n.self)
	}
	if !v.Full {
		l.partials[n.self] = max(l.partials[n.self], v.Height)
		return
	}
	s := slot{voter: n.self, n: uint64(v.Height)}
	before, known := l.fulls[s]
	if known && before != v.Block {
		l.fail("%w: node %d validated two ledgers of height %d", ErrTwice, n.self, v.Height)
	}
	if !known && v.Height <= l.partials[n.self] {
		l.fail("%w: node %d validated height %d after it had given it up", ErrTwice, n.self, v.Height)
	}
	l.fulls[s] = v.Block
}

// decide: ledgers come in order, all nodes hold the same ones final, and each is
// proven by a certificate of the node's list.
func (l *law) decide(w *world, n *node, e rpca.Decided) {
	b := e.Block
	tip := n.executed[len(n.executed)-1].block
	if b.Height != tip.Height+1 || b.Parent() != tip.Hash() || b.Time <= tip.Time {
		l.fail("node %d decides height %d on top of height %d", n.self, b.Height, tip.Height)
		return
	}
	switch i := int(b.Height) - 1; {
	case i == len(l.chain):
		l.chain = append(l.chain, b.Hash())
		l.txs += len(b.Txs)
	case i > len(l.chain) || l.chain[i] != b.Hash():
		l.fail("%w: node %d decides ledger %s at height %d, others decided %s", ErrFork, n.self, b.Hash().Short(), b.Height, l.chain[i].Short())
	}
	trusted := 0
	for i := range n.list().All() {
		if e.Cert.Signers.Has(i) {
			trusted++
		}
	}
	message := rpca.ValidationMessage(w.chain, types.Height(e.Cert.View), e.Cert.Block)
	proven := consensustest.Scheme{}.VerifyAggregate([]consensus.Signed{{Message: message, Signers: e.Cert.Signers}}, e.Cert.Signature)
	const four, fifths = 4, 5
	if w.Quorum == 0 && trusted*fifths < n.list().Count()*four || !proven || e.Cert.View < b.View || e.Cert.View == b.View && e.Cert.Block != b.Hash() {
		l.fail("node %d decides height %d without a certificate for it", n.self, b.Height)
	}
}

// bounded: whatever liars send, little is kept.
func (l *law) bounded(n *node) {
	sets, ledgers := n.core.Holds()
	if sets > n.w.Nodes+2 || ledgers > 4096 {
		l.fail("node %d keeps %d sets and %d ledgers", n.self, sets, ledgers)
	}
}

// checkLive: within the calm time every node makes final what any held final
// before, and a few ledgers more. With a liar nothing of the kind is promised.
func (l *law) checkLive(w *world, before types.Height) {
	if w.Liars > 0 {
		return
	}
	const more = 3
	for n := range w.honest {
		if n.height() < before+more {
			l.fail("%w: node %d is at height %d; the network was at %d when it became timely", ErrStuck, n.self, n.height(), before)
			return
		}
	}
}
