package curve

import "slices"

// A prepared point has rows: a scalar's half of 128 bits is cut into as many pieces, and all pieces go
// through the same few doublings.
const (
	rowBits = 32
	rows    = 128 / rowBits
)

// Prepared is a point with all that makes multiplying it fastest, of use for one that is multiplied
// about ten times or more; see [Combiner]. It takes 3 KB.
type Prepared struct {
	odd   [rows][1 << (nafWidth - 2)]Point // 1, 3, ... times 2^(rowBits*row) times the point
	betaX [rows][1 << (nafWidth - 2)]field // x of lambda times these
}

// Prepare prepares points. It is for dozens at once, which share their inversions.
func Prepare(points ...Point) []*Prepared {
	out := make([]*Prepared, len(points))
	for i := range out {
		out[i] = new(Prepared)
	}
	PrepareInto(out, points)
	return out
}

// PrepareInto is [Prepare] where there is room already.
func PrepareInto(out []*Prepared, points []Point) {
	shifted := rowsOf(points)
	doubled := AddAll(shifted, shifted)
	lines := newSlopes(len(shifted))
	entry := func(i, n int) *Point { return &out[i/rows].odd[i%rows][n] }
	for i, p := range shifted {
		*entry(i, 0) = p
	}
	for n := 1; n < 1<<(nafWidth-2); n++ {
		lines.reset()
		for i := range doubled {
			lines.prepare(entry(i, n-1), &doubled[i])
		}
		lines.invert()
		for i := len(doubled) - 1; i >= 0; i-- {
			lines.add(entry(i, n), entry(i, n-1), &doubled[i])
		}
	}
	for _, p := range out {
		for row := range p.odd {
			for n := range p.odd[row] {
				p.betaX[row][n].mul(&p.odd[row][n].x, &beta)
			}
		}
	}
}

// rowsOf are 2^(rowBits*row) times the points, those of a point side by side.
func rowsOf(points []Point) []Point {
	all := make([]jacobian, 0, rows*len(points))
	for i := range points {
		var p jacobian
		p.set(&points[i])
		all = append(all, p)
		for range rows - 1 {
			for range rowBits {
				p.double()
			}
			all = append(all, p)
		}
	}
	return affines(all)
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
	negated uint32 // 1 or 0
	x, y    *field
}

// pilesOf is how many piles a combination has: one for each bit of a row, and one for the carry of the last.
const pilesOf = rowBits + 1

// partsOf is how many parts a term has, and hardly ever more: one digit in 6 is not zero.
const partsOf = 48

// CombineVarTime returns the combinations. What stands at one bit of the scalars' pieces is added up first,
// in affine coordinates with one inversion for a round of all combinations, which takes two thirds of the time of
// adding it to a sum; then each sum is doubled from bit to bit. It is for dozens at once.
func (c *Combiner) CombineVarTime(all []Combination) []Point {
	terms := 0
	for i := range all {
		terms += len(all[i].Terms)
	}
	c.parts = slices.Grow(c.parts[:0], len(all)*baseWindows+terms*partsOf)
	for i := range all {
		c.add(int32(i*pilesOf), &all[i])
	}
	c.pile(len(all) * pilesOf)
	c.piles.level(0, len(c.piles.count))
	sums := make([]jacobian, len(all))
	for i := range all {
		sums[i] = c.sum(i * pilesOf)
	}
	return affines(sums)
}

// add takes the parts of a combination, which go into the piles from the first on.
func (c *Combiner) add(first int32, from *Combination) {
	baseMultiples(from.Base, func(p *Point, negated bool) {
		next := part{pile: first, x: &p.x, y: &p.y}
		if negated {
			next.negated = 1
		}
		c.parts = append(c.parts, next)
	})
	for i := range from.Terms {
		t := &from.Terms[i]
		k1, neg1, k2, neg2 := split(&t.K.v)
		c.half(first, k1, neg1, t.P, false)
		c.half(first, k2, neg2, t.P, true)
	}
}

// half takes the parts of a half of a scalar.
func (c *Combiner) half(first int32, k [2]uint64, negative bool, p *Prepared, beta bool) {
	eachDigit(k, negative, func(at int, d int8) {
		row := min(at/rowBits, rows-1)
		n := max(d, -d) / 2
		next := part{first + int32(at-row*rowBits), uint32(uint8(d) >> 7), &p.odd[row][n].x, &p.odd[row][n].y}
		if beta {
			next.x = &p.betaX[row][n]
		}
		c.parts = append(c.parts, next)
	})
}

// pile puts the parts into n piles.
func (c *Combiner) pile(n int) {
	p := &c.piles
	p.reset(n)
	for i := range c.parts {
		p.count[c.parts[i].pile]++
	}
	total := int(p.place())
	p.points = slices.Grow(p.points[:0], total+total/8)[:total] // the next time it may be a few more
	for i := range c.parts {
		part := &c.parts[i]
		to := &p.points[p.start[part.pile]+p.count[part.pile]]
		p.count[part.pile]++
		to.x = *part.x
		to.y.negIf(part.y, uint64(part.negated))
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
