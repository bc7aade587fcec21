// Package dgram carries small packets between connected peers without promising that they
// arrive: for shreds, of which any half will do. Look at [Service].
//
// Path by path it picks how. On a clean path packets travel on one long-lived stream,
// many to a write: seen to be three times faster than datagrams. Where QUIC reports loss
// they travel as DATAGRAM frames on the connection that libp2p already holds: a lost one
// holds nothing up, and QUIC's congestion control paces them. On TCP and WebSocket there
// are only streams.
//
// Every peer has a bounded queue of its own, so that a slow one holds up nobody else. The
// package knows nothing of what it carries.
package dgram
