// Package ring signs for one of several keys without saying for which, so that two signatures by
// one key can be linked.
//
// Look at [Sign] and [Signature.Verify]: CLSAG (Goodell, Noether and RandomRun, IACR eprint
// 2019/654), the concise linkable ring signature that also ties the commitment of the hidden
// member to another one of the same amount. [SignKey] is for uses without amounts: LSAG (Liu,
// Wei and Wong 2004) with key images as CryptoNote has them.
//
// Every key has one key image, x*Hp(P), where Hp maps the key to a point of which nobody knows
// the logarithm ([Base]): whoever signs twice shows it twice. A signature binds
//
//   - that the signer knows x with P = x*G for the key P of one member, and that the key image is
//     that key's;
//   - with [Sign], that the commitment C of the same member and the pseudo-output C' differ by a
//     multiple of G that the signer knows: they hold one amount. Both are proved as one, weighted
//     by numbers that depend on the whole ring, the image and the pseudo-output, so that neither
//     can be traded for the other.
//
// Rings have [MinSize] to [MaxSize] members. Verifying costs two sums of a few multiples a member,
// which cannot be shared between signatures: each challenge is the hash of the one before. Several signatures
// go round in step, though ([VerifyEach]), and then what the sums of all need is made at once.
//
// The package imports nothing of the project but crypto/curve, crypto/hash and
// crypto/transcript. It takes variable time; see crypto/curve. Everything is safe for concurrent
// use.
package ring
