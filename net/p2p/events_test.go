package p2p

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSlowReaderIsToldWhatItMissed(t *testing.T) {
	h := &Host{}
	slow := h.Changes()
	for i := range changesBuffer + 5 {
		h.tell(PeerChange{Connections: i})
	}
	for i := range changesBuffer {
		require.Equal(t, PeerChange{Connections: i}, <-slow)
	}
	h.tell(PeerChange{Connections: 99})
	require.Equal(t, PeerChange{Connections: 99, Missed: 5}, <-slow)
	h.tell(PeerChange{Connections: 100})
	require.Zero(t, (<-slow).Missed)
	h.StopChanges(slow)
	require.Empty(t, h.subs)
}
