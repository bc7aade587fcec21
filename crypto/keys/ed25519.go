package keys

import (
	"crypto/ed25519"
	"errors"
	"math/big"
	"slices"
)

var errEd25519Point = errors.New("not a canonical point of edwards25519 of large order")

// The field and the curve -x^2 + y^2 = 1 + d*x^2*y^2 (RFC 8032, section 5.1).
var (
	edField, _ = new(big.Int).SetString("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", 16)
	edD, _     = new(big.Int).SetString("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3", 16)
)

// checkEd25519 accepts exactly the canonical encodings of points whose order is
// not 1, 2, 4 or 8. The standard library decodes more than that (y beyond the
// field, x = -0), which would give one key several addresses.
func checkEd25519(raw []byte) error {
	if len(raw) != ed25519.PublicKeySize {
		return errEd25519Point
	}
	be := slices.Clone(raw)
	slices.Reverse(be)
	be[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(be)
	if y.Cmp(edField) >= 0 {
		return errEd25519Point
	}
	one := big.NewInt(1)
	y2 := mulMod(y, y)
	dy2 := mulMod(edD, y2)
	u := new(big.Int).Sub(y2, one)  // x^2 = u/v
	v := new(big.Int).Add(dy2, one) // never zero, as -1/d is no square
	uv := new(big.Int).Mod(new(big.Int).Mul(u, v), edField)
	if y.Sign() == 0 || uv.Sign() == 0 || big.Jacobi(uv, edField) != 1 {
		return errEd25519Point // order 4, orders 1 and 2, or not on the curve
	}
	// The double of a point of order 8 has y = 0: x^2 + y^2 = 0, which on the
	// curve is d*y^4 + 2*y^2 - 1 = 0.
	t := mulMod(dy2, y2)
	t.Add(t, y2).Add(t, y2).Sub(t, one).Mod(t, edField)
	if t.Sign() == 0 {
		return errEd25519Point
	}
	return nil
}

func mulMod(a, b *big.Int) *big.Int {
	p := new(big.Int).Mul(a, b)
	return p.Mod(p, edField)
}
