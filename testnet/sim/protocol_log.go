package sim

import (
	"fmt"
	"io"
	"strings"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
)

// RunLogged is [Run], and writes what every replica is told and does to out, a line
// each, to be read when a script shows something broken.
func RunLogged(s Schedule, out io.Writer) (Report, error) {
	w := newWorld(s)
	w.out = out
	return w.run()
}

// logEvent writes what a replica is told.
func (w *world) logEvent(r *replica, ev hotstuff.Event) {
	if w.out == nil {
		return
	}
	c := r.core
	fmt.Fprintf(w.out, "%-12v %s epoch %d view %d decided %d high %d <- %T%s\n", w.now, r, c.Epoch(), c.View(), c.DecidedHeight(), c.High().View, ev, tellEvent(ev))
}

func tellEvent(ev hotstuff.Event) string {
	switch e := ev.(type) {
	case hotstuff.Proposal:
		return " " + tellBlock(e.Block)
	case hotstuff.VoteIn:
		return " " + tellVote(&e.Vote)
	case hotstuff.TimeoutIn:
		return " " + tellTimeout(e.Timeout)
	case hotstuff.EndingIn:
		return fmt.Sprintf(" epoch %d with %s", e.Ending.Epoch, e.Ending.Last.Short())
	case hotstuff.TimerFired:
		return fmt.Sprintf(" view %d", e.View)
	case hotstuff.Blocks:
		told := make([]string, len(e.Blocks))
		for i, b := range e.Blocks {
			told[i] = tellBlock(b)
		}
		return " " + strings.Join(told, "; ")
	}
	return ""
}

// logEffect writes what a replica does.
func (w *world) logEffect(effect hotstuff.Effect) {
	if w.out == nil {
		return
	}
	told := ""
	switch e := effect.(type) {
	case hotstuff.Persist:
		told = fmt.Sprintf(" vote %s, timeout %t, handover %t", tellVote(e.Record.Vote), e.Record.Timeout != nil, e.Record.Handover != nil)
	case hotstuff.SendVote:
		told = fmt.Sprintf(" to %d: %s", e.To, tellVote(&e.Vote))
	case hotstuff.BroadcastTimeout:
		told = " " + tellTimeout(e.Timeout)
	case hotstuff.Broadcast:
		told = " " + tellBlock(e.Block)
	case hotstuff.Fetch:
		told = fmt.Sprintf(" %s above %d", e.Block.Short(), e.Above)
	case hotstuff.Decided:
		told = fmt.Sprintf(" %s by %s of view %d", tellBlock(e.Block), e.Cert.Block.Short(), e.Cert.View)
	}
	fmt.Fprintf(w.out, "%18s-> %T%s\n", "", effect, told)
}

func tellBlock(b *types.Block) string {
	return fmt.Sprintf("block %s height %d epoch %d view %d of %d on view %d", b.Hash().Short(), b.Height, b.Epoch, b.View, b.Proposer, b.Justify.View)
}

func tellVote(v *types.Vote) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("epoch %d view %d of %d for %s", v.Epoch, v.View, v.Voter, v.Block.Short())
}

func tellTimeout(t types.Timeout) string {
	return fmt.Sprintf("timeout epoch %d view %d of %d, high %s view %d, vote %s, last %t, handover %t",
		t.Epoch, t.View, t.Voter, t.High.Block.Short(), t.High.View, tellVote(t.Vote), t.Last != nil, t.Handover != nil)
}
