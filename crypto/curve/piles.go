package curve

import "slices"

// piles are points of which each pile is added up by itself, all in step.
type piles struct {
	start, count []int32 // of each pile in points
	points       []Point
	lines        slopes
}

// reset makes n piles of no points.
func (p *piles) reset(n int) {
	p.start, p.count = slices.Grow(p.start[:0], n)[:n], slices.Grow(p.count[:0], n)[:n]
	clear(p.count)
}

// place makes piles of the sizes counted stand one behind the other, empty, and returns what they will
// hold together.
func (p *piles) place() (total int32) {
	for i, n := range p.count {
		p.start[i] = total
		total += n
		p.count[i] = 0
	}
	return total
}

// level adds up some piles, in rounds: each folds the second half of every pile onto the first, so that a pile
// of n points is one point after log2(n) rounds.
func (p *piles) level(from, to int) {
	for {
		p.lines.reset()
		pairs := false
		for i := from; i < to; i++ {
			count := p.count[i]
			half, row := p.half(i, count)
			for j := range int(count) - half {
				p.lines.prepare(&row[j], &row[half+j])
				pairs = true
			}
		}
		if !pairs {
			return
		}
		p.lines.invert()
		for i := to - 1; i >= from; i-- {
			count := p.count[i]
			half, row := p.half(i, count)
			for j := int(count) - half - 1; j >= 0; j-- {
				p.lines.add(&row[j], &row[j], &row[half+j])
			}
			p.count[i] = int32(half)
		}
	}
}

// half is half of a pile's size, rounded up, and the pile.
func (p *piles) half(i int, count int32) (half int, pile []Point) {
	return int(count+1) / 2, p.points[p.start[i] : p.start[i]+count]
}
