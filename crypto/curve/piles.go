package curve

// piles are points of which each pile is added up by itself, all in step.
type piles struct {
	start, count []int32 // of each pile in points
	points       []Point
	lines        slopes
}

func newPiles(n int) piles { return piles{start: make([]int32, n), count: make([]int32, n)} }

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

// level adds up every pile, in rounds: each adds neighbours in all piles, so that a pile of n points is
// one point after log2(n) rounds.
func (p *piles) level() {
	for {
		p.lines.reset()
		p.neighbours(func(_, a, b *Point) { p.lines.prepare(a, b) })
		if len(p.lines.values) == 0 {
			return
		}
		p.lines.invert()
		p.neighbours(p.lines.add)
		for i, count := range p.count {
			if count&1 == 1 {
				row := p.points[p.start[i] : p.start[i]+count]
				row[count/2] = row[count-1]
			}
			p.count[i] = (count + 1) / 2
		}
	}
}

// neighbours calls f for every pair of neighbours in a pile with the place for their sum.
func (p *piles) neighbours(f func(sum, a, b *Point)) {
	for i, count := range p.count {
		row := p.points[p.start[i] : p.start[i]+count]
		for j := 0; j+1 < len(row); j += 2 {
			f(&row[j/2], &row[j], &row[j+1])
		}
	}
}
