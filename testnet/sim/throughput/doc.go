// Package throughput measures how many bytes a second a network decides when its
// links are slow: with one leader's blocks, or with lanes. Look at [Run].
//
// Real consensus and lane cores run on a virtual clock and virtual links: every
// message takes a fixed time to arrive, and each node's uplink sends large messages
// one after the other at its rate, small ones first. Nothing is drawn at random. It
// imports the cores and chain/types; never a driver, a clock or a network.
package throughput
