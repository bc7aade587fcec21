package sim

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// The laws. An error of [Run] is one of them.
var (
	// ErrFork means that two honest replicas decided different blocks at a height.
	ErrFork = errors.New("fork")
	// ErrOrder means that a replica decided blocks out of order.
	ErrOrder = errors.New("decided out of order")
	// ErrPromise means that an honest replica contradicted what it had said
	// before, or said what was not on its disk.
	ErrPromise = errors.New("promise broken")
	// ErrBlock means that a block was decided which breaks the rules of blocks:
	// certificates that do not verify, a proposer who did not lead.
	ErrBlock = errors.New("invalid block decided")
	// ErrBlame means that an honest replica was blamed.
	ErrBlame = errors.New("the honest blamed")
	// ErrStall means that the network did not become live in time.
	ErrStall = errors.New("stall")
)

// law watches every effect of every honest replica.
type law struct {
	broken error
	chain  []hash.Hash        // decided block by height - 1, whoever decided it first
	votes  map[slot]hash.Hash // what each replica's votes, once outside, were for
}

type slot struct {
	replica int
	epoch   types.Epoch
	view    types.View
}

func (l *law) fail(law error, format string, args ...any) {
	if l.broken == nil {
		l.broken = fmt.Errorf("%w: %s", law, fmt.Sprintf(format, args...))
	}
}

func (l *law) observe(w *world, r *replica, effect hotstuff.Effect) {
	w.trace(r, effect)
	if r.faulty {
		return
	}
	switch e := effect.(type) {
	case hotstuff.Persist:
		l.promise(r, e.Record)
	case hotstuff.SendVote:
		l.vote(r, e.Vote)
	case hotstuff.BroadcastTimeout:
		l.timeout(r, e.Timeout)
	case hotstuff.Broadcast:
		l.vote(r, types.Vote{Epoch: e.Block.Epoch, View: e.Block.View, Block: e.Block.Hash()})
	case hotstuff.Decided:
		l.decide(w, r, e)
	case hotstuff.Blame:
		l.blame(w, r, e)
	}
}

// promise: each record on disk is of a later view than those of its epoch before it,
// but that a view voted in may be given up. It holds across crashes. (A replica that
// has forgotten to have executed the end of an epoch is back in that epoch.)
func (l *law) promise(r *replica, rec hotstuff.Record) {
	seen := 0
	for i := len(r.records) - 1; i >= 0 && seen < 2; i-- {
		before := r.records[i]
		if rec.Epoch != before.Epoch || rec.Handover != nil || before.Handover != nil {
			continue
		}
		seen++
		if rec.View() < before.View() || rec.View() == before.View() && (rec.Timeout == nil || before.Timeout != nil) {
			l.fail(ErrPromise, "%s promises something in view %d after view %d", r, rec.View(), before.View())
		}
		if rec.Locked.View < before.Locked.View || rec.High.View < before.High.View {
			l.fail(ErrPromise, "%s forgets a certificate in view %d", r, rec.View())
		}
	}
}

// vote: a replica shows one vote a view, crash or no crash, and only after it
// is on disk.
func (l *law) vote(r *replica, v types.Vote) {
	s := slot{r.id, v.Epoch, v.View}
	if before, ok := l.votes[s]; ok && before != v.Block {
		l.fail(ErrPromise, "%s voted twice in view %d", r, v.View)
	}
	l.votes[s] = v.Block
	if rec := r.record(func(rec hotstuff.Record) bool {
		return rec.Vote != nil && rec.Epoch == v.Epoch && rec.Vote.View == v.View
	}); rec == nil || rec.Vote.Block != v.Block {
		l.fail(ErrPromise, "%s shows a vote in view %d that is not on its disk", r, v.View)
	}
}

// timeout: a replica gives up a view once, with one certificate, after it is on disk.
func (l *law) timeout(r *replica, t types.Timeout) {
	if rec := r.record(func(rec hotstuff.Record) bool {
		return rec.Timeout != nil && rec.Epoch == t.Epoch && rec.View() == t.View
	}); rec == nil || rec.Timeout.High.View != t.High.View {
		l.fail(ErrPromise, "%s shows a timeout of view %d that is not on its disk", r, t.View)
	}
	if t.Vote != nil {
		l.vote(r, *t.Vote)
	}
}

// record finds the last record of a sort.
func (r *replica) record(sort func(hotstuff.Record) bool) *hotstuff.Record {
	for i := len(r.records) - 1; i >= 0; i-- {
		if sort(r.records[i]) {
			return &r.records[i]
		}
	}
	return nil
}

// decide: blocks come in order, all replicas decide the same ones, and each is
// certified by a quorum.
func (l *law) decide(w *world, r *replica, e hotstuff.Decided) {
	b, tip := e.Block, r.executed[len(r.executed)-1].block
	if b.Height != tip.Height+1 || b.Parent() != tip.Hash() {
		l.fail(ErrOrder, "%s decides height %d on top of height %d", r, b.Height, tip.Height)
		return
	}
	if e.Cert.Block != b.Hash() || e.Cert.View != b.View || !w.validQC(b.Epoch, e.Cert) {
		l.fail(ErrBlock, "%s decides block %s without a certificate for it", r, b.Hash().Short())
	}
	switch i := int(b.Height) - 1; {
	case i == len(l.chain):
		l.chain = append(l.chain, b.Hash())
		if err := w.checkBlock(b, tip); err != nil {
			l.fail(ErrBlock, "%s decides block %s: %s", r, b.Hash().Short(), err)
		}
	case i > len(l.chain) || l.chain[i] != b.Hash():
		l.fail(ErrFork, "%s decides block %s at height %d, others decided %s", r, b.Hash().Short(), b.Height, l.chain[i].Short())
	}
}

// blame: nobody honest is blamed, and what is proven is true.
func (l *law) blame(w *world, r *replica, e hotstuff.Blame) {
	if e.From == "" && !w.faulty(w.members(e.Epoch)[e.Validator]) {
		l.fail(ErrBlame, "%s blames validator %d: %s", r, e.Validator, e.Reason)
	}
	if e.Evidence == nil {
		return
	}
	if culprit := w.members(e.Evidence.Epoch)[e.Evidence.Culprit]; !w.faulty(culprit) {
		l.fail(ErrBlame, "%s proves a %s of replica %d, who is honest", r, e.Evidence.Offence, culprit)
	}
	if _, err := w.authority(e.Evidence.Epoch).CheckEvidence(e.Evidence); err != nil {
		l.fail(ErrBlame, "%s shows evidence that proves nothing: %s", r, err)
	}
	w.report.Proofs++
}

// checkLive: within the calm time every honest replica decides what any had
// decided before, and a few blocks more: nothing decided is lost.
func (l *law) checkLive(w *world, before types.Height) {
	for r := range w.honest {
		if r.height() < before+more {
			l.fail(ErrStall, "%s is at height %d; the network was at %d when it became timely and should be at %d", r, r.height(), before, before+more)
			return
		}
	}
}
