package rpcasim

import (
	"bytes"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/rpca"
)

// splitter keeps four honest nodes apart with the one vote of the fifth, after
// Amores-Sesar, Cachin and Micic (arXiv 2011.14816, "liveness"). Once two of them
// closed the ledger it hands a new transaction to the other two, so that the
// votes for it are two to two. It supports it towards those who have it: they
// see three of five. When that is the threshold, and one of the two others is
// already beyond it, it wins over the last one: now three have it and see, with
// the liar's, the four of five that suffice to the end; the one who is left
// sees only three, and stays away. Its own set holds something else besides, so
// that nobody sees agreement. Nothing moves until the round expires; then the
// same begins anew. Each single message of the liar is within the rules.
type splitter struct {
	seq  uint64 // of what it says: above all that its core says
	w    *world
	liar *node
	tx   []byte  // the disputed one; nil between rounds
	outs []*node // who closed without it
	last *node   // of these, who is to be won over
	lost [4]uint64
}

// reachable is the highest threshold that three of five reach.
const reachable = 60

// act says to each node what keeps it where it is.
func (s *splitter) act() {
	w := s.w
	if w.calm {
		return // it has stopped
	}
	w.at(w.now+time.Millisecond, s.act)
	honest := w.nodes[:4]
	if slices.ContainsFunc(honest, func(n *node) bool { return n.core == nil }) {
		return
	}
	s.choose(honest)
	s.seq++
	for _, victim := range honest {
		stuck := victim.core.Phase() == rpca.Establish && victim.core.Support() == 80 && victim != s.last
		if s.tx != nil && !stuck {
			s.tell(victim, *position(s.outs[0]))
		}
	}
}

// choose begins a split when two nodes closed the ledger, and decides who of them
// is to be won over: the one whose threshold rises later.
func (s *splitter) choose(honest []*node) {
	open, closed := 0, []*node{}
	for _, n := range honest {
		switch {
		case n.core.Phase() == rpca.Open:
			open++
			if n.core.LostRounds() > s.lost[n.self] {
				// What it had to drop before would now be in its set, and be agreed on.
				s.lost[n.self] = n.core.LostRounds()
				s.w.submit(n)
			}
		case n.core.Support() < 80:
			closed = append(closed, n)
		}
	}
	if open == len(honest) && s.outs != nil {
		// A node that was here before closes as soon as it hears anything.
		s.tx, s.last = []byte{}, nil
		for _, n := range honest[:2] {
			s.tell(n, *position(n))
			if n.core.Phase() == rpca.Establish {
				closed = append(closed, n)
			}
		}
		s.tx = nil
	}
	switch {
	case len(closed) == 0:
		s.tx, s.last = nil, nil
	case s.tx == nil && len(closed) >= 2:
		s.outs = closed[:2]
		s.tx = s.w.submit(slices.DeleteFunc(slices.Clone(honest), func(n *node) bool { return slices.Contains(s.outs, n) })...)
	case s.tx != nil && s.last == nil:
		a, b := s.outs[0], s.outs[1]
		if a.core.Support() < b.core.Support() {
			s.last = a
		} else if a.core.Support() > b.core.Support() {
			s.last = b
		}
	}
}

// tell shows a node a position, like p but with the liar's transactions.
func (s *splitter) tell(victim *node, p rpca.Position) {
	txs := [][]byte{[]byte("something else")}
	if has(victim, s.tx) || victim == s.last && victim.core.Support() == reachable {
		txs = append(txs, s.tx)
	}
	set := rpca.NewTxSet(txs)
	p.Parent, p.Height = victim.core.Working().Hash(), victim.core.Working().Height+1
	p.Seq, p.Set, p.Voter = 1<<20+s.seq, set.ID(), s.liar.self
	victim.step(rpca.PositionIn{Position: p})
	victim.step(rpca.TxSetIn{Set: set})
}

// has says that a node's position contains a transaction.
func has(n *node, tx []byte) bool {
	p := position(n)
	if p == nil {
		return false
	}
	set, ok := n.core.TxSet(p.Set)
	return ok && slices.ContainsFunc(set.Txs(), func(t []byte) bool { return bytes.Equal(t, tx) })
}

// position is the latest one that a node wrote down.
func position(n *node) *rpca.Position {
	for _, r := range slices.Backward(n.records) {
		if r.Position != nil {
			return r.Position
		}
	}
	return nil
}
