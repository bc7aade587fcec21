// Package stealth pays to keys that are used once, which only the recipient can tell are theirs.
//
// Look at [Keys] and [Address], at [Pay], which makes an [Output] to an address, and at
// [Scanner], which finds one's own among many. The scheme is CryptoNote's with dual keys and
// subaddresses, as Monero uses it, with the sender's secret derived as in its Carrot proposal:
//
//	keys              a (view), b (spend); A = a*G, B = b*G
//	subaddress i      B_i = B + m_i*G, A_i = a*B_i, with m_i hashed from a and i
//	sender            r = H(anchor, context, payment); R = r*G, or r*B_i to a subaddress
//	shared            S = r*A, or r*A_i; for the recipient a*R. Hashes take its x coordinate, and R
//	one-time key      P = B_i + k*G, k = H(S, ...); its secret is b + m_i + k
//	commitment        C = amount*H + mask*G, mask = H(S, ...)
//	view tag          a byte of H(S, ...): 255 of 256 foreign outputs are known as such by it
//	amount, anchor, memo   encrypted by the keystream of H(S, ...)
//
// The context is what makes an output unique: of a spend its key images, of a deposit the account
// and its sequence. It goes into every hash, so that a one-time key repeated in another
// transaction is not taken for a payment (the "burning bug"; the second coin could never be
// spent).
//
// The recipient decrypts the anchor and makes R from it again, for the address that the output
// pays: who mixes the halves of two subaddresses, to learn whether they are of one wallet (the
// "Janus attack"), is found out, and the wallet shows nothing. The anchor is the hash of a public
// key that the sender derives from the wallet's seed: with it the sender, and nobody else, can
// prove the payment to a third party ([Prove]).
//
// Who has the [ViewKeys] sees what comes in, not what is spent.
//
// The package imports nothing of the project but crypto/curve, crypto/hash, crypto/keys and
// crypto/pedersen. It takes variable time; see crypto/curve.
package stealth
