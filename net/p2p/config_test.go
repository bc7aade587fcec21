package p2p_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/net/p2p/p2ptest"
)

func TestAllFaultsAreReportedAtOnce(t *testing.T) {
	err := p2p.Config{
		Listen:   []string{"nonsense", "/ip4/127.0.0.1/udp/1/webrtc-direct"},
		Announce: []string{"localhost:80"}, Low: 9, High: 3, BanTime: 48 * time.Hour,
	}.Validate()
	for _, want := range []string{"identity", `p2p.listen: "nonsense"`, "webrtc-direct", "p2p.announce", "9 and 3", "ban time 48h"} {
		require.ErrorContains(t, err, want)
	}
}

func TestPresetsAreValid(t *testing.T) {
	cfg := p2ptest.Config(t)
	require.NoError(t, cfg.Validate())
	public := p2p.Default()
	public.Identity = cfg.Identity
	require.NoError(t, public.Validate())
}

func TestIdentityIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "identity")
	key, err := p2p.LoadOrCreateIdentity(path)
	require.NoError(t, err)
	again, err := p2p.LoadOrCreateIdentity(path)
	require.NoError(t, err)
	require.True(t, key.Equals(again))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAnyFlippedBitOfTheIdentityIsDetected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity")
	_, err := p2p.LoadOrCreateIdentity(path)
	require.NoError(t, err)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for bit := range 8 * len(good) {
		bad := append([]byte{}, good...)
		bad[bit/8] ^= 1 << (bit % 8)
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, err := p2p.LoadOrCreateIdentity(path)
		require.ErrorIs(t, err, p2p.ErrIdentity, "bit %d", bit)
	}
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = p2p.LoadOrCreateIdentity(path)
	require.ErrorIs(t, err, p2p.ErrIdentity)
	require.ErrorContains(t, err, path)
}
