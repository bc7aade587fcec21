package lab

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/net/dgram"
	"github.com/starlingmesh/starling/turbine"
	"github.com/starlingmesh/starling/turbine/driver"
)

// turbineMethod spreads the payload by trees of relays, as nodes do, with the members
// connected to each other.
type turbineMethod struct{}

// Name implements [Method].
func (turbineMethod) Name() string { return "turbine" }

// Hops implements [Method]: to the root of a shred's tree, and down.
func (turbineMethod) Hops(nodes int) int { return turbine.Depth(nodes, turbine.DefaultFanout) }

const (
	packetProtocol = "/starling/lab/packets/1"
	labChannel     = 1
	labPort        = 1
	// expectedLoss is what turbine prepares for when nothing was measured yet: a relay
	// in ten gone, and some loss on two hops.
	expectedLoss = 0.12
)

// Join implements [Method].
func (turbineMethod) Join(ctx context.Context, s Seat) (Member, error) {
	group, err := driver.GroupOf(s.Peers, nil)
	if err != nil {
		return nil, err
	}
	key := s.Host.Peerstore().PrivKey(s.Host.ID())
	m := &turbineMember{ctx: ctx}
	m.packets = dgram.New(s.Host, packetProtocol, dgram.Config{Rate: s.Rate}, slog.New(slog.DiscardHandler))
	port := m.packets.Port(labPort)
	m.driver = driver.New(driver.Config{
		Core: turbine.Config{
			Chain: hash.Sum("starling/lab"), Group: group, Self: turbine.Index(slices.Index(s.Peers, s.Host.ID())), Codes: fec.NewCodes(),
		},
		Peers: s.Peers, Packets: port, Sign: key.Sign, Compress: fec.S2, Loss: expectedLoss, MaxPayload: s.Size,
		OnPayload: func(_ fec.Stream, payload []byte, _ turbine.Receipt) { s.Got(payload) },
		Logger:    slog.New(slog.DiscardHandler),
	})
	port.Handle(m.driver.Receive)
	work, cancel := context.WithCancel(ctx)
	m.cancel = cancel
	m.work.Go(func() { m.keep(m.packets.Run(work)) })
	m.work.Go(func() { m.keep(m.driver.Run(work)) })
	return m, connect(ctx, s.Host, s.Peers[:slices.Index(s.Peers, s.Host.ID())])
}

type turbineMember struct {
	ctx     context.Context
	packets *dgram.Service
	driver  *driver.Driver
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu  sync.Mutex
	err error
}

// keep remembers why something ended.
func (m *turbineMember) keep(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = errors.Join(m.err, err)
}

// Publish implements [Member].
func (m *turbineMember) Publish(ctx context.Context, block []byte) error {
	m.work.Go(func() {
		if err := m.driver.Publish(ctx, labChannel, 1, block); err != nil && ctx.Err() == nil {
			m.keep(err)
		}
	})
	return nil
}

// Counters implements [Member].
func (m *turbineMember) Counters() Counters {
	c := m.driver.Counts()
	return Counters{Duplicates: c.Duplicates, Repairs: c.Repaired}
}

// Close implements [Member].
func (m *turbineMember) Close() error {
	m.cancel()
	m.work.Wait()
	return m.err
}
