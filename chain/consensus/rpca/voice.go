package rpca

import (
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

const (
	fullsKept     = 16 // full validations of one validator
	positionsKept = 4  // rounds of which one validator's position is kept
)

// voice is what one validator of the trusted list said. A liar can push out of
// it only what it said itself.
type voice struct {
	last      *Validation  // the latest
	fulls     []Validation // ascending by height
	positions []heard
	asked     bool // its transaction set was asked for since the last tick
}

type heard struct {
	Position
	at time.Time // when it came last
}

// onValidation takes a validation.
func (c *Core) onValidation(v Validation) {
	if c.voices[v.Voter] == nil || c.isSelf(v.Voter) || !c.hear(v) {
		return
	}
	c.settle()
	c.refetch()
}

// hear notes a validation and says whether it is news.
func (c *Core) hear(v Validation) bool {
	voice := c.voices[v.Voter]
	if voice == nil {
		return false
	}
	news := false
	if v.Full {
		switch noted, same := voice.note(v); {
		case !same:
			c.emit(Blame{Validator: v.Voter, Reason: "two full validations of one height"})
			return false
		case noted:
			news, c.heard = true, true
		}
	}
	if voice.last == nil || v.after(*voice.last) {
		voice.last = &v
		news = true
	}
	return news
}

// note keeps a full validation. same is false if another of its height is there.
func (o *voice) note(v Validation) (noted, same bool) {
	i, found := slices.BinarySearchFunc(o.fulls, v.Height, func(f Validation, h types.Height) int {
		return int(min(max(int64(f.Height-h), -1), 1))
	})
	if found {
		return false, o.fulls[i].Block == v.Block
	}
	if len(o.fulls) < fullsKept {
		o.fulls = slices.Insert(o.fulls, i, v)
		return true, true
	}
	if i == 0 {
		return false, true
	}
	copy(o.fulls, o.fulls[1:i])
	o.fulls[i-1] = v
	return true, true
}

// onPosition takes a position.
func (c *Core) onPosition(p Position) {
	voice := c.voices[p.Voter]
	if voice == nil || c.isSelf(p.Voter) || p.Height <= c.tree.root.block.Height {
		return
	}
	parent := c.tree.get(p.Parent)
	if p.Close%c.cfg.Timing.Resolution.Milliseconds() != 0 || parent != nil && parent.block.Height+1 != p.Height {
		c.emit(Blame{Validator: p.Voter, Reason: "position that makes no sense"})
		return
	}
	changed := c.keepPosition(voice, p)
	if parent != c.working || parent == nil {
		return
	}
	c.round.moved = c.round.moved || changed
	c.needSets()
	switch c.round.phase {
	case Open:
		if c.mostClosed() {
			c.tryClose()
		}
	case Establish:
		c.tryAccept()
	}
}

// keepPosition notes a position and says whether it differs from the one before.
func (c *Core) keepPosition(voice *voice, p Position) (changed bool) {
	for i := range voice.positions {
		old := &voice.positions[i]
		if old.Parent != p.Parent || p.Seq < old.Seq {
			if old.Parent == p.Parent {
				return false
			}
			continue
		}
		changed = old.Set != p.Set || old.Close != p.Close
		if p.Seq == old.Seq && changed {
			c.emit(Blame{Validator: p.Voter, Reason: "two positions with one number"})
			return false
		}
		*old = heard{p, c.now}
		return changed
	}
	voice.positions = append(voice.positions, heard{p, c.now})
	if len(voice.positions) > positionsKept {
		voice.forget(lowest(voice.positions))
	}
	return true
}

func lowest(positions []heard) hash.Hash {
	return slices.MinFunc(positions, func(a, b heard) int {
		return int(min(max(int64(a.Height-b.Height), -1), 1))
	}).Parent
}

// forget drops the position of a round.
func (o *voice) forget(parent hash.Hash) {
	o.positions = slices.DeleteFunc(o.positions, func(p heard) bool { return p.Parent == parent })
}

// here lists the fresh positions of others in the present round, in order of
// the list.
func (c *Core) here() []Position {
	parent := c.working.block.Hash()
	var out []Position
	for _, i := range c.members {
		if c.isSelf(i) {
			continue
		}
		for _, p := range c.voices[i].positions {
			if p.Parent == parent && c.now.Sub(p.at) < c.cfg.Timing.Fresh {
				out = append(out, p.Position)
			}
		}
	}
	return out
}

// mostClosed says that more than half of the list closed the ledger.
func (c *Core) mostClosed() bool { return len(c.here())*2 > len(c.members) }
