package curve

// MulXAllVarTime returns the x coordinates, big-endian, of k*p for many encoded points p and one scalar; k is not
// zero. It looks at the points' x coordinates alone, which spares it the square roots: whether there is such a
// point at all is not seen. What cannot be an x coordinate gives zeros, which no point has; what is none gives
// something.
//
// With u = +-y, so that d = u^2 = x^3 + 7 is known without it, (x, y) -> (u^2*x, u^3*y) takes our curve to
// y^2 = x^3 + 7*u^6, and the point or its negative to (d*x, d^2). No formula that is used here knows the curve's
// constant, so the multiples there are right, and their x coordinates are d times ours.
//
// The points go in step and in affine coordinates, with one inversion for each step of all: from some dozens on
// that takes less than [MulVarTime] for each.
func MulXAllVarTime(k Scalar, encoded [][PointSize]byte) [][32]byte {
	points, scale := make([]Point, len(encoded)), make([]field, len(encoded))
	for i := range encoded {
		var x, d field
		if !x.setBytes(encoded[i][1:]) {
			continue // infinity stays infinity
		}
		d.square(&x)
		d.mul(&d, &x)
		d.add(&d, &field{7})
		points[i].x.mul(&x, &d)
		points[i].y.square(&d)
		scale[i] = d
	}
	multiples := mulAll(k, points)
	invertAll(scale)
	out := make([][32]byte, len(encoded))
	for i := range multiples {
		if p := &multiples[i]; !p.IsInfinity() {
			p.x.mul(&p.x, &scale[i])
			out[i] = p.x.bytes()
		}
	}
	return out
}

// mulAll returns k*p for points, each of which may be on a curve of its own, y^2 = x^3 + b.
func mulAll(k Scalar, points []Point) []Point {
	k1, neg1, k2, neg2 := split(&k.v)
	d1, d2 := naf(k1, neg1), naf(k2, neg2)
	odd := oddMultiples(points)
	sums, terms := make([]Point, len(points)), make([]Point, len(points))
	lines := newSlopes(len(points))
	add := func(d int8, lambda bool) {
		if d == 0 {
			return
		}
		copy(terms, odd[max(d, -d)/2])
		for i := range terms {
			if lambda {
				terms[i].x.mul(&terms[i].x, &beta)
			}
			if d < 0 {
				terms[i].y.neg(&terms[i].y)
			}
		}
		lines.addAll(sums, sums, terms)
	}
	for at := max(d1.len, d2.len) - 1; at >= 0; at-- {
		lines.addAll(sums, sums, sums)
		add(d1.at[at], false)
		add(d2.at[at], true)
	}
	return sums
}

// oddMultiples are 1, 3, 5, ... times the points.
func oddMultiples(points []Point) (odd [1 << (nafWidth - 2)][]Point) {
	lines := newSlopes(len(points))
	doubled := make([]Point, len(points))
	lines.addAll(doubled, points, points)
	odd[0] = points
	for n := 1; n < len(odd); n++ {
		odd[n] = make([]Point, len(points))
		lines.addAll(odd[n], odd[n-1], doubled)
	}
	return odd
}

// addAll sets out[i] = p[i] + q[i]; out may be either.
func (s *slopes) addAll(out, p, q []Point) {
	if len(p) == 0 {
		return
	}
	s.reset()
	for i := range p {
		s.prepare(&p[i], &q[i])
	}
	s.invert()
	for i := len(p) - 1; i >= 0; i-- {
		s.add(&out[i], &p[i], &q[i])
	}
}
