package curve

import (
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
)

// The endomorphism lambda*(x, y) = (beta*x, y), and the constants that split a
// scalar along it (Guide to Elliptic Curve Cryptography, algorithm 3.74; the
// rounded quotients, and the proof that the halves are short, as in libsecp256k1,
// scalar_impl.h).
var (
	beta      = field{0xc1396c28719501ee, 0x9cf0497512f58995, 0x6e64479eac3434e9, 0x7ae96a2b657c0710}
	lambda    = scalar("5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72")
	minusB1   = scalar("e4437ed6010e88286f547fa90abfe4c3")
	minusB2   = scalar("fffffffffffffffffffffffffffffffe8a280ac50774346dd765cda83db1562c")
	quotient1 = [4]uint64{0xE893209A45DBB031, 0x3DAA8A1471E8CA7F, 0xE86C90E49284EB15, 0x3086D221A7D46BCD}
	quotient2 = [4]uint64{0x1571B4AE8AC47F71, 0x221208AC9DF506C6, 0x6F547FA90ABFE4C4, 0xE4437ED6010E8828}
)

func scalar(hex string) (k fr.Element) {
	_, _ = k.SetString("0x" + hex)
	return k
}

// split finds k1 and k2 below 2^128 with k = ±k1 ± k2*lambda.
func split(k *fr.Element) (k1 [2]uint64, neg1 bool, k2 [2]uint64, neg2 bool) {
	words := k.Bits()
	c1, c2 := mulShift384(&words, &quotient1), mulShift384(&words, &quotient2)
	var a, b fr.Element
	c1.Mul(&c1, &minusB1)
	c2.Mul(&c2, &minusB2)
	b.Add(&c1, &c2)
	a.Mul(&b, &lambda).Sub(k, &a)
	k1, neg1 = shorten(&a)
	k2, neg2 = shorten(&b)
	return k1, neg1, k2, neg2
}

// shorten returns the absolute value of a scalar taken from (-n/2, n/2).
func shorten(k *fr.Element) ([2]uint64, bool) {
	neg := k.LexicographicallyLargest()
	if neg {
		k.Neg(k)
	}
	w := k.Bits()
	return [2]uint64{w[0], w[1]}, neg
}

// mulShift384 returns a*b / 2^384, rounded.
func mulShift384(a, b *[4]uint64) (q fr.Element) {
	var t [8]uint64
	for i := range 4 {
		var carry uint64
		for j := range 4 {
			hi, lo := bits.Mul64(a[i], b[j])
			var c uint64
			lo, c = bits.Add64(lo, t[i+j], 0)
			hi += c
			lo, c = bits.Add64(lo, carry, 0)
			t[i+j], carry = lo, hi+c
		}
		t[i+4] = carry
	}
	lo, c := bits.Add64(t[6], t[5]>>63, 0)
	var word, two64 fr.Element
	two64.SetUint64(1 << 63).Double(&two64)
	word.SetUint64(t[7] + c)
	q.SetUint64(lo)
	word.Mul(&word, &two64)
	return *q.Add(&q, &word)
}
