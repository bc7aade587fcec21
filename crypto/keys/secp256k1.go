package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/big"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	decred "github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

const (
	secpPointSize     = 33
	secpSignatureSize = 65
)

// groupOrder is n of secp256k1 in little-endian words (SEC 2, section 2.4.1).
var groupOrder = [4]uint64{0xBFD25E8CD0364141, 0xBAAEDCE6AF48A03B, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF}

var errPoint = errors.New("not a compressed point of the curve")

func parseSecpPoint(raw []byte) (point, error) {
	var p point
	if len(raw) != secpPointSize || raw[0]&^1 != 2 || !p.x.setBytes(raw[1:]) || !p.liftX(raw[0]&1 == 1) {
		return point{}, errPoint
	}
	return p, nil
}

// liftX finds the y of the given parity with y^2 = x^3 + 7.
func (p *point) liftX(odd bool) bool {
	p.y.square(&p.x)
	p.y.mul(&p.y, &p.x)
	p.y.add(&p.y, &field{7})
	if !p.y.sqrt(&p.y) {
		return false
	}
	if p.y.isOdd() != odd {
		p.y.neg(&p.y)
	}
	return true
}

// secpSignature is a signature whose numbers are in range. The point R that the
// signer committed to has the coordinate x and a y of the given parity.
type secpSignature struct {
	r, s fr.Element
	x    field
	odd  bool
}

// parseSecpSignature checks everything about a signature that does not depend on
// the key: length, r and s in [1, n), s <= n/2, v in 0..3, and that x = r or,
// with bit 1 of v, x = r + n is a field element. The shortcut through a library's
// recovery would accept high s and reduce x silently.
func parseSecpSignature(sig []byte) (out secpSignature, ok bool) {
	if len(sig) != secpSignatureSize {
		return out, false
	}
	r, s, v := sig[:32], sig[32:64], sig[64]
	if v > 3 || out.r.SetBytesCanonical(r) != nil || out.s.SetBytesCanonical(s) != nil {
		return out, false
	}
	if out.r.IsZero() || out.s.IsZero() || out.s.LexicographicallyLargest() {
		return out, false
	}
	out.odd = v&1 == 1
	if v&2 == 0 {
		return out, out.x.setBytes(r)
	}
	var carry uint64
	for i := range out.x {
		out.x[i], carry = bits.Add64(binary.BigEndian.Uint64(r[24-8*i:]), groupOrder[i], carry)
	}
	return out, carry == 0 && !out.x.overflows()
}

// challenge is the message's digest as a number modulo n.
func challenge(msg []byte) (e fr.Element) {
	digest := sha256.Sum256(msg)
	e.SetBytes(digest[:])
	return e
}

// verifySecp computes R = (e/s)*G + (r/s)*Q and compares it with what the
// signature says about R. Comparing the whole point, not only x modulo n, is
// what binds v.
func (k PublicKey) verifySecp(msg, sig []byte) bool {
	in, ok := parseSecpSignature(sig)
	if !ok {
		return false
	}
	var u1, u2, w fr.Element
	w.Inverse(&in.s)
	e := challenge(msg)
	u1.Mul(&e, &w)
	u2.Mul(&in.r, &w)
	q := secp256k1.G1Affine{X: k.point.x.element(), Y: k.point.y.element()}
	var sum secp256k1.G1Jac
	sum.JointScalarMultiplicationBase(&q, u1.BigInt(new(big.Int)), u2.BigInt(new(big.Int)))
	var r secp256k1.G1Affine
	r.FromJacobian(&sum)
	x := in.x.element()
	return !r.IsInfinity() && r.X == x && (r.Y.Bits()[0]&1 == 1) == in.odd
}

// signSecp signs with the nonce of RFC 6979. SignCompact gives 27 + 4 + v first.
func signSecp(key *decred.PrivateKey, msg []byte) []byte {
	digest := sha256.Sum256(msg)
	compact := ecdsa.SignCompact(key, digest[:], true)
	return append(compact[1:], compact[0]-27-4)
}
