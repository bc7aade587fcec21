package curve

import (
	"encoding/hex"

	"github.com/consensys/gnark-crypto/ecc/secp256k1/fp"
)

// HashToPoint maps a message to a point of which nobody knows the logarithm: RFC 9380, suite
// secp256k1_XMD:SHA-256_SSWU_RO_. (The curve library's HashToG1 takes another map, which meets
// none of the suite's vectors.) The domain separation tag has 1 to 255 bytes.
func HashToPoint(msg []byte, tag string) Point {
	u, err := fp.Hash(msg, []byte(tag), 2)
	if err != nil { // only for a tag of a length that no constant here has
		panic(err)
	}
	p, q := mapToCurve(&u[0]), mapToCurve(&u[1])
	return p.Add(q)
}

// constant reads a field element.
func constant(digits string) (f field) {
	b, _ := hex.DecodeString(digits)
	f.setBytes(b)
	return f
}

// The curve y^2 = x^3 + A*x + B, of which there is an isogeny to secp256k1, and Z (section 8.7).
var (
	isoA = constant("3f8731abdd661adca08a5558f0f5d272e953d363cb6f0e5d405447c01a444533")
	isoB = field{1771}
	isoZ = func() (z field) {
		z.neg(&field{11})
		return z
	}()
)

// The isogeny's polynomials, the constant coefficients first (appendix E.1).
var (
	isoXNumerator = []field{
		constant("8e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38daaaaa8c7"),
		constant("07d3d4c80bc321d5b9f315cea7fd44c5d595d2fc0bf63b92dfff1044f17c6581"),
		constant("534c328d23f234e6e2a413deca25caece4506144037c40314ecbd0b53d9dd262"),
		constant("8e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38e38daaaaa88c"),
	}
	isoXDenominator = []field{
		constant("d35771193d94918a9ca34ccbb7b640dd86cd409542f8487d9fe6b745781eb49b"),
		constant("edadc6f64383dc1df7c4b2d51b54225406d36b641f5e41bbc52a56612a8c6d14"),
		{1},
	}
	isoYNumerator = []field{
		constant("4bda12f684bda12f684bda12f684bda12f684bda12f684bda12f684b8e38e23c"),
		constant("c75e0c32d5cb7c0fa9d0a54b12a0a6d5647ab046d686da6fdffc90fc201d71a3"),
		constant("29a6194691f91a73715209ef6512e576722830a201be2018a765e85a9ecee931"),
		constant("2f684bda12f684bda12f684bda12f684bda12f684bda12f684bda12f38e38d84"),
	}
	isoYDenominator = []field{
		constant("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffff93b"),
		constant("7a06534bb8bdb49fd5e9e6632722c2989467c1bfc8e8d978dfb425d2685c2573"),
		constant("6484aa716545ca2cf3a70c3fa8fe337e0a3d21162f0d6299a7bf8192bfd2a76f"),
		{1},
	}
)

// mapToCurve is the simplified map of Shallue, van de Woestijne and Ulas (section 6.6.2) to the
// isogenous curve, and the isogeny.
func mapToCurve(element *fp.Element) Point {
	var u field
	b := element.Bytes()
	u.setBytes(b[:])

	// x1 = (-B/A) * (1 + 1/(Z^2*u^4 + Z*u^2)), or B/(Z*A) where that does not exist
	var zu2, d, x, y, t field
	zu2.square(&u)
	zu2.mul(&zu2, &isoZ)
	d.square(&zu2)
	d.add(&d, &zu2)
	if d.isZero() {
		t.mul(&isoZ, &isoA)
		t.inverse(&t)
		x.mul(&isoB, &t)
	} else {
		t.mul(&d, &isoA)
		t.inverse(&t)
		x.add(&d, &field{1})
		x.mul(&x, &t)
		x.mul(&x, &isoB)
		x.neg(&x)
	}
	if t = isoCurve(&x); !y.sqrt(&t) {
		x.mul(&x, &zu2)
		t = isoCurve(&x)
		y.sqrt(&t) // exists, as it does not for the other
	}
	if u.isOdd() != y.isOdd() {
		y.neg(&y)
	}
	return isogeny(&x, &y)
}

// isoCurve is x^3 + A*x + B.
func isoCurve(x *field) (y field) {
	y.square(x)
	y.add(&y, &isoA)
	y.mul(&y, x)
	y.add(&y, &isoB)
	return y
}

// isogeny maps a point of the isogenous curve to secp256k1.
func isogeny(x, y *field) (p Point) {
	xd, yd := polynomial(isoXDenominator, x), polynomial(isoYDenominator, x)
	var inverse, t field
	inverse.mul(&xd, &yd)
	if inverse.isZero() {
		return Point{} // the isogeny's kernel: no message is known to come here
	}
	inverse.inverse(&inverse)
	p.x = polynomial(isoXNumerator, x)
	t.mul(&inverse, &yd)
	p.x.mul(&p.x, &t)
	p.y = polynomial(isoYNumerator, x)
	t.mul(&inverse, &xd)
	p.y.mul(&p.y, &t)
	p.y.mul(&p.y, y)
	return p
}

func polynomial(coefficients []field, x *field) (y field) {
	for i := len(coefficients) - 1; i >= 0; i-- {
		y.mul(&y, x)
		y.add(&y, &coefficients[i])
	}
	return y
}
