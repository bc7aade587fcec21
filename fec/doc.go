// Package fec cuts a payload into erasure-coded sets of shreds and makes it again from
// enough of them. Look at [Encoder] first, then at [Gatherer].
//
// A payload, a block for example, is a stream of sets. A set holds up to Data shreds of
// the payload and Parity shreds of Reed-Solomon parity (Leopard codes over GF(2^8), or
// GF(2^16) above 256 shreds, of github.com/klauspost/reedsolomon); any Data of them make
// the set again. A [Shred] fits one datagram and is checked alone and in any order before
// it costs memory: it carries a Merkle proof to the root of its set, and the sender's
// signature over a [Statement] that names the root, the root of the set before, and the
// shape. A receiver verifies one signature a set.
//
// Making a set again means encoding it again: if the root is another than the signed one
// the sender lied, and the shreds prove it ([Inconsistency]). Two statements for one set
// prove a lie too ([Equivocation]).
//
// The layout follows Solana's merkle shreds (anza-xyz/agave, ledger/src/shred) in what is
// signed and proved; the bytes differ.
//
// The package does no I/O, and imports nothing of the project but hashes and canon.
package fec
