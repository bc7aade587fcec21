package curve

import (
	"math/bits"
	"sync"
)

// MulVarTime returns k*p.
func MulVarTime(k Scalar, p Point) Point {
	return FewVarTime(Scalar{}, Term{K: k, P: Tables(p)[0]})
}

// BaseMulVarTime returns k*G.
func BaseMulVarTime(k Scalar) Point { return FewVarTime(k) }

// Term is a multiple of a point, by its table.
type Term struct {
	K Scalar
	P *Table
}

// FewVarTime returns base*G + the sum of the terms. It is for up to about ten; see [Sum].
func FewVarTime(base Scalar, terms ...Term) Point {
	sum := few(base, terms)
	return sum.affine()
}

// TwoVarTime returns two sums as of [FewVarTime], with one inversion for both.
func TwoVarTime(base1 Scalar, terms1 []Term, base2 Scalar, terms2 []Term) (Point, Point) {
	points := affines([]jacobian{few(base1, terms1), few(base2, terms2)})
	return points[0], points[1]
}

// row is the half of a term's scalar that is along the endomorphism, or the other.
type row struct {
	table  *Table
	digits digits
	beta   bool
}

func few(base Scalar, terms []Term) (sum jacobian) {
	rows := make([]row, 0, 2*len(terms))
	longest := 0
	for _, t := range terms {
		rows = t.rows(rows)
	}
	for i := range rows {
		longest = max(longest, rows[i].digits.len)
	}
	for at := longest - 1; at >= 0; at-- {
		sum.double()
		for i := range rows {
			rows[i].add(&sum, at)
		}
	}
	addBase(&sum, base)
	return sum
}

// rows adds those of a term.
func (t *Term) rows(out []row) []row {
	if t.P.empty {
		return out
	}
	k1, neg1, k2, neg2 := split(&t.K.v)
	return append(out, row{t.P, naf(k1, neg1), false}, row{t.P, naf(k2, neg2), true})
}

// add adds the multiple that stands at a place of the row.
func (r *row) add(sum *jacobian, at int) {
	d := r.digits.at[at]
	if d == 0 {
		return
	}
	n := max(d, -d) / 2
	x, y := &r.table.odd[n].x, &r.table.odd[n].y
	if r.beta {
		x = &r.table.betaX[n]
	}
	if d > 0 {
		sum.add(x, y)
	} else {
		sum.addNegated(x, y)
	}
}

// nafWidth is the width of a digit of a scalar's half: it is 0, or odd and below 2^(nafWidth-1).
const nafWidth = 5

// Table holds the small odd multiples of a point, which make multiplying it fast.
type Table struct {
	odd   [1 << (nafWidth - 2)]Point // 1, 3, ... times the point
	betaX [1 << (nafWidth - 2)]field // x of lambda times these
	empty bool                       // of infinity
}

// Tables makes the tables of points, with two inversions for all.
func Tables(points ...Point) []*Table {
	out := make([]*Table, len(points))
	doubled := AddAll(points, points)
	var multiples []jacobian
	for i := range points {
		out[i] = &Table{empty: points[i].IsInfinity()}
		if out[i].empty {
			continue
		}
		var j jacobian
		j.set(&points[i])
		multiples = append(multiples, j)
		for range len(out[i].odd) - 1 {
			j.add(&doubled[i].x, &doubled[i].y)
			multiples = append(multiples, j)
		}
	}
	flat := affines(multiples)
	for _, t := range out {
		if t.empty {
			continue
		}
		copy(t.odd[:], flat)
		flat = flat[len(t.odd):]
		for n := range t.odd {
			t.betaX[n].mul(&t.odd[n].x, &beta)
		}
	}
	return out
}

// digits is a number in non-adjacent form, the lowest digit first.
type digits struct {
	at  [130]int8
	len int
}

// naf writes a number below 2^128 with digits of nafWidth.
func naf(k [2]uint64, negative bool) (out digits) {
	eachDigit(k, negative, func(at int, d int8) {
		out.at[at] = d
		out.len = at + 1
	})
	return out
}

// eachDigit calls f for the digits that are not zero, the lowest first. What it does next hangs on the number
// only in the last place, so that a processor need not guess it.
func eachDigit(k [2]uint64, negative bool, f func(at int, d int8)) {
	carry, sign := uint64(0), int64(1)
	if negative {
		sign = -1
	}
	for at := 0; at <= 128; {
		rest := shifted(k, at) ^ -carry // zeros, or ones that a carry goes on through, become zeros
		if rest == 0 {
			at += 64
			continue
		}
		at += bits.TrailingZeros64(rest)
		d := shifted(k, at)&(1<<nafWidth-1) + carry
		carry = d >> (nafWidth - 1)
		f(at, int8(sign*(int64(d)-int64(carry<<nafWidth))))
		at += nafWidth
	}
}

// shifted are the 64 bits of a number from a place on.
func shifted(k [2]uint64, at int) uint64 {
	switch {
	case at >= 128:
		return 0
	case at >= 64:
		return k[1] >> (at - 64)
	case at == 0:
		return k[0]
	}
	return k[0]>>at | k[1]<<(64-at)
}

const (
	baseWidth   = 8
	baseWindows = 256/baseWidth + 1
)

// baseTable holds d*2^(8*window)*G for the digits d from 1 to 128.
var baseTable = sync.OnceValue(func() *[baseWindows][1 << (baseWidth - 1)]Point {
	var all []jacobian
	step := Generator
	for range baseWindows {
		var j jacobian
		for range 1 << (baseWidth - 1) {
			j.add(&step.x, &step.y)
			all = append(all, j)
		}
		j.double()
		step = j.affine()
	}
	flat := affines(all)
	out := new([baseWindows][1 << (baseWidth - 1)]Point)
	for w := range out {
		copy(out[w][:], flat[w<<(baseWidth-1):])
	}
	return out
})

// addBase adds k*G.
func addBase(sum *jacobian, k Scalar) {
	baseMultiples(k, func(p *Point, negated bool) {
		if negated {
			sum.addNegated(&p.x, &p.y)
		} else {
			sum.add(&p.x, &p.y)
		}
	})
}

// baseMultiples calls f for the points of the base's table that add up to k*G.
func baseMultiples(k Scalar, f func(p *Point, negated bool)) {
	if k.IsZero() {
		return
	}
	table := baseTable()
	b := k.Bytes()
	carry := 0
	for w := range baseWindows {
		d := carry
		if w < len(b) {
			d += int(b[len(b)-1-w])
		}
		carry = 0
		if d > 1<<(baseWidth-1) {
			d -= 1 << baseWidth
			carry = 1
		}
		if d != 0 {
			f(&table[w][max(d, -d)-1], d < 0)
		}
	}
}
