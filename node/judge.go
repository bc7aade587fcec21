package node

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/sync"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/net/gossip"
)

// outdated says that a message of an epoch and view need not be relayed any more.
func outdated(in received, e types.Epoch, v types.View) bool {
	epoch, view := in.now()
	return e < epoch || e == epoch && v+viewsBehind < view
}

// lag has blocks fetched when somebody speaks of an epoch whose validators are not
// known here: this node is more than an epoch behind. tip is what was spoken of, and
// need not exist; one question now and then is all that a liar can cause.
func (m *mesh) lag(tip hash.Hash) {
	now, last := time.Now().UnixMilli(), m.lagged.Load()
	if now-last >= lagEvery.Milliseconds() && m.lagged.CompareAndSwap(last, now) {
		m.want(sync.Want{Block: tip})
	}
}

// judgeProposal is what every relaying node checks: cheap, and enough that only
// validators can make others work, each with few blocks a view. Whether the
// proposer leads the view is for the engine to say, who knows the block's ancestors.
func (m *mesh) judgeProposal(in received, b *types.Block) gossip.Verdict {
	if outdated(in, b.Epoch, b.View) {
		return gossip.Ignore
	}
	size := 0
	for _, tx := range b.Txs {
		size += len(tx)
	}
	if b.Chain != in.chain || uint64(size) > in.params.MaxBlockBytes || uint64(len(b.Txs)) > in.params.MaxBlockTxs {
		return gossip.Reject
	}
	seat, err := m.epochs.at(b.Epoch)
	if err != nil {
		m.lag(b.Parent())
		return gossip.Ignore
	}
	if !seat.VerifyProposer(b) {
		return gossip.Reject
	}
	return again(m.seen, turn{b.Epoch, b.View, b.Proposer})
}

// again accepts what comes of a turn a few times.
func again(seen *lru.Cache[turn, int], t turn) gossip.Verdict {
	count, _ := seen.Get(t)
	if count >= perView {
		return gossip.Ignore
	}
	seen.Add(t, count+1)
	return gossip.Accept
}

// judgeAnnouncement checks the header of a proposal that does not go by gossip itself.
func (m *mesh) judgeAnnouncement(in received, signed types.SignedHeader) gossip.Verdict {
	h, id, err := signed.Open()
	if err != nil || h.Chain != in.chain {
		return gossip.Reject
	}
	if outdated(in, h.Epoch, h.View) {
		return gossip.Ignore
	}
	seat, err := m.epochs.at(h.Epoch)
	if err != nil {
		m.lag(h.Justify.Block)
		return gossip.Ignore
	}
	if !seat.VerifyBlock(h.Proposer, id, signed.Signature) {
		return gossip.Reject
	}
	m.witness(h, id, signed)
	return again(m.heard, turn{h.Epoch, h.View, h.Proposer})
}

// shownHeader is a header that was checked.
type shownHeader struct {
	id     hash.Hash
	signed types.SignedHeader
}

// witness compares what a proposer signed for one turn: the engine sees only the blocks
// that arrive whole.
func (m *mesh) witness(h types.BlockHeader, id hash.Hash, signed types.SignedHeader) {
	first, known, _ := m.shown.PeekOrAdd(turn{h.Epoch, h.View, h.Proposer}, shownHeader{id, signed})
	if known && first.id != id {
		m.accuse(consensus.NewEvidence(types.DoubleProposal, h.Epoch, h.Proposer, first.signed, signed))
	}
}

func (m *mesh) judgeTimeout(in received, t types.Timeout) gossip.Verdict {
	if outdated(in, t.Epoch, t.View) {
		if epoch, _ := in.now(); t.Epoch+1 == epoch {
			in.timeout(t) // somebody has to be told that the epoch has ended
		}
		return gossip.Ignore
	}
	// The same statement comes again and again while a view lasts.
	statement := hash.Sum("checked timeout", canon.MustMarshal([]uint64{uint64(t.Epoch), uint64(t.Voter), uint64(t.View), uint64(t.High.View)}), t.Signature)
	if m.checked.Contains(statement) {
		return gossip.Accept
	}
	seat, err := m.epochs.at(t.Epoch)
	if err != nil {
		m.lag(t.High.Block)
		return gossip.Ignore
	}
	if t.High.View >= t.View || !seat.Verify(t.Voter, types.TimeoutMessage(seat.authority.Domain(), t.View, t.High.View), t.Signature) {
		return gossip.Reject
	}
	m.checked.Add(statement, struct{}{})
	return gossip.Accept
}

// judgeEnding passes on what is proved, and only if it may be news to somebody near.
func (m *mesh) judgeEnding(in received, e types.Ending) gossip.Verdict {
	epoch, _ := in.now()
	seat, err := m.epochs.at(e.Epoch)
	if err != nil || e.Epoch+1 < epoch {
		return gossip.Ignore
	}
	if seat.authority.CheckHandover(e.Last, in.phases, &e.Handover) != nil {
		return gossip.Reject
	}
	return gossip.Accept
}
