package node

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	deafCheck    = time.Second
	deafPatience = 3                // checks in a row
	deafAgain    = 10 * time.Second // between two reconnections to one peer
)

// watchDeafness reconnects to nodes that are connected and yet out of gossip's
// reach. After a peer's connection was replaced a few times within minutes, as
// happens while it restarts again and again, pubsub (seen in v0.17.0) gives up
// opening a stream to it and says nothing: what is published no longer reaches the
// peer, until the connection itself is made anew.
func (m *mesh) watchDeafness(ctx context.Context) error {
	tick := time.NewTicker(deafCheck)
	defer tick.Stop()
	missed := map[peer.ID]int{}
	closed := map[peer.ID]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		heard := m.txs.Peers()
		connected := m.host.Network().Peers()
		for id := range missed {
			if !slices.Contains(connected, id) {
				delete(missed, id)
			}
		}
		for _, id := range connected {
			if slices.Contains(heard, id) || !m.speaks(id) {
				delete(missed, id)
				continue
			}
			missed[id]++
			if missed[id] < deafPatience || time.Since(closed[id]) < deafAgain {
				continue
			}
			m.log.Debug("peer is out of gossip's reach, reconnecting", "peer", id.String())
			delete(missed, id)
			closed[id] = time.Now()
			_ = m.host.Network().ClosePeer(id) // discovery connects again
		}
		for id, at := range closed {
			if time.Since(at) > deafAgain {
				delete(closed, id)
			}
		}
	}
}

// speaks reports whether a peer is a node of this network.
func (m *mesh) speaks(id peer.ID) bool {
	ok, err := m.host.Peerstore().SupportsProtocols(id, m.blocks.ID)
	return err == nil && len(ok) > 0
}
