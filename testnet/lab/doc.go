// Package lab measures how one payload spreads from one node to all others by
// several methods, on the real stack over emulated links.
//
// Hosts are real go-libp2p hosts that speak QUIC, with real cryptography; only
// the links between them are emulated (rate of each node's up- and downlink,
// latency, jitter, random loss, nodes that go away), by simnet. Time is
// virtual, so that a slow or busy machine does not change a link.
//
// Look at [Run] first. A way to spread a payload is a [Method], made known by
// [Register]. The package must never import chain or node.
package lab
