package curve

// A prepared point has rows: a scalar's half of 128 bits is cut into as many pieces, and all pieces go
// through the same few doublings.
const (
	rowBits = 16
	rows    = 128 / rowBits
)

// Prepared is a point with all that makes multiplying it fastest, of use for one that is multiplied
// about ten times or more; see [Combine]. It takes 6 KB.
type Prepared struct {
	odd   [rows][1 << (nafWidth - 2)]Point // 1, 3, ... times 2^(rowBits*row) times the point
	betaX [rows][1 << (nafWidth - 2)]field // x of lambda times these
}

// Prepare prepares points. It is for dozens at once, which share their inversions.
func Prepare(points ...Point) []*Prepared {
	steps := make([]jacobian, len(points))
	for i := range points {
		steps[i].set(&points[i])
	}
	all := make([]jacobian, 0, rows*len(points))
	for range rows {
		all = append(all, steps...)
		for i := range steps {
			for range rowBits {
				steps[i].double()
			}
		}
	}
	odd := oddMultiples(affines(all))
	out := make([]*Prepared, len(points))
	for i := range points {
		p := new(Prepared)
		for row := range rows {
			for n := range odd {
				p.odd[row][n] = odd[n][row*len(points)+i]
				p.betaX[row][n].mul(&p.odd[row][n].x, &beta)
			}
		}
		out[i] = p
	}
	return out
}

// Combination is a sum to make: Base*G and the terms.
type Combination struct {
	Base  Scalar
	Terms []Multiple
}

// Multiple is a multiple of a prepared point.
type Multiple struct {
	K Scalar
	P *Prepared
}

// Combiner makes many combinations at once. It keeps the room that this takes. The zero value is ready; it
// is not safe for concurrent use.
type Combiner struct {
	parts []part
	piles piles
}

// part is a point of a table that goes into a pile.
type part struct {
	pile    int32
	negated bool
	point   *Point
	betaX   *field // instead of the point's x, if there is one
}

// pilesOf is how many piles a combination has: one for each bit of a row, and one for the carry of the last.
const pilesOf = rowBits + 1

// CombineVarTime returns the combinations. What stands at one bit of the scalars' pieces is added up first,
// in affine coordinates with one inversion for a round of all combinations, which takes two thirds of the time of
// adding it to a sum; then each sum is doubled from bit to bit. It is for dozens at once.
func (c *Combiner) CombineVarTime(all []Combination) []Point {
	c.parts = c.parts[:0]
	for i := range all {
		c.add(int32(i*pilesOf), &all[i])
	}
	c.pile(len(all) * pilesOf)
	c.piles.level()
	sums := make([]jacobian, len(all))
	for i := range all {
		sums[i] = c.sum(i * pilesOf)
	}
	return affines(sums)
}

// add takes the parts of a combination, which go into the piles from the first on.
func (c *Combiner) add(first int32, from *Combination) {
	baseMultiples(from.Base, func(p *Point, negated bool) {
		c.parts = append(c.parts, part{first, negated, p, nil})
	})
	for i := range from.Terms {
		t := &from.Terms[i]
		k1, neg1, k2, neg2 := split(&t.K.v)
		low, high := naf(k1, neg1), naf(k2, neg2)
		c.half(first, &low, t.P, false)
		c.half(first, &high, t.P, true)
	}
}

// half takes the parts of a half of a scalar.
func (c *Combiner) half(first int32, d *digits, p *Prepared, beta bool) {
	for at, digit := range d.at[:d.len] {
		if digit == 0 {
			continue
		}
		row := min(at/rowBits, rows-1)
		n := max(digit, -digit) / 2
		next := part{first + int32(at-row*rowBits), digit < 0, &p.odd[row][n], nil}
		if beta {
			next.betaX = &p.betaX[row][n]
		}
		c.parts = append(c.parts, next)
	}
}

// pile puts the parts into n piles.
func (c *Combiner) pile(n int) {
	if len(c.piles.start) != n {
		lines, points := c.piles.lines, c.piles.points
		c.piles = newPiles(n)
		c.piles.lines, c.piles.points = lines, points
	}
	p := &c.piles
	clear(p.count)
	for i := range c.parts {
		p.count[c.parts[i].pile]++
	}
	total := int(p.place())
	if cap(p.points) < total {
		p.points = make([]Point, total)
		p.lines = newSlopes(total / 2)
	}
	p.points = p.points[:total]
	for i := range c.parts {
		part := &c.parts[i]
		to := &p.points[p.start[part.pile]+p.count[part.pile]]
		p.count[part.pile]++
		*to = *part.point
		if part.betaX != nil {
			to.x = *part.betaX
		}
		if part.negated {
			to.y.neg(&to.y)
		}
	}
}

// sum adds up the piles of a combination, from the highest bit down.
func (c *Combiner) sum(first int) (sum jacobian) {
	for i := first + pilesOf - 1; i >= first; i-- {
		sum.double()
		if c.piles.count[i] == 0 {
			continue
		}
		if p := &c.piles.points[c.piles.start[i]]; !p.IsInfinity() {
			sum.add(&p.x, &p.y)
		}
	}
	return sum
}
