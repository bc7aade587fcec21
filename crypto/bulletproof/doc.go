// Package bulletproof proves that a commitment holds an amount of 64 bits, and says nothing else
// about it: Bulletproofs+ (Chung, Han, Ju, Kim and Seo, IACR eprint 2020/735, figures 1 and 3
// with one commitment).
//
// Look at [Prove], [Proof.Verify] and [BatchVerify]. A proof has 591 bytes. The commitment is
// crypto/pedersen's, with the amount on H and the blinding factor on G: the paper's g is H here,
// and its h is G.
//
// One proof is for one commitment. Aggregated proofs for several at once are left out: an issue
// with those of Bulletproofs+ was announced in September 2026. Many proofs are verified at once
// by one sum: in dozens, each takes about a seventh of what it takes alone.
//
// The package imports nothing of the project but crypto/curve, crypto/pedersen and
// crypto/transcript. It takes variable time; see crypto/curve. Everything is safe for concurrent
// use.
package bulletproof
