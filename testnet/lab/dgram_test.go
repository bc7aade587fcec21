package lab

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/net/dgram"
)

// Path by path packets take what suits the link: streams where it is near and clean,
// datagrams where it is far or loses packets.
func TestPacketsTakeWhatSuitsTheLink(t *testing.T) {
	for name, c := range map[string]struct {
		rtt  time.Duration
		loss float64
		want dgram.Mode
	}{
		"near and clean": {time.Millisecond, 0, dgram.Streams},
		"near and lossy": {time.Millisecond, 0.03, dgram.Datagrams},
		"far and clean":  {50 * time.Millisecond, 0, dgram.Datagrams},
	} {
		t.Run(name, func(t *testing.T) {
			o := Defaults()
			o.Nodes, o.RTT, o.Loss = 2, c.rtt, c.loss
			var stats dgram.PathStats
			var came atomic.Int64
			const packets = 4000
			require.NoError(t, inBubble(t.Context(), func(ctx context.Context) error {
				var err error
				stats, err = sendPackets(ctx, o, packets, &came)
				return err
			}))
			require.Equal(t, c.want, stats.Mode)
			require.InDelta(t, packets*(1-c.loss), came.Load(), packets/20)
		})
	}
}

// sendPackets has one node send to the other at a moderate pace.
func sendPackets(ctx context.Context, o Options, packets int, came *atomic.Int64) (dgram.PathStats, error) {
	f := newFabric(o, delays(o))
	f.net.Start()
	defer f.net.Close()
	var hosts []host.Host
	var services []*dgram.Service
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		running.Wait()
		for _, h := range hosts {
			_ = h.Close()
		}
	}()
	for i := range 2 {
		h, err := newHost(f, o.Seed, i)
		if err != nil {
			return dgram.PathStats{}, err
		}
		s := dgram.New(h, packetProtocol, dgram.Config{}, slog.New(slog.DiscardHandler))
		running.Go(func() { _ = s.Run(ctx) })
		hosts, services = append(hosts, h), append(services, s)
	}
	services[1].Port(1).Handle(func(peer.ID, []byte) { came.Add(1) })
	if err := hosts[0].Connect(ctx, peer.AddrInfo{ID: hosts[1].ID(), Addrs: hosts[1].Addrs()}); err != nil {
		return dgram.PathStats{}, err
	}
	port := services[0].Port(1)
	for range packets {
		if err := errors.Join(port.Send(ctx, hosts[1].ID(), make([]byte, 1200), false), sleep(ctx, time.Millisecond)); err != nil {
			return dgram.PathStats{}, err
		}
	}
	err := sleep(ctx, 5*time.Second) // what is on its way arrives, or never
	paths := services[0].Paths()
	if len(paths) != 1 {
		return dgram.PathStats{}, errors.Join(err, errors.New("no path"))
	}
	return paths[0], err
}
