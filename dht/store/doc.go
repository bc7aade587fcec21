// Package store keeps data for others on a ring of peers: records of an owner, whose values
// are CRDTs. Look at [Core], then at [Shelf] and [Item].
//
// A record has a [Header], signed by its owner, and a value in [Part]s, each signed by whoever
// changed it. It is kept by the r members of the ring that follow its key. Headers and parts
// are items that never change; holders exchange those that one of them lacks, and drop those
// that others stand in for, by rules that need no order. So the items that two holders end with
// are the same, byte for byte, whatever way they came.
//
// Writing asks all holders at once and ends with a write quorum; reading asks a read quorum,
// and the rest if they do not agree. Members that follow each other compare what they hold
// with messages in proportion to the difference, hand over ranges as the ring changes, and
// replace lost copies.
//
// [Core] is a deterministic state machine as in every protocol here: no I/O, no clock. Package
// dht/store/driver runs it in a node. It imports nothing of the chain.
package store
