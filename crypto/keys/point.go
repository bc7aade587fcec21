package keys

import "github.com/consensys/gnark-crypto/ecc/secp256k1"

// point is a point of secp256k1 in affine coordinates. The zero value is the
// point at infinity, as (0, 0) is not on the curve.
type point struct{ x, y field }

// generator is G (SEC 2, section 2.4.1).
var generator = point{
	x: field{0x59F2815B16F81798, 0x029BFCDB2DCE28D9, 0x55A06295CE870B07, 0x79BE667EF9DCBBAC},
	y: field{0x9C47D08FFB10D4B8, 0xFD17B448A6855419, 0x5DA4FBFC0E1108A8, 0x483ADA7726A3C465},
}

func (p *point) isInfinity() bool { return p.x.isZero() && p.y.isZero() }

// pointOf converts from the curve library's form, in which (0, 0) is infinity too.
func pointOf(a *secp256k1.G1Affine) (p point) {
	x, y := a.X.Bytes(), a.Y.Bytes()
	p.x.setBytes(x[:])
	p.y.setBytes(y[:])
	return p
}

// slopes adds many pairs of points with one field inversion for all of them:
// prepare every pair, invert, then add every pair in the same order.
type slopes struct {
	values   []field // denominators, then their inverses
	products []field
	next     int
}

func newSlopes(size int) slopes {
	return slopes{values: make([]field, 0, size), products: make([]field, 0, size)}
}

func (s *slopes) reset() { s.values, s.next = s.values[:0], 0 }

// prepare takes note of the denominator of the slope of the line through p and
// q, or of 1 where the sum needs no slope.
func (s *slopes) prepare(p, q *point) {
	var d field
	switch {
	case p.isInfinity() || q.isInfinity():
		d = field{1}
	case p.x != q.x:
		d.sub(&q.x, &p.x)
	case p.y == q.y:
		d.add(&p.y, &p.y) // not zero: the group has no point of order 2
	default:
		d = field{1} // p = -q
	}
	s.values = append(s.values, d)
}

// invert replaces the denominators, of which there is one at least, by their
// inverses (Montgomery's trick: three multiplications for each).
func (s *slopes) invert() {
	s.products = append(s.products[:0], s.values...)
	for i := 1; i < len(s.products); i++ {
		s.products[i].mul(&s.products[i-1], &s.values[i])
	}
	var rest, inverse field
	rest.inverse(&s.products[len(s.products)-1])
	for i := len(s.values) - 1; i > 0; i-- {
		inverse.mul(&rest, &s.products[i-1])
		rest.mul(&rest, &s.values[i])
		s.values[i] = inverse
	}
	s.values[0] = rest
}

// add sets sum = p + q for the next pair; sum may be p or q.
func (s *slopes) add(sum, p, q *point) {
	inverse := &s.values[s.next]
	s.next++
	var slope, x, y field
	switch {
	case p.isInfinity():
		*sum = *q
		return
	case q.isInfinity():
		*sum = *p
		return
	case p.x != q.x:
		slope.sub(&q.y, &p.y)
	case p.y == q.y: // 3x^2, as the curve has a = 0
		x.square(&p.x)
		slope.add(&x, &x)
		slope.add(&slope, &x)
	default:
		*sum = point{}
		return
	}
	slope.mul(&slope, inverse)
	x.square(&slope)
	x.sub(&x, &p.x)
	x.sub(&x, &q.x)
	y.sub(&p.x, &x)
	y.mul(&y, &slope)
	y.sub(&y, &p.y)
	sum.x, sum.y = x, y
}
