package curve

import (
	"encoding/hex"
	"errors"
)

// PointSize is the length of an encoded [Point] in bytes.
const PointSize = 33

// Point is a point of secp256k1. Equal points are equal by ==; the zero value is infinity, the
// group's neutral element.
type Point struct{ x, y field } // affine; (0, 0) is not on the curve

// Generator is G (SEC 2, section 2.4.1).
var Generator = Point{
	x: field{0x59F2815B16F81798, 0x029BFCDB2DCE28D9, 0x55A06295CE870B07, 0x79BE667EF9DCBBAC},
	y: field{0x9C47D08FFB10D4B8, 0xFD17B448A6855419, 0x5DA4FBFC0E1108A8, 0x483ADA7726A3C465},
}

// ErrPoint means that bytes are not a point in its one encoding.
var ErrPoint = errors.New("not a compressed point of the curve")

// ParsePoint reads 33 bytes: 2 or 3 for an even or odd y, and x below the field's modulus, big-endian
// (SEC 1, section 2.3.3). Infinity has no encoding. It returns [ErrPoint].
func ParsePoint(b []byte) (Point, error) {
	if len(b) != PointSize || b[0]&^1 != 2 {
		return Point{}, ErrPoint
	}
	p, ok := LiftX([32]byte(b[1:]), b[0]&1 == 1)
	if !ok {
		return Point{}, ErrPoint
	}
	return p, nil
}

// LiftX finds the point with a coordinate x, big-endian, and a y that is odd or even. It is false
// if there is none, or x is not below the field's modulus.
func LiftX(x [32]byte, odd bool) (p Point, ok bool) {
	if !p.x.setBytes(x[:]) {
		return Point{}, false
	}
	p.y.square(&p.x)
	p.y.mul(&p.y, &p.x)
	p.y.add(&p.y, &field{7})
	if !p.y.sqrt(&p.y) {
		return Point{}, false
	}
	if p.y.isOdd() != odd {
		p.y.neg(&p.y)
	}
	return p, true
}

// Bytes encodes a point as [ParsePoint] reads it; infinity as zeros, which are read by nothing.
func (p Point) Bytes() (b [PointSize]byte) {
	if p.IsInfinity() {
		return b
	}
	x := p.x.bytes()
	b[0] = 2
	if p.y.isOdd() {
		b[0] = 3
	}
	copy(b[1:], x[:])
	return b
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (p Point) MarshalBinary() ([]byte, error) {
	if p.IsInfinity() {
		return nil, ErrPoint
	}
	b := p.Bytes()
	return b[:], nil
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]; see [ParsePoint].
func (p *Point) UnmarshalBinary(b []byte) (err error) {
	*p, err = ParsePoint(b)
	return err
}

// String is the encoding in hexadecimal.
func (p Point) String() string {
	b := p.Bytes()
	return hex.EncodeToString(b[:])
}

// X is the coordinate x, big-endian.
func (p Point) X() [32]byte { return p.x.bytes() }

// OddY reports whether the coordinate y is odd.
func (p Point) OddY() bool { return p.y.isOdd() }

// IsInfinity reports whether p is the neutral element.
func (p Point) IsInfinity() bool { return p.x.isZero() && p.y.isZero() }

// Neg returns -p.
func (p Point) Neg() Point {
	p.y.neg(&p.y)
	return p
}

// Add returns p + q. It takes an inversion; see [Sum] for many.
func (p Point) Add(q Point) Point {
	if q.IsInfinity() {
		return p
	}
	var j jacobian
	j.set(&p)
	j.add(&q.x, &q.y)
	return j.affine()
}

// Sub returns p - q.
func (p Point) Sub(q Point) Point { return p.Add(q.Neg()) }

// AddAll returns p[i] + q[i] for all i, with one inversion for all.
func AddAll(p, q []Point) []Point {
	out := make([]Point, len(p))
	lines := newSlopes(len(p))
	lines.addAll(out, p, q)
	return out
}
