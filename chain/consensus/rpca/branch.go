package rpca

import (
	"bytes"
	"slices"
)

// validate says that a quorum agreed on n, which this node or somebody honest saw:
// fully, if no earlier promise stands against it.
func (c *Core) validate(n *node) {
	if c.cfg.Self == nil {
		return
	}
	if n.block.Height <= c.burned || !c.mayTurn(n) {
		c.partial()
		return
	}
	v := Validation{Height: n.block.Height, Block: n.block.Hash(), Full: true, Voter: *c.cfg.Self}
	c.burned = v.Height
	// What n does not extend is excluded for good.
	c.own = slices.DeleteFunc(c.own, func(p Validation) bool { return !n.includes(p) })
	c.own = append(c.own, v)
	c.lastFull = &v
	c.say(&v, n)
}

// partial says which ledger is worked on, and that no full validation of the
// heights up to c.burned will come any more.
func (c *Core) partial() {
	if c.cfg.Self == nil {
		return
	}
	c.seq++
	c.burned = max(c.burned, c.working.block.Height)
	c.say(&Validation{Height: c.burned, Block: c.working.block.Hash(), Seq: c.seq, Voter: *c.cfg.Self}, c.working)
}

func (c *Core) say(v *Validation, n *node) {
	v.Signature = c.cfg.Scheme.Sign(v.Message(c.cfg.Chain))
	c.last = v
	rec := Record{Validation: v}
	if n.block.Height > 0 {
		rec.Block = n.block
	}
	c.emit(Persist{rec})
	c.emit(BroadcastValidation{*v})
	c.hear(*v)
}

// includes says that n is the validated ledger or descends from it.
func (n *node) includes(v Validation) bool {
	a := n.ancestorAt(v.Height)
	return a != nil && a.block.Hash() == v.Block
}

// mayTurn says that working on n contradicts none of the own full validations:
// n includes each, or it is excluded.
func (c *Core) mayTurn(n *node) bool {
	for _, v := range c.own {
		if !n.includes(v) && !c.excluded(v) {
			return false
		}
	}
	return true
}

// excluded says that an own full validation v can never become part of a quorum:
// so many others gave up its height, or validated something else there or above,
// that even if the tolerated number of them lies too few remain.
//
// This is what keeps finality safe. Suppose a quorum validated v, and take the
// first honest one of it that leaves v's branch. It saw more than twice the
// tolerated number against v; at least one more than the tolerated number of
// these are honest. They had not validated v, for nobody honest of the quorum
// had left before, and never will, for they signed for its height or above.
// So fewer than a quorum validated v: a contradiction.
func (c *Core) excluded(v Validation) bool {
	against := 0
	for _, i := range c.members {
		last := c.voices[i].last
		if c.isSelf(i) || last == nil || last.Height < v.Height {
			continue
		}
		if n := c.tree.get(last.Block); n != nil && !n.includes(v) {
			against++
		}
	}
	return against > 2*c.tolerated()
}

// preferred walks up from the last final ledger, always to the child that most
// of the list works on or above, while they are so many that one is honest.
func (c *Core) preferred() *node {
	support := map[*node]int{}
	for _, i := range c.members {
		if last := c.voices[i].last; last != nil {
			for n := c.tree.get(last.Block); n != nil; n = n.parent {
				support[n]++
			}
		}
	}
	n := c.tree.root
	for len(n.children) > 0 {
		best := slices.MaxFunc(n.children, func(a, b *node) int {
			if d := support[a] - support[b]; d != 0 {
				return d
			}
			ha, hb := a.block.Hash(), b.block.Hash()
			return bytes.Compare(ha[:], hb[:])
		})
		if support[best] <= c.tolerated() {
			break
		}
		n = best
	}
	return n
}

// follow turns to the preferred branch, and validates what it finds there: more
// work on it than may be faulty, so somebody honest saw agreement on it. Without
// that a node that is always a little late would never validate anything, and
// with others down nothing would become final. A child of the working ledger is
// left to the own round for a while.
func (c *Core) follow() {
	to := c.preferred()
	switch {
	case c.working.extends(to):
		return
	case !to.extends(c.working):
		if !c.mayTurn(to) {
			return
		}
	case to.parent == c.working && c.cfg.Self != nil:
		if c.round.overtaken.IsZero() {
			c.round.overtaken = c.now
		}
		if c.now.Sub(c.round.overtaken) < 2*c.cfg.Timing.Resend {
			return
		}
	}
	switched := to.parent != c.working
	c.working = to
	c.validate(to)
	c.enter(false, switched)
}

// retreat finds where to go when a round expired: back to where the branch of
// the others begins, if they are known not to be on this one.
func (c *Core) retreat() *node {
	to := c.preferred()
	if to == c.working || !c.working.extends(to) {
		return c.working
	}
	first := c.working.ancestorAt(to.block.Height + 1).block
	left := Validation{Height: first.Height, Block: first.Hash()}
	if c.excluded(left) && c.mayTurn(to) {
		return to
	}
	return c.working
}
