// Package bls signs votes with BLS signatures on BLS12-381, so that the votes
// of a whole validator set fit into one signature of 48 bytes.
//
// Look at [SecretKey] and [Verify] first, then at [Aggregate] and
// [VerifyAggregate]. It is the minimal-signature variant of
// draft-irtf-cfrg-bls-signature-05 with proofs of possession: signatures in G1
// (48 bytes), public keys in G2 (96 bytes), both compressed.
//
// Aggregates are sound only among keys whose owners proved possession
// ([SecretKey.Prove], [VerifyPossession]); otherwise a rogue key made from other
// people's keys could sign in their name. Check the proof once, when a key
// enters a validator set.
//
// The point at infinity is refused everywhere, as key, as signature and as a
// sum, because the pairing equation holds for it under every message.
//
// The curve arithmetic is gnark-crypto's. It does not run in constant time: who
// can measure signing on the same machine may learn about the secret key. Run
// validators on machines of their own.
//
// The package imports nothing of the project and starts no goroutine that
// outlives a call. All functions are safe for concurrent use.
package bls
