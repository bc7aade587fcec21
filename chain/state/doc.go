// Package state is the authenticated key-value state of the chain: flat values
// for reading, a sparse Merkle tree over their hashes for roots and proofs,
// one durable and atomic commit a block, and rollback of recent blocks.
//
// Look at [State] first, then [State.Commit], [Snapshot] and [VerifyProof].
//
// # Commitment
//
// The root is that of a binary sparse Merkle tree over BLAKE2b-hashed keys. A
// subtree without keys hashes to zero, a subtree with one key to the hash of
// that leaf, any other to the hash of its halves. The root therefore depends on
// the set of keys and values alone, never on the history. Four binary levels
// are stored as one 16-ary node (as the Jellyfish Merkle tree does), so a proof
// carries four hashes a node and reading it costs one record a node.
//
// # Versions
//
// The database is badger in managed mode: every commit writes at one timestamp
// of its own, and reading at the timestamp of a version shows exactly that
// version. So a node record is keyed by its path only, old versions need no
// bookkeeping, a snapshot is stable while commits run, and pruning is raising
// badger's discard timestamp. Timestamps only grow; a rollback is a commit that
// writes old values again.
//
// # Crash safety
//
// A commit writes its records in as many badger transactions as it needs,
// makes them durable (see barrier in durable.go), then writes the marker, which
// names the version, the root and the timestamp, and makes that durable.
// Readers read at the timestamp of a marker, so what has no marker is not
// seen. When the database is opened, records above the marker's timestamp are
// the remains of a torn commit: they are found by scanning for that timestamp
// and covered with the values they had at the marker.
//
// A stored bit that flips is found: flat values and bookkeeping carry CRC-32C
// over key and value, tree nodes are checked against the hash their parent
// (finally the marker's root) holds for them, and a proof checks the flat value
// against its leaf. All of it is reported as [ErrCorrupt].
//
// The package imports canon and crypto/hash, never the ledger or block types.
package state
