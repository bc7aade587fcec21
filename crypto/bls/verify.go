package bls

import (
	"sync"

	bls12381 "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

// pairingLines are the line functions of one fixed point of G2, which do not
// depend on what it is paired with.
type pairingLines = [2][len(bls12381.LoopCounter) - 1]bls12381.LineEvaluationAff

// generatorLines belong to -g2: negating the fixed side once saves negating
// every signature.
var generatorLines = sync.OnceValue(func() *pairingLines {
	g := negGenerator()
	lines := bls12381.PrecomputeLines(g)
	return &lines
})

func negGenerator() bls12381.G2Affine {
	_, _, _, g := bls12381.Generators()
	g.Neg(&g)
	return g
}

// Verify reports whether sig is the key's signature of msg:
// e(H(msg), key) = e(sig, g2). A nil key verifies nothing.
func Verify(key *PublicKey, msg []byte, sig Signature) bool {
	return verify(key, msg, sig, voteDST)
}

// VerifyPossession reports whether proof shows that somebody holds the secret
// half of key. It must hold before a key is counted in any aggregate.
func VerifyPossession(key *PublicKey, proof Signature) bool {
	return key != nil && verify(key, key.enc[:], proof, proofDST)
}

func verify(key *PublicKey, msg []byte, sig Signature, dst string) bool {
	if key == nil {
		return false
	}
	p, err := sig.point()
	if err != nil {
		return false
	}
	return pairs(key, hashToG1(msg, dst), p)
}

// pairs checks e(h, key) = e(sig, g2).
func pairs(key *PublicKey, h, sig bls12381.G1Affine) bool {
	ok, err := bls12381.PairingCheckFixedQ(
		[]bls12381.G1Affine{h, sig},
		[]pairingLines{*key.pairingLines(), *generatorLines()},
	)
	return err == nil && ok
}

// VerifyAggregate reports whether sig is the aggregate of one signature of msg
// under every one of the keys. A key that signed twice is listed twice. No keys
// verify nothing.
func VerifyAggregate(keys []*PublicKey, msg []byte, sig Signature) bool {
	return VerifyDistinct([]Group{{Keys: keys, Msg: msg}}, sig)
}

// Group is one message and the keys that signed it.
type Group struct {
	Keys []*PublicKey
	Msg  []byte
}

// VerifyDistinct reports whether sig is the aggregate of the signatures of all
// groups, with one pairing a group and one more. Every group must have a key;
// messages may repeat, because possession of every key is proved.
func VerifyDistinct(groups []Group, sig Signature) bool {
	if len(groups) == 0 {
		return false
	}
	p, err := sig.point()
	if err != nil {
		return false
	}
	left := make([]bls12381.G1Affine, 0, len(groups)+1)
	right := make([]bls12381.G2Affine, 0, len(groups)+1)
	for _, g := range groups {
		key, ok := sumKeys(g.Keys)
		if !ok {
			return false
		}
		left = append(left, hashToG1(g.Msg, voteDST))
		right = append(right, key)
	}
	ok, err := bls12381.PairingCheck(append(left, p), append(right, negGenerator()))
	return err == nil && ok
}

// sumKeys adds keys up; it is false without keys, with a nil key, and when they
// cancel out.
func sumKeys(keys []*PublicKey) (bls12381.G2Affine, bool) {
	var affine bls12381.G2Affine
	if len(keys) == 1 && keys[0] != nil {
		return keys[0].point, true
	}
	var sum bls12381.G2Jac
	for _, k := range keys {
		if k == nil {
			return affine, false
		}
		sum.AddMixed(&k.point)
	}
	affine.FromJacobian(&sum)
	return affine, len(keys) > 0 && !affine.IsInfinity()
}
