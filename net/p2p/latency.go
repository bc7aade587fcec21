package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"golang.org/x/sync/errgroup"
)

const (
	pingInterval = 15 * time.Second
	pingTimeout  = 5 * time.Second
	pings        = 8 // at a time
)

// measure pings all peers from time to time until ctx ends. The peer store
// averages what it finds.
func (h *Host) measure(ctx context.Context) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.pingAll(ctx)
		}
	}
}

func (h *Host) pingAll(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(pings)
	for _, id := range h.Network().Peers() {
		g.Go(func() error { h.Ping(ctx, id); return nil })
	}
	_ = g.Wait()
}

// Ping measures the round trip to a peer; 0 if it does not answer within five
// seconds. [Host.Peers] reports the average.
func (h *Host) Ping(ctx context.Context, id peer.ID) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	select {
	case r := <-ping.Ping(ctx, h.Host, id):
		if r.Error != nil {
			return 0
		}
		return r.RTT
	case <-ctx.Done():
		return 0
	}
}
