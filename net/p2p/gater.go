package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater keeps the banned out. It is safe for concurrent use.
type gater struct {
	mu     sync.Mutex
	scores *Scores
}

func (g *gater) penalise(id peer.ID, o Offence) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.scores.Penalise(time.Now(), id, o)
}

func (g *gater) banned(id peer.ID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.scores.Banned(time.Now(), id)
}

func (g *gater) score(id peer.ID) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.scores.Score(time.Now(), id)
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gater) InterceptPeerDial(id peer.ID) bool { return !g.banned(id) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

// InterceptAccept implements connmgr.ConnectionGater: who calls is not known yet.
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gater) InterceptSecured(_ network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.banned(id)
}

// InterceptUpgraded implements connmgr.ConnectionGater.
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
