package curve

// MulAllVarTime returns k*p for many points and one scalar. The points go in step and in affine
// coordinates, with one inversion for each step of all: from some dozens on that takes less than [MulVarTime]
// for each.
func MulAllVarTime(k Scalar, points []Point) []Point {
	k1, neg1, k2, neg2 := split(&k.v)
	d1, d2 := naf(k1, neg1), naf(k2, neg2)
	odd := oddMultiples(points)
	sums := make([]Point, len(points))
	lines := newSlopes(len(points))
	add := func(d int8, lambda bool) {
		if d == 0 {
			return
		}
		terms := make([]Point, len(points))
		for i := range points {
			terms[i] = odd[max(d, -d)/2][i]
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
