// Package pedersen hides amounts in commitments that can still be added up.
//
// Look at [Commit]: a commitment to the amount v with the blinding factor b is
//
//	C = b*G + v*H
//
// It says nothing about v to who does not know b, and whoever made it cannot open it to another
// amount, unless they know the logarithm of H to G, which nobody does ([H]). Commitments add up
// as what they hold does, modulo the group's order; that no amount is beyond 64 bits is another
// proof's business (crypto/bulletproof).
//
// Amounts are on H, blinding factors on G, and not the other way round as some have it, because
// the difference of two commitments to one amount then is a multiple of G, as one-time keys are:
// one ring signature can prove to know the logarithms of both.
//
// The package imports nothing of the project but crypto/curve. Committing takes variable time;
// see there.
package pedersen

import "github.com/starlingmesh/starling/crypto/curve"

// Where H comes from: RFC 9380 maps the message to the curve under the tag. Both are public, so
// that nobody can have chosen H by its logarithm.
const (
	HMessage = "H"
	HTag     = "starling/pedersen/secp256k1_XMD:SHA-256_SSWU_RO_/v1"
)

// H is the base of amounts.
var H = curve.HashToPoint([]byte(HMessage), HTag)

var tableOfH = curve.Tables(H)[0]

// Commit commits to an amount with a blinding factor, which must be uniform and used once.
func Commit(amount uint64, blinding curve.Scalar) curve.Point {
	return curve.FewVarTime(blinding, curve.Term{K: curve.ScalarOf(amount), P: tableOfH})
}

// Balanced reports whether what goes in is what comes out, and an amount that everybody knows:
// the commitments' sums differ by exactly public*H + excess*G.
func Balanced(in, out []curve.Point, public uint64, excess curve.Scalar) bool {
	sum := curve.FewVarTime(excess, curve.Term{K: curve.ScalarOf(public), P: tableOfH})
	for _, c := range out {
		sum = sum.Add(c)
	}
	for _, c := range in {
		sum = sum.Sub(c)
	}
	return sum.IsInfinity()
}
