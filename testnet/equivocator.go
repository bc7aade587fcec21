package testnet

import (
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// equivocator is the network of a validator that lies: it shows a second proposal
// for each of its own, and casts a second vote with each vote. It stands between an
// honest engine and the mesh, so that everything else works as it does elsewhere.
type equivocator struct {
	consensus.Network
	chain  hash.Hash
	scheme func(types.Epoch) consensus.Scheme
}

// BroadcastProposal implements consensus.Network.
func (q *equivocator) BroadcastProposal(b *types.Block) {
	q.Network.BroadcastProposal(b)
	h := b.BlockHeader
	h.Time++
	scheme := q.scheme(b.Epoch)
	if scheme == nil {
		return
	}
	if twin, err := types.NewBlock(h, b.Txs, scheme.SignBlock); err == nil {
		q.Network.BroadcastProposal(twin)
	}
}

// SendVote implements consensus.Network.
func (q *equivocator) SendVote(to types.ValidatorIndex, v types.Vote) {
	q.Network.SendVote(to, v)
	scheme := q.scheme(v.Epoch)
	if scheme == nil {
		return
	}
	v.Block = hash.Sum("equivocation", v.Block[:])
	v.Signature = scheme.Sign(types.VoteMessage(types.EpochDomain(q.chain, v.Epoch), v.View, v.Block))
	q.Network.SendVote(to, v)
}
