package hotstuff

import (
	"github.com/starlingmesh/starling/chain/types"
)

// Rule is what distinguishes the members of the HotStuff family: which proposals
// a replica may vote for, and when a block is final. Rules are pure and have no
// state of their own.
type Rule interface {
	// Name is the rule's name in a genesis file.
	Name() string
	// Lock returns the certificate that a replica must hold on to once it
	// has seen qc; ok is false if the blocks it needs are not known.
	Lock(t *Tree, qc types.QC) (lock types.QC, ok bool)
	// Safe reports whether a replica with the given lock may vote for b. The
	// core has checked that b.Justify is valid and that either it is of the
	// view before b's or b carries a valid TC of the view before.
	Safe(b *types.Block, lock types.QC) bool
	// Decide returns the block that qc makes final and its certificate, or
	// nil. Its ancestors become final with it.
	Decide(t *Tree, qc types.QC) (*Node, types.QC)
	// Phases is 3 or 2: how many certificates a decision takes.
	Phases() int
}

// RuleNamed finds a rule by its name.
func RuleNamed(name string) (Rule, bool) {
	switch name {
	case ThreePhase{}.Name():
		return ThreePhase{}, true
	case TwoPhase{}.Name():
		return TwoPhase{}, true
	}
	return nil, false
}

// ThreePhase is HotStuff's own rule (Yin et al., algorithm 5). A replica is
// locked on the block whose child it has seen certified, and votes only for
// proposals justified at least as high as the lock. A block is final once
// it, its child and its grandchild are certified in consecutive views.
type ThreePhase struct{}

// Name implements [Rule].
func (ThreePhase) Name() string { return "three-phase" }

// Phases implements [Rule].
func (ThreePhase) Phases() int { return 3 }

// Lock implements [Rule].
func (ThreePhase) Lock(t *Tree, qc types.QC) (types.QC, bool) {
	certified := t.Get(qc.Block)
	if certified == nil || certified.Parent == nil {
		return types.QC{}, false
	}
	return certified.Block.Justify, true
}

// Safe implements [Rule]. A lock of view L was formed because a quorum voted for
// its child; a conflicting block can only be final through a certificate above L,
// which would justify it.
func (ThreePhase) Safe(b *types.Block, lock types.QC) bool {
	return b.Justify.View >= lock.View
}

// Decide implements [Rule].
func (ThreePhase) Decide(t *Tree, qc types.QC) (*Node, types.QC) {
	third := t.Get(qc.Block)
	if third == nil || third.Parent == nil {
		return nil, types.QC{}
	}
	second := third.Parent
	first := second.Parent
	if first == nil || third.Block.View != second.Block.View+1 || second.Block.View != first.Block.View+1 {
		return nil, types.QC{}
	}
	return first, second.Block.Justify
}

// TwoPhase is the rule of Jolteon (Gelashvili et al., FC 2022, section 3.2): one
// round trip less. It is safe only because a proposal that does not directly
// follow its parent's view carries a TC, and must extend a certificate at least
// as high as any in the TC: a quorum that helped to decide a block has seen its
// certificate, and any TC's quorum shares an honest replica with it.
type TwoPhase struct{}

// Name implements [Rule].
func (TwoPhase) Name() string { return "two-phase" }

// Phases implements [Rule].
func (TwoPhase) Phases() int { return 2 }

// Lock implements [Rule]. There is no lock beside the highest certificate,
// which the replica's timeouts report.
func (TwoPhase) Lock(*Tree, types.QC) (types.QC, bool) { return types.QC{}, false }

// Safe implements [Rule].
func (TwoPhase) Safe(b *types.Block, _ types.QC) bool {
	if b.Justify.View+1 == b.View {
		return true
	}
	return b.Timeouts != nil && b.Justify.View >= b.Timeouts.High.View
}

// Decide implements [Rule].
func (TwoPhase) Decide(t *Tree, qc types.QC) (*Node, types.QC) {
	second := t.Get(qc.Block)
	if second == nil || second.Parent == nil || second.Block.View != second.Parent.Block.View+1 {
		return nil, types.QC{}
	}
	return second.Parent, second.Block.Justify
}
