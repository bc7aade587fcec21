// Package turbine carries large payloads from one member of a group to all others
// through trees of relays. Look at [Core] first.
//
// The sender cuts the payload into erasure-coded sets (package fec) and sends each shred
// once, to the root of that shred's tree; the root sends it to its children, and so on:
// with the default fan-out of 200 a group of up to 201 has one layer of relays. The trees
// of a set come from one stake-weighted shuffle, seeded by sender, slot and set, which is
// turned by one member for each shred: so every member relays a part of every set, nobody
// can choose its place, and each computes its own children. A set survives as many silent
// relays and lost packets as it has parity; what is still missing is asked for
// ([Request]), no earlier than it can be late.
//
// A [Core] is a deterministic state machine: [Core.Step] takes an event and returns
// effects. It does no I/O and reads no clock; package turbine/driver connects it to
// datagrams. Sources: Turbine of Solana (anza-xyz/agave, turbine/src/cluster_nodes.rs),
// Rotor of Alpenglow, RaptorCast of Monad.
package turbine
