package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/node/config"
)

func TestAlmostFullDiskIsAClearError(t *testing.T) {
	real := freeSpace
	defer func() { freeSpace = real }()
	n := &Node{cfg: config.Config{Home: t.TempDir()}}
	require.NoError(t, n.checkDisk(), "this machine has room")
	freeSpace = func(string) (uint64, error) { return minFree - 1, nil }
	require.ErrorIs(t, n.checkDisk(), ErrDiskFull)
	require.ErrorContains(t, n.checkDisk(), "make room")
	freeSpace = func(string) (uint64, error) { return 0, errors.New("no such device") }
	require.ErrorContains(t, n.checkDisk(), "no such device")
}

func TestHaltStopsTheEngineOnceAndKeepsTheFirstReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := &Node{log: slog.New(slog.DiscardHandler), stopEngine: cancel}
	require.NoError(t, n.Halted())
	n.halt(ErrDiskFull)
	n.halt(errors.New("another"))
	require.ErrorIs(t, n.Halted(), ErrDiskFull)
	require.Error(t, ctx.Err())
}
