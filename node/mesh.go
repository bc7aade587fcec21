package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/sync"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/net/gossip"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/rpc"
)

// ballot is a vote and the voter's newest attestations, which ride along.
type ballot struct {
	_            struct{} `cbor:",toarray"`
	Vote         types.Vote
	Attestations []types.Attestation
}

// mesh is everything through which the node talks to other nodes. It implements
// consensus.Network for the engine and sync.Peers for the syncer.
type mesh struct {
	log       *slog.Logger
	epochs    *epochs
	host      *p2p.Host
	discovery *dht.Discovery
	gossip    *gossip.Gossip
	spread    *spreading

	proposals *gossip.Topic[*types.Block]
	timeouts  *gossip.Topic[types.Timeout]
	endings   *gossip.Topic[types.Ending]
	announced *gossip.Topic[types.SignedHeader]
	txs       *gossip.Topic[[][]byte]
	evidence  *gossip.Topic[types.Evidence]
	ballots   *rpc.Mailbox[ballot]
	blocks    rpc.Protocol[sync.Request, sync.Response]
	// stopServing waits for the requests that are being answered.
	stopServing func()

	outbox  chan func(context.Context) error // what is to be gossiped
	seen    *lru.Cache[turn, int]            // proposals relayed
	heard   *lru.Cache[turn, int]            // announcements relayed
	shown   *lru.Cache[turn, shownHeader]    // the first header that a proposer signed for its turn
	checked *lru.Cache[hash.Hash, struct{}]  // timeouts whose signature was checked
	want    func(sync.Want)
	lagged  atomic.Int64 // when lag last asked, milliseconds
	own     func() []types.Attestation
	accuse  func(types.Evidence)
}

// turn is a chance to propose.
type turn struct {
	epoch    types.Epoch
	view     types.View
	proposer types.ValidatorIndex
}

// received is what the node does with what comes in.
type received struct {
	proposal func(from peer.ID, b *types.Block)
	timeout  func(types.Timeout)
	ending   func(types.Ending)
	vote     func(types.Vote)
	attest   func(types.Attestation)
	txs      func(ctx context.Context, raws [][]byte) (fresh bool, bad bool)
	evidence func(types.Evidence) gossip.Verdict
	now      func() (types.Epoch, types.View)
	serve    func(context.Context, sync.Request) (sync.Response, error)
	chain    hash.Hash
	params   types.Params
	phases   int  // of the rule
	leaders  bool // the engine has leaders, and so proposals and timeouts
}

const (
	outboxSize   = 256
	lagEvery     = 300 * time.Millisecond
	viewsBehind  = 2 // messages of older views are not relayed
	perView      = 2 // proposals of one view that are relayed: the second proves a fault
	ballotBytes  = 4 << 10
	maxGossip    = 8 << 20
	slowest      = 512 << 10 // bytes a second at which fetching a block is still patient
	txBatchBytes = 256 << 10
)

// join sets up all topics and protocols. Nothing is handled before.
func (m *mesh) join(network string, in received) error {
	var err error
	m.outbox = make(chan func(context.Context) error, outboxSize)
	if m.seen, err = lru.New[turn, int](4096); err != nil {
		return err
	}
	if m.heard, err = lru.New[turn, int](4096); err != nil {
		return err
	}
	if m.shown, err = lru.New[turn, shownHeader](4096); err != nil {
		return err
	}
	if m.checked, err = lru.New[hash.Hash, struct{}](4096); err != nil {
		return err
	}
	if in.leaders {
		if err := m.joinLeaders(in); err != nil {
			return err
		}
	}
	if m.txs, err = gossip.Join(m.gossip, gossip.Spec[[][]byte]{
		Name: "transactions", Codec: canon.CBOR[[][]byte](), PerSecond: 500, Repeats: true,
		Handle: func(peer.ID, [][]byte) {}, // admitted by the validator
		Validate: func(ctx context.Context, _ peer.ID, raws [][]byte) gossip.Verdict {
			switch fresh, bad := in.txs(ctx, raws); {
			case bad:
				return gossip.Reject
			case fresh:
				return gossip.Accept
			}
			return gossip.Ignore
		},
	}); err != nil {
		return err
	}
	if m.evidence, err = gossip.Join(m.gossip, gossip.Spec[types.Evidence]{
		Name: "evidence", Codec: canon.CBOR[types.Evidence](), PerSecond: 20,
		Handle:   func(peer.ID, types.Evidence) {}, // taken by the validator
		Validate: func(_ context.Context, _ peer.ID, ev types.Evidence) gossip.Verdict { return in.evidence(ev) },
	}); err != nil {
		return err
	}
	m.ballots = rpc.NewMailbox(m.host, rpc.Letters[ballot]{
		ID: protocol.ID("/starling/" + network + "/vote/1"), Codec: canon.CBOR[ballot](), MaxSize: ballotBytes, PerSecond: 500,
		Handle: func(from peer.ID, b ballot) { m.receiveBallot(in, from, b) },
	}, m.log)
	m.blocks = rpc.Protocol[sync.Request, sync.Response]{
		ID:      protocol.ID("/starling/" + network + "/blocks/1"),
		Request: canon.CBOR[sync.Request](), Response: canon.CBOR[sync.Response](),
		MaxRequest: 256, MaxResponse: maxAnswer(in.params), Timeout: patience(in.params), PerPeer: 8,
	}
	m.stopServing = rpc.Serve(m.host, m.blocks, m.log, func(ctx context.Context, from peer.ID, req sync.Request) (sync.Response, error) {
		resp, err := in.serve(ctx, req)
		if err != nil || req.Parcel == 0 {
			return resp, err
		}
		return m.spread.parcelled(from, req.Parcel, resp, patience(in.params))
	})
	return nil
}

// patience is how long fetching a block may take.
func patience(p types.Params) time.Duration {
	return 10*time.Second + time.Duration(p.MaxBlockBytes/slowest)*time.Second
}

// maxAnswer is the largest answer of blocks: a block that is larger than others together
// goes alone.
func maxAnswer(p types.Params) int {
	return sync.MaxResponseBytes + int(p.MaxBlockBytes) + overhead
}

// joinLeaders sets up the topics of an engine with leaders.
func (m *mesh) joinLeaders(in received) (err error) {
	block := canon.Codec[*types.Block]{
		Encode: func(b *types.Block) ([]byte, error) { return b.Raw(), nil },
		Decode: types.DecodeBlock,
	}
	if m.proposals, err = gossip.Join(m.gossip, gossip.Spec[*types.Block]{
		Name: "proposal", Codec: block, PerSecond: 200, Handle: in.proposal,
		Validate: func(_ context.Context, _ peer.ID, b *types.Block) gossip.Verdict { return m.judgeProposal(in, b) },
	}); err != nil {
		return err
	}
	if m.timeouts, err = gossip.Join(m.gossip, gossip.Spec[types.Timeout]{
		Name: "timeout", Codec: canon.CBOR[types.Timeout](), PerSecond: 500, Repeats: true,
		Handle:   func(_ peer.ID, t types.Timeout) { in.timeout(t) },
		Validate: func(_ context.Context, _ peer.ID, t types.Timeout) gossip.Verdict { return m.judgeTimeout(in, t) },
	}); err != nil {
		return err
	}
	if m.announced, err = gossip.Join(m.gossip, gossip.Spec[types.SignedHeader]{
		Name: "announcement", Codec: canon.CBOR[types.SignedHeader](), PerSecond: 200,
		Handle: func(_ peer.ID, h types.SignedHeader) {
			if header, _, err := h.Open(); err == nil { // it was judged
				m.spread.heard(header)
			}
		},
		Validate: func(_ context.Context, _ peer.ID, h types.SignedHeader) gossip.Verdict {
			return m.judgeAnnouncement(in, h)
		},
	}); err != nil {
		return err
	}
	m.endings, err = gossip.Join(m.gossip, gossip.Spec[types.Ending]{
		Name: "ending", Codec: canon.CBOR[types.Ending](), PerSecond: 20, Repeats: true,
		Handle:   func(_ peer.ID, e types.Ending) { in.ending(e) },
		Validate: func(_ context.Context, _ peer.ID, e types.Ending) gossip.Verdict { return m.judgeEnding(in, e) },
	})
	return err
}

// maxAttestations is how many attestations a ballot may carry.
const maxAttestations = 16

// receiveBallot takes a vote only from the voter itself: a forged one could
// otherwise take the genuine one's place.
func (m *mesh) receiveBallot(in received, from peer.ID, b ballot) {
	switch is, known := m.epochs.is(b.Vote.Epoch, b.Vote.Voter, from); {
	case !known:
		in.vote(b.Vote) // of an epoch to come: the engine learns that it lags behind
		return
	case !is || len(b.Attestations) > maxAttestations:
		m.host.Penalise(from, p2p.InvalidMessage)
		return
	}
	for _, at := range b.Attestations {
		is, known := m.epochs.is(in.params.EpochOf(at.Claim.Height), at.Voter, from)
		if known && !is {
			m.host.Penalise(from, p2p.InvalidMessage)
			return
		}
		if known {
			in.attest(at)
		}
	}
	in.vote(b.Vote)
}

// run gossips what is in the outbox until ctx ends.
func (m *mesh) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case send := <-m.outbox:
			if err := send(ctx); err != nil && ctx.Err() == nil {
				m.log.Warn("gossip", "error", err)
			}
		}
	}
}

func (m *mesh) post(send func(context.Context) error) {
	select {
	case m.outbox <- send:
	default:
		m.log.Warn("gossip outbox full, message dropped")
	}
}

// BroadcastProposal implements consensus.Network. What is large goes by Turbine, and
// only its header is gossiped.
func (m *mesh) BroadcastProposal(b *types.Block) {
	if m.spread.proposal(b) {
		m.post(func(ctx context.Context) error {
			header, err := b.Signed()
			if err != nil {
				return err
			}
			return m.announced.Publish(ctx, header)
		})
		return
	}
	m.post(func(ctx context.Context) error { return m.proposals.Publish(ctx, b) })
}

// BroadcastTimeout implements consensus.Network.
func (m *mesh) BroadcastTimeout(t types.Timeout) {
	m.post(func(ctx context.Context) error { return m.timeouts.Publish(ctx, t) })
}

// ShowEnding implements consensus.Network.
func (m *mesh) ShowEnding(e types.Ending) {
	m.post(func(ctx context.Context) error { return m.endings.Publish(ctx, e) })
}

// publishTxs gossips accepted transactions in messages of a moderate size.
func (m *mesh) publishTxs(raws [][]byte) {
	for len(raws) > 0 {
		n, size := 0, 0
		for n < len(raws) && (n == 0 || size+len(raws[n]) <= txBatchBytes) {
			size += len(raws[n])
			n++
		}
		batch := raws[:n]
		raws = raws[n:]
		m.post(func(ctx context.Context) error { return m.txs.Publish(ctx, batch) })
	}
}

// SendVote implements consensus.Network.
func (m *mesh) SendVote(to types.ValidatorIndex, v types.Vote) {
	seat, err := m.epochs.at(v.Epoch)
	if err != nil {
		return // cannot be: the engine runs in it
	}
	if err := m.ballots.Send(seat.peers[to], ballot{Vote: v, Attestations: m.own()}); err != nil {
		m.log.Debug("send vote", "to", to, "error", err)
	}
}

// fetch has a block fetched, from whoever has it.
func (m *mesh) fetch(block hash.Hash, above types.Height) {
	m.want(sync.Want{Block: block, Above: above})
}

// Fetch implements consensus.Network.
func (m *mesh) Fetch(epoch types.Epoch, block hash.Hash, above types.Height, holders bls.Bitmap) {
	w := sync.Want{Block: block, Above: above}
	if seat, err := m.epochs.at(epoch); err == nil {
		for i := range holders.All() {
			if i < len(seat.peers) && seat.peers[i] != m.host.ID() {
				w.Holders = append(w.Holders, string(seat.peers[i]))
			}
		}
	}
	m.want(w)
}

// Blame implements consensus.Network.
func (m *mesh) Blame(f consensus.Fault) {
	m.log.Warn("protocol broken", "validator", m.epochs.name(f.Epoch, f.Validator), "reason", f.Reason)
	if f.Evidence != nil {
		m.accuse(*f.Evidence)
	}
	if f.From != "" {
		m.host.Penalise(peer.ID(f.From), p2p.BadBlock)
	} else if seat, err := m.epochs.at(f.Epoch); err == nil && int(f.Validator) < len(seat.peers) {
		m.host.Penalise(seat.peers[f.Validator], p2p.InvalidMessage)
	}
}

// publishEvidence gossips a proof.
func (m *mesh) publishEvidence(ev types.Evidence) {
	m.post(func(ctx context.Context) error { return m.evidence.Publish(ctx, ev) })
}

// Candidates implements sync.Peers.
func (m *mesh) Candidates(w sync.Want) []string {
	connected := map[string]bool{}
	for _, id := range m.host.Network().Peers() {
		if m.speaks(id) {
			connected[string(id)] = true
		}
	}
	var out []string
	for _, holder := range w.Holders {
		if connected[holder] {
			out = append(out, holder)
			delete(connected, holder)
		}
	}
	for id := range connected {
		out = append(out, id)
	}
	return out
}

// Request implements sync.Peers.
func (m *mesh) Request(ctx context.Context, to string, req sync.Request) (sync.Response, error) {
	room, err := m.spread.parcels.Reserve(peer.ID(to))
	if err == nil { // else its key is not of our kind: it answers on the stream
		defer room.GiveUp()
		req.Parcel = room.Number()
	}
	resp, err := rpc.Call(ctx, m.host, peer.ID(to), m.blocks, req)
	if err != nil || !resp.Parcelled || room == nil {
		return resp, err
	}
	raw, err := room.Wait(ctx)
	if err != nil {
		return sync.Response{}, err
	}
	return m.blocks.Response.Decode(raw)
}

// Bad implements sync.Peers.
func (m *mesh) Bad(who string, reason error) {
	m.log.Warn("peer served bad blocks", "peer", peer.ID(who).String(), "error", reason)
	m.host.Penalise(peer.ID(who), p2p.BadBlock)
}

// Slow implements sync.Peers.
func (m *mesh) Slow(who string) { m.host.Penalise(peer.ID(who), p2p.Slow) }

// close leaves the mesh; the host goes last.
func (m *mesh) close() error {
	var err error
	if m.stopServing != nil {
		m.stopServing()
	}
	if m.ballots != nil {
		m.ballots.Close()
	}
	if m.gossip != nil {
		m.gossip.Close()
	}
	if m.discovery != nil {
		if err = m.discovery.Close(); err != nil {
			err = fmt.Errorf("close discovery: %w", err)
		}
	}
	if m.host != nil {
		err = errors.Join(err, m.host.Close())
	}
	return err
}
