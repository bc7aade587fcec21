package lab

import (
	"context"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Method is a way to spread one payload. Join is called once for each node of
// a run, inside the bubble, in the order of the nodes.
type Method interface {
	Name() string
	// Hops is how many hops a message takes at least until the last of so many nodes has it.
	Hops(nodes int) int
	Join(ctx context.Context, seat Seat) (Member, error)
}

// Seat is a node's place in a run. The host's key is Ed25519 and found in its
// peerstore, as are the addresses of all peers.
type Seat struct {
	Host      host.Host
	Peers     []peer.ID // all nodes in an order that all share, this one too
	Publisher peer.ID   // the node that will publish
	// Neighbours are the nodes to dial in methods that form a mesh: a connected
	// random graph drawn from the seed.
	Neighbours []peer.ID
	Size       int // of the payload, in bytes
	Rate       int // of the node's own uplink that it may fill, bytes a second; 0 if it does not know
	Fragment   int // size to cut payloads into, in bytes, for methods that do
	// Got is to be called with the whole payload once, by nodes other than the
	// publisher. It is safe for concurrent use and keeps no reference.
	Got func(block []byte)
}

// Member is a node that takes part.
type Member interface {
	// Publish starts spreading block; it may return before others have it.
	// ctx ends with the run.
	Publish(ctx context.Context, block []byte) error
	// Counters may be called at any time, also concurrently.
	Counters() Counters
	// Close ends every goroutine that Join and Publish began.
	Close() error
}

// Counters are what a member saw itself.
type Counters struct {
	Duplicates uint64 // messages received again
	Repairs    uint64 // messages asked for, or sent, again
}

// methods are all there are, in the order of their names.
func methods() []Method {
	return []Method{gossip{name: "gossipsub"}, gossip{name: "gossipsub-fragments", fragments: true}, turbineMethod{}, unicast{}}
}

// Methods lists the names of all methods, sorted.
func Methods() []string {
	var names []string
	for _, m := range methods() {
		names = append(names, m.Name())
	}
	return names
}

func methodOf(name string) (Method, error) {
	for _, m := range methods() {
		if m.Name() == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("unknown method %q; there are %s", name, strings.Join(Methods(), ", "))
}
