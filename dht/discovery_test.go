package dht

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

// discover runs discovery on a host until the test ends.
func discover(tb testing.TB, h *p2p.Host, cfg Config) *Discovery {
	tb.Helper()
	if cfg.Network == "" {
		cfg.Network = "test"
	}
	d, err := New(h, cfg, slog.New(slog.DiscardHandler))
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return d.Run(ctx) })
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, g.Wait())
		require.NoError(tb, d.Close())
	})
	return d
}

func hosts(tb testing.TB, n int) (out []*p2p.Host, ids []peer.ID) {
	tb.Helper()
	for range n {
		h := p2ptest.New(tb)
		out, ids = append(out, h), append(ids, h.ID())
	}
	return out, ids
}

func all(ids []peer.ID) func() []peer.ID { return func() []peer.ID { return ids } }

func connected(a, b *p2p.Host) bool {
	return a == b || a.Network().Connectedness(b.ID()) == network.Connected
}

func eventually(tb testing.TB, condition func() bool) {
	tb.Helper()
	require.Eventually(tb, condition, 20*time.Second, 5*time.Millisecond)
}

func allConnected(hs []*p2p.Host) bool {
	for _, a := range hs {
		for _, b := range hs {
			if !connected(a, b) {
				return false
			}
		}
	}
	return true
}

func TestWhoKnowsOneAddressFindsTheRest(t *testing.T) {
	hs, ids := hosts(t, 8)
	start := time.Now()
	for i, h := range hs {
		cfg := Config{MinPeers: 2, Wanted: all(ids)}
		if i > 0 {
			cfg.Bootstrap = hs[i-1].FullAddrs()[:1] // a line: each knows only the one before
		}
		discover(t, h, cfg)
	}
	eventually(t, func() bool { return allConnected(hs) })
	t.Logf("%d nodes in a line found each other in %s", len(hs), time.Since(start))
}

// silent is the address of somebody who takes connections and never says a word,
// as a machine does that hangs.
func silent(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, l.Close()) })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(tb, err)
	return "/ip4/127.0.0.1/tcp/" + port
}

func TestPeersThatHangDoNotHoldUpOthers(t *testing.T) {
	hs, ids := hosts(t, 4)
	_, strangers := hosts(t, 3)
	where := ma.StringCast(silent(t))
	for _, id := range strangers {
		hs[1].Peerstore().AddAddr(id, where, time.Hour)
	}
	wanted := all(append(strangers, ids...))
	for i, h := range hs {
		cfg := Config{MinPeers: 2, Wanted: wanted}
		if i > 0 {
			cfg.Bootstrap = hs[i-1].FullAddrs()[:1]
		}
		discover(t, h, cfg)
	}
	eventually(t, func() bool { return allConnected(hs) })
	for _, id := range strangers {
		require.NotEmpty(t, hs[1].Peerstore().Addrs(id), "not given up yet: that would have forgotten the address")
	}
}

func TestLostPeerIsFoundAgainAtItsNewAddress(t *testing.T) {
	hs, _ := hosts(t, 2)
	cfg := p2ptest.Config(t)
	moved, err := peer.IDFromPrivateKey(cfg.Identity)
	require.NoError(t, err)
	wanted := all([]peer.ID{moved})
	discover(t, hs[0], Config{})
	discover(t, hs[1], Config{Bootstrap: hs[0].FullAddrs()[:1], MinPeers: 1, Wanted: wanted})

	begin := func() (*p2p.Host, func()) {
		h, err := p2p.New(cfg, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		d, err := New(h, Config{Network: "test", Bootstrap: hs[0].FullAddrs()[:1], MinPeers: 1}, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var g errgroup.Group
		g.Go(func() error { return d.Run(ctx) })
		return h, func() {
			cancel()
			require.NoError(t, g.Wait())
			require.NoError(t, d.Close())
			require.NoError(t, h.Close())
		}
	}
	for range 2 { // each time at another port
		h, end := begin()
		eventually(t, func() bool { return connected(hs[1], h) })
		end()
		eventually(t, func() bool { return !connected(hs[1], h) })
	}
}

func TestLonelyNodeMeetsOthersThanItsBootstrapNode(t *testing.T) {
	hs, _ := hosts(t, 6)
	for _, h := range hs[1:] {
		discover(t, h, Config{Bootstrap: hs[0].FullAddrs()[:1], MinPeers: 1})
	}
	discover(t, hs[0], Config{})
	eventually(t, func() bool { return len(hs[0].Peers()) == 5 })
	last := p2ptest.New(t)
	discover(t, last, Config{Bootstrap: hs[0].FullAddrs()[:1], MinPeers: 4})
	eventually(t, func() bool { return len(last.Peers()) >= 4 })
}

func TestFindPeerConnects(t *testing.T) {
	hs, _ := hosts(t, 3)
	middle := discover(t, hs[1], Config{})
	first := discover(t, hs[0], Config{Bootstrap: hs[1].FullAddrs()[:1], MinPeers: 1})
	discover(t, hs[2], Config{Bootstrap: hs[1].FullAddrs()[:1], MinPeers: 1})
	eventually(t, func() bool { return middle.Known() == 2 && first.Known() >= 1 })
	require.NoError(t, first.FindPeer(t.Context(), hs[2].ID()))
	require.True(t, connected(hs[0], hs[2]))
	_, strangers := hosts(t, 1)
	require.Error(t, first.FindPeer(t.Context(), strangers[0]))
}

func TestNetworksDoNotKnowEachOther(t *testing.T) {
	hs, ids := hosts(t, 4)
	for i, h := range hs {
		cfg := Config{Network: []string{"one", "two"}[i%2], MinPeers: 1}
		if i > 0 {
			cfg.Bootstrap = hs[0].FullAddrs()[:1]
		}
		discover(t, h, cfg)
	}
	eventually(t, func() bool { return connected(hs[0], hs[1]) && connected(hs[0], hs[2]) })
	d := discover(t, p2ptest.New(t), Config{Network: "two", Bootstrap: hs[1].FullAddrs()[:1], MinPeers: 1})
	eventually(t, func() bool { return d.Known() == 1 })
	require.Equal(t, ids[1], d.kad.RoutingTable().ListPeers()[0])
}

func TestBannedPeersAreNotLookedFor(t *testing.T) {
	hs, ids := hosts(t, 2)
	d := discover(t, hs[0], Config{Wanted: all(ids)})
	hs[0].Penalise(ids[1], p2p.BadBlock)
	require.False(t, d.lacks(ids[1]))
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	err := Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/1", "nonsense"}}.Validate()
	for _, want := range []string{"no name", "/ip4/127.0.0.1/tcp/1", "nonsense"} {
		require.ErrorContains(t, err, want)
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	var b backoff
	now := time.Now()
	require.True(t, b.due(now))
	for range 50 {
		b.failed(now, maxBackoff)
		require.False(t, b.due(now))
		require.True(t, b.due(now.Add(maxBackoff*3/2)))
	}
	require.Equal(t, maxBackoff, b.delay)
	b.soon(now)
	require.False(t, b.next.After(now.Add(maxHurry)))
}
