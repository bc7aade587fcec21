package curve

import (
	"encoding/hex"

	"github.com/consensys/gnark-crypto/ecc/secp256k1/fp"
)

// HashToPoint maps a message to a point of which nobody knows the logarithm: RFC 9380, suite
// secp256k1_XMD:SHA-256_SSWU_RO_. (The curve library's HashToG1 takes another map, which meets
// none of the suite's vectors.) The domain separation tag has 1 to 255 bytes.
func HashToPoint(msg []byte, tag string) Point { return HashToPoints(tag, msg)[0] }

// HashToPoints maps messages to points as [HashToPoint] does, with few inversions for all.
func HashToPoints(tag string, msgs ...[]byte) []Point {
	u := make([]field, 0, 2*len(msgs)) // the first of each, then the second
	second := make([]field, 0, len(msgs))
	for _, msg := range msgs {
		pair, err := fp.Hash(msg, []byte(tag), 2)
		if err != nil { // only for a tag of a length that no constant here has
			panic(err)
		}
		u, second = append(u, fieldOf(&pair[0])), append(second, fieldOf(&pair[1]))
	}
	mapped := mapToCurve(append(u, second...))
	return AddAll(mapped[:len(msgs)], mapped[len(msgs):])
}

func fieldOf(e *fp.Element) (f field) {
	b := e.Bytes()
	f.setBytes(b[:])
	return f
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
	isoRoot = func() (r field) { // of -Z^3
		r.sqrt(&field{1331})
		return r
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
func mapToCurve(all []field) []Point {
	// x1 = (-B/A) * (1 + 1/d), with d = Z^2*u^4 + Z*u^2, or B/(Z*A) where d is 0
	zu2, d, inverses := make([]field, len(all)), make([]field, len(all)), make([]field, len(all))
	for i := range all {
		zu2[i].square(&all[i])
		zu2[i].mul(&zu2[i], &isoZ)
		d[i].square(&zu2[i])
		d[i].add(&d[i], &zu2[i])
		if d[i].isZero() {
			inverses[i].mul(&isoZ, &isoA)
		} else {
			inverses[i].mul(&d[i], &isoA)
		}
	}
	invertAll(inverses)
	xs, ys := make([]field, len(all)), make([]field, len(all))
	for i := range all {
		x, y := &xs[i], &ys[i]
		x.mul(&isoB, &inverses[i])
		if !d[i].isZero() {
			d[i].add(&d[i], &field{1})
			x.mul(x, &d[i])
			x.neg(x)
		}
		if t := isoCurve(x); !y.sqrt(&t) {
			// x2 = Z*u^2*x1, where the curve's right side is Z^3*u^6 times that of x1, of which the
			// negative is the square of what sqrt has found: no second root is taken
			x.mul(x, &zu2[i])
			t.square(&all[i])
			t.mul(&t, &all[i])
			t.mul(&t, &isoRoot)
			y.mul(y, &t)
		}
		if all[i].isOdd() != y.isOdd() {
			y.neg(y)
		}
	}
	return isogeny(xs, ys)
}

// isoCurve is x^3 + A*x + B.
func isoCurve(x *field) (y field) {
	y.square(x)
	y.add(&y, &isoA)
	y.mul(&y, x)
	y.add(&y, &isoB)
	return y
}

// isogeny maps points of the isogenous curve to secp256k1.
func isogeny(xs, ys []field) []Point {
	out, inverses := make([]Point, len(xs)), make([]field, len(xs))
	xd, yd := make([]field, len(xs)), make([]field, len(xs))
	for i := range xs {
		xd[i], yd[i] = polynomial(isoXDenominator, &xs[i]), polynomial(isoYDenominator, &xs[i])
		inverses[i].mul(&xd[i], &yd[i])
	}
	invertAll(inverses)
	for i := range xs {
		if inverses[i].isZero() {
			continue // the isogeny's kernel goes to infinity; no message is known to come here
		}
		p := &out[i]
		var t field
		p.x = polynomial(isoXNumerator, &xs[i])
		t.mul(&inverses[i], &yd[i])
		p.x.mul(&p.x, &t)
		p.y = polynomial(isoYNumerator, &xs[i])
		t.mul(&inverses[i], &xd[i])
		p.y.mul(&p.y, &t)
		p.y.mul(&p.y, &ys[i])
	}
	return out
}

func polynomial(coefficients []field, x *field) (y field) {
	for i := len(coefficients) - 1; i >= 0; i-- {
		y.mul(&y, x)
		y.add(&y, &coefficients[i])
	}
	return y
}
