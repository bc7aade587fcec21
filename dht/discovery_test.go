package dht

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/net/p2p"
)

func newHost(t *testing.T) *p2p.Host {
	cfg := p2p.Loopback()
	var err error
	cfg.Identity, _, err = crypto.GenerateEd25519Key(rand.Reader)
	require.NoError(t, err)
	h, err := p2p.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return h
}

func TestWhoKnowsOneAddressFindsTheRest(t *testing.T) {
	const nodes = 8
	hosts := make([]*p2p.Host, nodes)
	var ids []peer.ID
	for i := range hosts {
		hosts[i] = newHost(t)
		ids = append(ids, hosts[i].ID())
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g errgroup.Group
	var all []*Discovery
	for i, h := range hosts {
		cfg := Config{Network: "test", MinPeers: 2, Wanted: func() []peer.ID { return ids }}
		if i > 0 {
			cfg.Bootstrap = hosts[i-1].FullAddrs()[:1] // a line: each knows only the one before
		}
		d, err := New(h, cfg, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		all = append(all, d)
		g.Go(func() error { return d.Run(ctx) })
	}
	start := time.Now()
	require.Eventually(t, func() bool {
		for _, h := range hosts {
			for _, id := range ids {
				if id != h.ID() && h.Network().Connectedness(id) != network.Connected {
					return false
				}
			}
		}
		return true
	}, 20*time.Second, 10*time.Millisecond)
	t.Logf("%d nodes in a line found each other in %s", nodes, time.Since(start))
	cancel()
	require.NoError(t, g.Wait())
	for i, d := range all {
		require.NoError(t, d.Close())
		require.NoError(t, hosts[i].Close())
	}
}

func TestBootstrapAddressMustNameThePeer(t *testing.T) {
	err := Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/1", "nonsense"}}.Validate()
	require.ErrorContains(t, err, "/ip4/127.0.0.1/tcp/1")
	require.ErrorContains(t, err, "nonsense")
}
