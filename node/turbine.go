package node

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/protocol"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/net/dgram"
	"github.com/starlingmesh/starling/turbine"
	"github.com/starlingmesh/starling/turbine/parcel"
)

// The channels of a group's payloads. A proposal's slot is its view, a batch's its
// height in the lane.
const (
	proposalChannel fec.Channel = 1
	batchChannel    fec.Channel = 2
)

const (
	// groupPorts is how many ports the groups of epochs take turns on.
	groupPorts = 128
	parcelPort = 255
	// uplinkShare is how much of a known uplink shreds may take: votes need some too.
	uplinkShare = 0.95
)

// spreading sends and receives large proposals and batches by Turbine. The validators of
// an epoch are a group; nodes without a seat fetch what they hear announced.
type spreading struct {
	n        *Node
	packets  *dgram.Service
	parcels  *parcel.Channel // large answers over lossy paths
	codes    *fec.Codes
	receipts receipts
	ctx      context.Context // of groups and of what they send
	cancel   context.CancelFunc
	work     sync.WaitGroup

	mu     sync.Mutex
	groups map[types.Epoch]*shredGroup
	past   turbine.Counts // of groups that are closed
	in     received
	// batched is up to which height own batches have been sent or signed, by epoch.
	batched map[types.Epoch]types.LaneHeight
}

func newSpreading(n *Node, identity crypto.PrivKey) (*spreading, error) {
	s := &spreading{n: n, codes: fec.NewCodes(), groups: map[types.Epoch]*shredGroup{}, batched: map[types.Epoch]types.LaneHeight{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	rate := int(float64(n.cfg.Turbine.Uplink) * 1e6 / 8 * uplinkShare)
	s.packets = dgram.New(n.host, protocol.ID("/starling/"+n.networkName()+"/packets/1"), dgram.Config{Rate: rate}, n.log.With("component", "packets"))
	port := s.packets.Port(parcelPort)
	var err error
	if s.parcels, err = parcel.New(parcel.Config{
		Identity: identity, Network: n.networkName(), Packets: port, MaxPayload: maxAnswer(n.genesis.Params), Logger: n.log.With("component", "parcels"),
	}); err != nil {
		return nil, err
	}
	port.Handle(s.parcels.Receive)
	return s, nil
}

// run carries packets until ctx ends.
func (s *spreading) run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { return s.packets.Run(ctx) })
	g.Go(func() error { return s.parcels.Run(ctx) })
	return g.Wait()
}

// join says what becomes of what comes in.
func (s *spreading) join(in received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in = in
}

func (s *spreading) handlers() received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in
}

// start runs f in a goroutine that close waits for, unless that was called.
func (s *spreading) start(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() == nil {
		s.work.Go(f)
	}
}

// enter opens an epoch's group, if this node has a seat in it, and closes those of epochs
// that are over. view is where the epoch stands.
func (s *spreading) enter(epoch types.Epoch, view types.View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, g := range s.groups {
		if old+1 < epoch {
			s.past = add(s.past, g.close())
			delete(s.groups, old)
			delete(s.batched, old)
		}
	}
	if s.groups[epoch] != nil {
		s.groups[epoch].reached(view)
		return
	}
	seat, err := s.n.epochs.at(epoch)
	if err != nil || seat.self == nil || len(seat.peers) < 2 || s.ctx.Err() != nil {
		return
	}
	g, err := openGroup(s, epoch, seat)
	if err != nil {
		s.n.log.Error("large blocks will be fetched, not received", "epoch", uint64(epoch), "error", err)
		return
	}
	g.reached(view)
	s.groups[epoch] = g
}

func (s *spreading) group(epoch types.Epoch) *shredGroup {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[epoch]
}

// reached notes the present view: proposals of views around it are taken.
func (s *spreading) reached(epoch types.Epoch, view types.View) {
	if g := s.group(epoch); g != nil {
		g.reached(view)
	}
}

// sawHeight notes a height of a lane that was heard of.
func (s *spreading) sawHeight(epoch types.Epoch, h types.LaneHeight) {
	if g := s.group(epoch); g != nil {
		g.sawHeight(h)
	}
}

// large reports whether something of a size goes by Turbine.
func (s *spreading) large(size int) bool { return int64(size) >= s.n.cfg.Turbine.MinBytes }

// proposal sends an own proposal on its way if it is large. A validator alone has nobody to
// send it to, and what fits is gossiped to those who follow.
func (s *spreading) proposal(b *types.Block) bool {
	g := s.group(b.Epoch)
	if !s.large(len(b.Raw())) || g == nil && len(b.Raw()) <= maxGossip {
		return false
	}
	if g != nil {
		g.publish(proposalChannel, uint64(b.View), b.Raw())
	}
	return true
}

// batch sends an own batch on its way if it is large and was not sent before: a statement
// about its shreds must not be made twice, with a parity that has changed meanwhile.
func (s *spreading) batch(b *types.Batch) bool {
	g := s.group(b.Epoch)
	if g == nil || !s.large(len(b.Raw())) || !s.first(b.Epoch, b.Height) {
		return false
	}
	g.publish(batchChannel, uint64(b.Height), b.Raw())
	return true
}

// first notes a height and reports whether it is above all before.
func (s *spreading) first(epoch types.Epoch, h types.LaneHeight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h <= s.batched[epoch] {
		return false
	}
	s.batched[epoch] = h
	return true
}

// heard makes ready for a proposal that was announced: a validator asks for its shreds if
// they do not come, and others fetch its parent, which a quorum holds by now.
func (s *spreading) heard(h types.BlockHeader) {
	g := s.group(h.Epoch)
	if g != nil {
		g.expect(proposalChannel, h.Proposer, uint64(h.View))
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, checkPatience)
	defer cancel()
	if h.Height >= 2 && len(s.n.engine.Undecided(ctx, h.Justify.Block)) == 0 {
		s.n.mesh.fetch(h.Justify.Block, h.Height-2)
	}
}

// counts sums up what all groups did.
func (s *spreading) counts() turbine.Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.past
	for _, g := range s.groups {
		sum = add(sum, g.driver.Counts())
	}
	return sum
}

func add(a, b turbine.Counts) turbine.Counts {
	return turbine.Counts{
		Shreds: a.Shreds + b.Shreds, Duplicates: a.Duplicates + b.Duplicates, Repaired: a.Repaired + b.Repaired, Recovered: a.Recovered + b.Recovered,
		Relayed: a.Relayed + b.Relayed, Asked: a.Asked + b.Asked, Served: a.Served + b.Served, Dropped: a.Dropped + b.Dropped, Refused: a.Refused + b.Refused,
	}
}

// close ends all groups and waits for them.
func (s *spreading) close() {
	s.mu.Lock()
	s.cancel()
	for _, g := range s.groups {
		s.past = add(s.past, g.close())
	}
	clear(s.groups)
	s.mu.Unlock()
	s.work.Wait()
}

// spreadTimeout is how long a payload may take to leave.
const spreadTimeout = time.Minute
