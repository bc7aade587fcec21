package curve

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
func (s *slopes) prepare(p, q *Point) {
	var d field
	switch {
	case p.IsInfinity() || q.IsInfinity():
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

// invert replaces the denominators by their inverses.
func (s *slopes) invert() { s.products = invertAll(s.values, s.products) }

// add sets sum = p + q for the next pair; sum may be p or q.
func (s *slopes) add(sum, p, q *Point) {
	inverse := &s.values[s.next]
	s.next++
	var slope, x, y field
	switch {
	case p.IsInfinity():
		*sum = *q
		return
	case q.IsInfinity():
		*sum = *p
		return
	case p.x != q.x:
		slope.sub(&q.y, &p.y)
	case p.y == q.y: // 3x^2, as the curve has a = 0
		x.square(&p.x)
		slope.add(&x, &x)
		slope.add(&slope, &x)
	default:
		*sum = Point{}
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
