// Package keys holds account keys: signing, verifying, and verifying many
// signatures at once.
//
// Look at [PublicKey] and [BatchVerify] first. Four kinds of key, and lists
// of them of which some must sign, stand behind one small type; secp256k1 is the default and the
// only kind with a fast batch.
// Every kind has exactly one encoding of a key, and single and batch
// verification agree on every input: a chain would split where they did not.
//
// Signatures, all deterministic:
//
//	secp256k1  65 bytes  r || s || v over SHA-256, RFC 6979, s <= n/2, v in 0..3
//	ed25519    64 bytes  RFC 8032
//	p256       64 bytes  r || s over SHA-256, s <= n/2
//	rsa        as long as the modulus, PKCS #1 v1.5 with SHA-256
//	multi      which members signed, 16 bits, the lowest is the first; then their signatures
//
// Secp256k1 signing is decred's and not constant-time in every step (it inverts
// the nonce in variable time, as its own documentation says); who can time
// signing on the same machine with precision may learn about the key. Verifying
// works on public data alone and uses variable-time arithmetic (crypto/curve)
// freely.
//
// The package knows messages as bytes only: domain tags and chain identifiers
// are the business of who builds the message. It imports nothing of the project
// but crypto/curve and crypto/hash. Everything is safe for concurrent use.
package keys
