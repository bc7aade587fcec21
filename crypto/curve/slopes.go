package curve

// slopes adds many pairs of points with one field inversion for all of them (Montgomery's trick): reset,
// prepare every pair, invert, then add every pair in the opposite order.
//
// It is what verification in batches spends its time on. Each multiplication of the running product waits
// for the one before it, so there is work beside it in the same loop; and nothing is copied that was
// written just before, as a processor waits for that too.
type slopes struct {
	denominators []field // of the pairs that have a slope
	products     []field // of the denominators before each, and of all
	inverse      field   // of the product of those that are left
}

func newSlopes(size int) slopes {
	return slopes{denominators: make([]field, 0, size), products: make([]field, 0, size+1)}
}

func (s *slopes) reset() {
	s.denominators, s.products = s.denominators[:0], append(s.products[:0], field{1})
}

// prepare takes note of the denominator of the slope of the line through p and q, if the sum needs one.
func (s *slopes) prepare(p, q *Point) {
	var d field
	switch {
	case p.IsInfinity() || q.IsInfinity():
		return
	case p.x != q.x:
		d.sub(&q.x, &p.x)
	case p.y == q.y:
		d.add(&p.y, &p.y) // not zero: the group has no point of order 2
	default:
		return // p = -q
	}
	n := len(s.denominators)
	s.products = append(s.products, field{})
	s.products[n+1].mul(&s.products[n], &d)
	s.denominators = append(s.denominators, d)
}

func (s *slopes) invert() {
	if n := len(s.denominators); n > 0 {
		s.inverse.inverse(&s.products[n])
	}
}

// add sets sum = p + q for the last pair that is left; sum may be p or q.
func (s *slopes) add(sum, p, q *Point) {
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
	last := len(s.denominators) - 1
	slope.mul(&slope, &s.products[last])
	slope.mul(&slope, &s.inverse)
	s.inverse.mul(&s.inverse, &s.denominators[last])
	s.denominators = s.denominators[:last]
	x.square(&slope)
	x.sub(&x, &p.x)
	x.sub(&x, &q.x)
	y.sub(&p.x, &x)
	y.mul(&y, &slope)
	sum.y.sub(&y, &p.y)
	sum.x = x
}
