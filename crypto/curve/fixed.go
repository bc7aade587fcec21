package curve

// fixedWidth is the width of a digit of what [Fixed] sums up.
const (
	fixedWidth   = 8
	fixedWindows = 256/fixedWidth + 1
)

// Fixed sums up multiples of points that never change, such as a proof's generators: the
// multiples by powers of two are there already, so that all digits fall into one set of buckets.
// It takes 2 KB a point, and half of the time of a [Sum]. It is safe for concurrent use.
type Fixed struct {
	n      int
	points []Point // window by window
}

// NewFixed prepares points, none of which is infinity.
func NewFixed(points []Point) *Fixed {
	f := &Fixed{n: len(points)}
	step := make([]jacobian, len(points))
	for i := range points {
		step[i].set(&points[i])
	}
	all := make([]jacobian, 0, fixedWindows*len(points))
	for range fixedWindows {
		all = append(all, step...)
		for i := range step {
			for range fixedWidth {
				step[i].double()
			}
		}
	}
	f.points = affines(all)
	return f
}

// Sum returns the sum of the points times as many scalars. Variable time: for public data only.
func (f *Fixed) Sum(scalars []Scalar) Point {
	b := newBuckets(fixedWidth, 1)
	digits := make([]int16, f.n*fixedWindows)
	for i := range f.n {
		words := scalars[i].v.Bits()
		b.digits(digits[i*fixedWindows:(i+1)*fixedWindows], words[:])
	}
	b.fill(len(digits), func(i, _ int) (int16, int) { return digits[i], i%fixedWindows*f.n + i/fixedWindows })
	b.reduce(f.points)
	return b.collectOne()
}

// collectOne is [buckets.collect] of a single window, whose sums depend on each other: no
// inversion is shared.
func (b *buckets) collectOne() Point {
	var running, total jacobian
	for v := b.values - 1; v >= 0; v-- {
		if b.count[v] > 0 {
			p := &b.points[b.start[v]]
			if !p.IsInfinity() {
				running.add(&p.x, &p.y)
			}
		}
		total.addJacobian(&running)
	}
	return total.affine()
}
