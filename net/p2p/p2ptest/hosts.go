// Package p2ptest makes hosts on loopback for tests. Look at [New].
package p2ptest

import (
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/net/p2p"
)

// Config is a loopback configuration with a fresh identity.
func Config(tb testing.TB) p2p.Config {
	tb.Helper()
	cfg := p2p.Loopback()
	var err error
	cfg.Identity, _, err = crypto.GenerateEd25519Key(rand.Reader)
	require.NoError(tb, err)
	return cfg
}

// New starts a host that is closed when the test ends. It listens on the given
// addresses, or on those of [p2p.Loopback].
func New(tb testing.TB, listen ...string) *p2p.Host {
	tb.Helper()
	cfg := Config(tb)
	if len(listen) > 0 {
		cfg.Listen = listen
	}
	return Start(tb, cfg)
}

// Start starts a host that is closed when the test ends.
func Start(tb testing.TB, cfg p2p.Config) *p2p.Host {
	tb.Helper()
	h, err := p2p.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, h.Close()) })
	return h
}

// Connect connects a to b and waits until both know.
func Connect(tb testing.TB, a, b *p2p.Host) {
	tb.Helper()
	require.NoError(tb, a.Dial(tb.Context(), b.FullAddrs()[0]))
	require.Eventually(tb, func() bool {
		return b.Network().Connectedness(a.ID()) == network.Connected
	}, 5*time.Second, time.Millisecond)
}

// Hosts starts n hosts that do not know each other.
func Hosts(tb testing.TB, n int, listen ...string) []*p2p.Host {
	tb.Helper()
	hosts := make([]*p2p.Host, n)
	for i := range hosts {
		hosts[i] = New(tb, listen...)
	}
	return hosts
}

// ConnectAll connects all with all.
func ConnectAll(tb testing.TB, hosts []*p2p.Host) {
	tb.Helper()
	for i, h := range hosts {
		for _, other := range hosts[:i] {
			Connect(tb, h, other)
		}
	}
}

// Mesh starts n hosts and connects all with all.
func Mesh(tb testing.TB, n int, listen ...string) []*p2p.Host {
	tb.Helper()
	hosts := Hosts(tb, n, listen...)
	ConnectAll(tb, hosts)
	return hosts
}

// Leaks lists the goroutines of libraries that outlive a host.
func Leaks() []goleak.Option {
	return []goleak.Option{
		// The search for a router with UPnP ends by itself, five seconds after its host.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/net/nat/internal/nat.discoverNATs.func1"),
	}
}
