// Package testnet starts whole networks on one machine: it lays out genesis,
// keys and homes ([Layout]), runs the validators in this process or each in its
// own ([Up]), puts load on them, shows a live table, and at the end audits that
// all of them hold the same blocks and the same money.
//
// Nothing but cmd imports it. The networks are real: real libp2p on loopback,
// real disks; for virtual ones see package sim.
package testnet
