package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/net/dgram"
	"github.com/starlingmesh/starling/net/gossip"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/turbine"
	turbinedriver "github.com/starlingmesh/starling/turbine/driver"
)

// shredGroup is the validators of an epoch as they send each other large payloads.
type shredGroup struct {
	s      *spreading
	epoch  types.Epoch
	seat   *seat
	log    *slog.Logger
	port   *dgram.Port
	driver *turbinedriver.Driver
	cancel context.CancelFunc
	// By channel: what arrived and waits to be checked.
	proposals chan arrival
	batches   chan arrival

	mu      sync.Mutex
	highest uint64 // lane height of which was heard
}

// arrival is a payload that came.
type arrival struct {
	from    peer.ID
	slot    uint64
	payload []byte
}

const (
	// viewsAround is how far from the present view proposals are taken: below it those
	// that others may still ask for, above it for nodes that lag behind.
	viewsBelow, viewsAbove = 8, 64
	// heightsAbove is how far above the highest known height batches are taken.
	heightsAbove = 4 * laneWindow
	arrivals     = 16
	// expectedLoss is what parity is for before anything was measured.
	expectedLoss = 0.12
	// overhead is what a block may hold beside its transactions: certificates, cuts,
	// evidence, and the lengths of each.
	overhead = 2 << 20
)

func openGroup(s *spreading, epoch types.Epoch, at *seat) (*shredGroup, error) {
	stakes := make([]uint64, len(at.peers))
	index := make(map[string]types.ValidatorIndex, len(at.peers))
	for i, v := range at.Set().All() {
		stakes[i] = v.Power
	}
	members, err := turbinedriver.GroupOf(at.peers, stakes)
	if err != nil {
		return nil, err
	}
	for i := range at.peers {
		index[string(members.At(turbine.Index(i)).Key)] = types.ValidatorIndex(i)
	}
	g := &shredGroup{
		s: s, epoch: epoch, seat: at, log: s.n.log.With("component", "turbine"), port: s.packets.Port(byte(epoch % groupPorts)),
		proposals: make(chan arrival, arrivals), batches: make(chan arrival, arrivals),
	}
	largest := max(int(s.n.genesis.Params.MaxBlockBytes), 2*batchBytes) + overhead
	g.driver = turbinedriver.New(turbinedriver.Config{
		Core: turbine.Config{
			Chain: at.authority.Domain(), Group: members, Self: turbine.Index(*at.self), Codes: s.codes,
			MaxBytes: int(s.n.cfg.Turbine.MaxMemory), MaxStream: int(s.n.cfg.Turbine.MaxMemory) / 2,
			Verify: func(key, message, signature []byte) bool {
				return at.VerifyBlock(index[string(key)], hash.Hash(message), signature)
			},
		},
		Peers: at.peers, Packets: g.port, Compress: fec.S2, Loss: expectedLoss, MaxPayload: largest,
		Sign:      func(message []byte) ([]byte, error) { return at.SignBlock(hash.Hash(message)) },
		OnPayload: g.arrived, OnFault: g.faulted, Logger: g.log,
	})
	g.driver.Admit(batchChannel, 0, heightsAbove)
	ctx, cancel := context.WithCancel(s.ctx)
	g.cancel = cancel
	s.work.Go(func() { _ = g.driver.Run(ctx) }) // ends with ctx only
	s.work.Go(func() { drain(ctx, g.proposals, g.takeProposal) })
	s.work.Go(func() { drain(ctx, g.batches, g.takeBatch) })
	g.port.Handle(g.driver.Receive)
	return g, nil
}

func drain(ctx context.Context, from <-chan arrival, take func(arrival)) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-from:
			take(a)
		}
	}
}

// close stops the group and returns what it did. Its goroutines end soon after.
func (g *shredGroup) close() turbine.Counts {
	g.port.Close()
	g.cancel()
	return g.driver.Counts()
}

// reached takes proposals of views around the present one.
func (g *shredGroup) reached(view types.View) {
	g.driver.Admit(proposalChannel, uint64(view)-min(uint64(view), viewsBelow), uint64(view)+viewsAbove)
}

// sawHeight takes batches up to somewhat above the highest height that was heard of.
func (g *shredGroup) sawHeight(h types.LaneHeight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if uint64(h) > g.highest {
		g.highest = uint64(h)
		g.driver.Admit(batchChannel, 0, g.highest+heightsAbove)
	}
}

// publish sends a payload in the background. It must not be called twice for a slot.
func (g *shredGroup) publish(ch fec.Channel, slot uint64, payload []byte) {
	g.s.start(func() {
		ctx, cancel := context.WithTimeout(g.s.ctx, spreadTimeout)
		defer cancel()
		began := time.Now()
		err := g.driver.Publish(ctx, ch, slot, payload)
		if err != nil && !errors.Is(err, context.Canceled) {
			g.log.Warn("a payload did not leave whole; who lacks it fetches it", "slot", slot, "bytes", len(payload), "error", err)
		}
		g.s.receipts.keep(receipt{
			epoch: g.epoch, channel: ch, slot: slot, sender: *g.seat.self, bytes: len(payload), own: true,
			Receipt: turbine.Receipt{Began: began, Finished: time.Now()},
		})
	})
}

// expect has a validator's payload asked for if it does not come by itself.
func (g *shredGroup) expect(ch fec.Channel, sender types.ValidatorIndex, slot uint64) {
	if int(sender) < len(g.seat.peers) {
		g.driver.Expect(fec.Stream{Channel: ch, Sender: fec.SenderOf([]byte(g.seat.peers[sender])), Slot: slot})
	}
}

// arrived keeps the receipt and queues the payload to be checked. What finds no room is
// fetched later, like anything that was missed.
func (g *shredGroup) arrived(id fec.Stream, payload []byte, r turbine.Receipt) {
	sender, ok := g.senderOf(id.Sender)
	if !ok {
		return // cannot be: its signature was checked
	}
	g.s.receipts.keep(receipt{epoch: g.epoch, channel: id.Channel, slot: id.Slot, sender: sender, bytes: len(payload), Receipt: r})
	queue := g.proposals
	switch id.Channel {
	case proposalChannel:
	case batchChannel:
		queue = g.batches
	default:
		return
	}
	select {
	case queue <- arrival{from: g.seat.peers[sender], slot: id.Slot, payload: payload}:
	default:
		g.log.Warn("no room for a payload: it is fetched when it is needed", "slot", id.Slot, "bytes", len(payload))
	}
}

func (g *shredGroup) senderOf(name fec.Sender) (types.ValidatorIndex, bool) {
	for i, id := range g.seat.peers {
		if fec.SenderOf([]byte(id)) == name {
			return types.ValidatorIndex(i), true
		}
	}
	return 0, false
}

// takeProposal treats a proposal like one that was gossiped. Only its sender answers for
// it: relays cannot look into it.
func (g *shredGroup) takeProposal(a arrival) {
	b, err := types.DecodeBlock(a.payload)
	if err != nil || b.Epoch != g.epoch || uint64(b.View) != a.slot || int(b.Proposer) >= len(g.seat.peers) || g.seat.peers[b.Proposer] != a.from {
		g.s.n.host.Penalise(a.from, p2p.InvalidMessage)
		return
	}
	in := g.s.handlers()
	switch g.s.n.mesh.judgeProposal(in, b) {
	case gossip.Accept:
		if signed, err := b.Signed(); err == nil {
			g.s.n.mesh.witness(b.BlockHeader, b.Hash(), signed)
		}
		in.proposal(a.from, b)
	case gossip.Reject:
		g.s.n.host.Penalise(a.from, p2p.InvalidMessage)
	case gossip.Ignore:
	}
}

func (g *shredGroup) takeBatch(a arrival) {
	b, err := types.DecodeBatch(a.payload)
	if err != nil || b.Epoch != g.epoch || uint64(b.Height) != a.slot || g.s.n.lanes == nil {
		g.s.n.host.Penalise(a.from, p2p.InvalidMessage)
		return
	}
	g.s.n.lanes.receiveBatch(a.from, b)
}

// faulted makes a liar pay: in score, and with a proof in stake.
func (g *shredGroup) faulted(f turbine.Fault) {
	if int(f.Member) >= len(g.seat.peers) || f.Member == turbine.Index(*g.seat.self) {
		return
	}
	culprit := types.ValidatorIndex(f.Member)
	g.log.Debug("rule of shreds broken", "validator", g.s.n.epochs.name(g.epoch, culprit), "reason", f.Reason)
	if f.Equivocation != nil {
		g.s.n.evidence.accuse(consensus.EvidenceOfSets(g.epoch, culprit, f.Equivocation))
	}
	g.s.n.host.Penalise(g.seat.peers[culprit], p2p.InvalidMessage)
}
