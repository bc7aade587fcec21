package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	decred "github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/starlingmesh/starling/crypto/curve"
)

const secpSignatureSize = 65

// groupOrder is n of secp256k1 in little-endian words (SEC 2, section 2.4.1).
var groupOrder = [4]uint64{0xBFD25E8CD0364141, 0xBAAEDCE6AF48A03B, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF}

// secpSignature is a signature whose numbers are in range. The point R that the
// signer committed to has the coordinate x and a y of the given parity.
type secpSignature struct {
	r, s curve.Scalar
	x    [32]byte
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
	var err error
	if out.r, err = curve.ParseScalar(sig[:32]); err != nil || out.r.IsZero() {
		return out, false
	}
	if out.s, err = curve.ParseScalar(sig[32:64]); err != nil || out.s.IsZero() || out.s.High() {
		return out, false
	}
	v := sig[64]
	out.odd = v&1 == 1
	out.x = [32]byte(sig[:32])
	if v&2 != 0 {
		var carry uint64
		for i, order := range groupOrder {
			at := out.x[24-8*i:]
			var word uint64
			word, carry = bits.Add64(binary.BigEndian.Uint64(at), order, carry)
			binary.BigEndian.PutUint64(at, word)
		}
		if carry != 0 {
			return out, false
		}
	}
	return out, v <= 3
}

// challenge is the message's digest as a number modulo n.
func challenge(msg []byte) curve.Scalar {
	digest := sha256.Sum256(msg)
	return curve.ReduceScalar(digest[:])
}

// verifySecp computes R = (e/s)*G + (r/s)*Q and compares it with what the
// signature says about R. Comparing the whole point, not only x modulo n, is
// what binds v.
func (k PublicKey) verifySecp(msg, sig []byte) bool {
	in, ok := parseSecpSignature(sig)
	if !ok {
		return false
	}
	w := in.s.InverseVarTime()
	r := curve.FewVarTime(challenge(msg).Mul(w), curve.Term{K: in.r.Mul(w), P: curve.Tables(k.point)[0]})
	return !r.IsInfinity() && r.X() == in.x && r.OddY() == in.odd
}

// signSecp signs with the nonce of RFC 6979. SignCompact gives 27 + 4 + v first.
func signSecp(key *decred.PrivateKey, msg []byte) []byte {
	digest := sha256.Sum256(msg)
	compact := ecdsa.SignCompact(key, digest[:], true)
	return append(compact[1:], compact[0]-27-4)
}
