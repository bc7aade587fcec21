package p2p_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

func TestHostsConnectOverEachTransport(t *testing.T) {
	for name, listen := range map[string]string{
		"quic": "/ip4/127.0.0.1/udp/0/quic-v1", "tcp": "/ip4/127.0.0.1/tcp/0", "websocket": "/ip4/127.0.0.1/tcp/0/ws",
	} {
		t.Run(name, func(t *testing.T) {
			a, b := p2ptest.New(t, listen), p2ptest.New(t, listen)
			p2ptest.Connect(t, a, b)
			require.Len(t, a.Peers(), 1)
			there, here := a.Peers()[0], b.Peers()[0]
			require.Equal(t, b.ID(), there.ID)
			require.False(t, there.Inbound)
			require.True(t, here.Inbound)
			require.True(t, strings.HasSuffix(there.Addr.String(), listen[strings.LastIndex(listen, "/"):]) || name == "tcp", there.Addr)
			require.Positive(t, a.Ping(t.Context(), b.ID()))
			require.Positive(t, a.Peers()[0].Latency)
			require.Eventually(t, func() bool { return a.Peers()[0].Agent == "starling" }, 5*time.Second, time.Millisecond)
		})
	}
}

func TestLoopbackPrefersTCP(t *testing.T) {
	a, b := p2ptest.New(t), p2ptest.New(t)
	info := b.Peerstore().PeerInfo(b.ID())
	info.Addrs = b.Addrs()
	require.NoError(t, a.Connect(t.Context(), info))
	require.Contains(t, a.Peers()[0].Addr.String(), "/tcp/")
}

func TestPortInUseNamesTheKeyAndTheAddress(t *testing.T) {
	for _, listen := range []string{"/ip4/127.0.0.1/udp/%s/quic-v1", "/ip4/127.0.0.1/tcp/%s", "/ip4/127.0.0.1/tcp/%s/ws"} {
		t.Run(listen, func(t *testing.T) {
			first := p2ptest.New(t, strings.Replace(listen, "%s", "0", 1))
			port := strings.Split(first.FullAddrs()[0], "/")[4]
			cfg := p2ptest.Config(t)
			// One address is free: libp2p alone would be content with it.
			cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0", strings.Replace(listen, "%s", port, 1)}
			_, err := p2p.New(cfg, slog.New(slog.DiscardHandler))
			require.ErrorIs(t, err, p2p.ErrListen)
			require.ErrorContains(t, err, "p2p.listen "+cfg.Listen[1])
			require.ErrorContains(t, err, "set another port")
		})
	}
}

func TestAddressOfAnotherMachineIsRefused(t *testing.T) {
	cfg := p2ptest.Config(t)
	cfg.Listen = append(cfg.Listen, "/ip4/203.0.113.1/tcp/0")
	_, err := p2p.New(cfg, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, err, p2p.ErrListen)
	require.ErrorContains(t, err, "/ip4/203.0.113.1/tcp/0")
}

func TestPortIsFreeAfterClose(t *testing.T) {
	h, err := p2p.New(p2ptest.Config(t), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	port := strings.Split(h.FullAddrs()[0], "/")[4]
	require.NoError(t, h.Close())
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestBannedPeerIsCutOffAndKeptOut(t *testing.T) {
	a, b := p2ptest.New(t), p2ptest.New(t)
	p2ptest.Connect(t, a, b)
	changes := a.Changes()
	a.Penalise(b.ID(), p2p.BadBlock)
	require.True(t, a.Banned(b.ID()))
	require.EqualValues(t, 1, a.Bans())
	require.EqualValues(t, 1, a.Offences(p2p.BadBlock))
	gone := <-changes
	require.Equal(t, b.ID(), gone.ID)
	require.False(t, gone.Connected)

	require.Error(t, a.Dial(t.Context(), b.FullAddrs()[0]))
	_ = b.Dial(t.Context(), a.FullAddrs()[0]) // may think for a moment that it is in
	require.Eventually(t, func() bool {
		return b.Network().Connectedness(a.ID()) == network.NotConnected
	}, 5*time.Second, time.Millisecond)
	require.Empty(t, a.Peers())
}

func TestNobodyPenalisesItself(t *testing.T) {
	a := p2ptest.New(t)
	a.Penalise(a.ID(), p2p.BadBlock)
	require.False(t, a.Banned(a.ID()))
}

func TestManyHostsOfOneAddressConnect(t *testing.T) {
	center := p2ptest.New(t)
	for range 24 { // libp2p alone allows eight of one address
		p2ptest.Connect(t, p2ptest.New(t, "/ip4/127.0.0.1/tcp/0"), center)
	}
	require.Len(t, center.Peers(), 24)
}

func TestWhoOnlyDialsNeedsNoAddress(t *testing.T) {
	cfg := p2ptest.Config(t)
	cfg.Listen = nil
	a := p2ptest.Start(t, cfg)
	p2ptest.Connect(t, a, p2ptest.New(t))
	require.Empty(t, a.FullAddrs())
}

func TestPublicHostStartsWithAllOfNAT(t *testing.T) {
	cfg := p2ptest.Config(t)
	cfg.NAT = true
	p2ptest.Connect(t, p2ptest.New(t), p2ptest.Start(t, cfg))
}
