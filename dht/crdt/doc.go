// Package crdt holds values that many write and that merge without a referee: registers,
// counters, sets, logs, and maps of all of these, nested. Look at [State] first.
//
// States are delta-state CRDTs over causal contexts (Almeida, Shoker, Baquero: "Delta state
// replicated data types", arXiv 1603.01529): every change is a dot, a replica's name and a
// number; a state is the dots that are there and the context of all that were ever seen. What
// was seen and is not there any more was removed: no tombstones are kept, and the size
// follows what is there. A change returns a small state, the delta, that merges like any
// other. Merging is commutative, associative and idempotent, so deltas may be lost,
// repeated, and come in any order.
//
// Order among concurrent writes comes from a hybrid logical clock ([Clock]; Kulkarni et
// al. 2014). Every state has one encoding. The package does no I/O, reads no clock, and
// imports nothing of the network or the chain.
package crdt
