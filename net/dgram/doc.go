// Package dgram carries small packets between connected peers without promising that they
// arrive: for shreds, of which any half will do. Look at [Service].
//
// Path by path it picks how. On a clean path to a near peer packets travel on one
// long-lived stream, many to a write: over loopback seen to be many times faster than
// datagrams. Where QUIC reports loss, or a round trip takes long, they travel as DATAGRAM
// frames on the connection that libp2p already holds: a lost one holds nothing up, and
// QUIC's congestion control paces them. On TCP and WebSocket there are only streams.
//
// Every peer has a bounded queue of its own, so that a slow one holds up nobody else. The
// package knows nothing of what it carries.
package dgram
