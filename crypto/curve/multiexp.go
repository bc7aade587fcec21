package curve

// Sum adds up many points times scalars (Pippenger's bucket method). It beats the curve
// library's own for our sizes in two ways: scalars of 256 bits are split in two halves by the
// curve's endomorphism, so that they line up with weights of 128 bits; and points are added in
// affine coordinates, with one field inversion for a whole round of additions. Variable time:
// for public data only.
type Sum struct {
	points  []Point     // never infinity
	scalars [][2]uint64 // below 2^128, little-endian words
}

// NewSum makes an empty sum with room for some points.
func NewSum(size int) *Sum {
	return &Sum{points: make([]Point, 0, 2*size), scalars: make([][2]uint64, 0, 2*size)}
}

// AddHalf adds p times a number below 2^128, in little-endian words.
func (m *Sum) AddHalf(p *Point, k [2]uint64) {
	if k == [2]uint64{} || p.IsInfinity() {
		return
	}
	m.points = append(m.points, *p)
	m.scalars = append(m.scalars, k)
}

// Add adds p times any scalar.
func (m *Sum) Add(p *Point, k Scalar) {
	if p.IsInfinity() {
		return
	}
	k1, neg1, k2, neg2 := split(&k.v)
	q := *p
	if neg1 {
		q.y.neg(&p.y)
	}
	m.AddHalf(&q, k1)
	q.x.mul(&p.x, &beta)
	q.y = p.y
	if neg2 {
		q.y.neg(&p.y)
	}
	m.AddHalf(&q, k2)
}

// window returns the width in bits of a digit that makes the sum cheapest, as
// measured: a wider digit means fewer additions into more buckets.
func (m *Sum) window() int {
	switch n := len(m.points); {
	case n < 12:
		return 3
	case n < 40:
		return 4
	case n < 110:
		return 5
	case n < 400:
		return 6
	case n < 1200:
		return 7
	case n < 4000:
		return 8
	default:
		return 9
	}
}

// Total is the sum.
func (m *Sum) Total() Point {
	if len(m.points) == 0 {
		return Point{}
	}
	width := m.window()
	b := newBuckets(width, 128/width+1) // one bit more than 128 for the last carry
	digits := make([]int16, len(m.points)*b.windows)
	for i, k := range m.scalars {
		b.digits(digits[i*b.windows:(i+1)*b.windows], k[:])
	}
	b.fill(len(m.points), func(i, w int) (int16, int) { return digits[i*b.windows+w], i })
	b.reduce(m.points)
	return b.collect()
}

// buckets holds, for every digit position and every digit value but 0, the
// points that have this digit there. Digits are signed: a negative one puts the
// negated point into the bucket of its absolute value, which halves the buckets.
type buckets struct {
	width, windows, values int
	piles                          // by bucket: window*values + value-1
	refs                   []int32 // places of points, and below 0 the complement of those to be negated
}

func newBuckets(width, windows int) *buckets {
	b := &buckets{width: width, windows: windows, values: 1 << (width - 1)}
	b.reset(windows * b.values)
	return b
}

// fill sorts n points into their buckets by counting: digit gives one's digit in a window, and
// which point goes there.
func (b *buckets) fill(n int, digit func(i, w int) (d int16, place int)) {
	for i := range n {
		for w := range b.windows {
			if d, _ := digit(i, w); d != 0 {
				b.count[b.bucket(w, d)]++
			}
		}
	}
	b.refs = make([]int32, b.place())
	for w := range b.windows {
		for i := range n {
			d, place := digit(i, w)
			if d == 0 {
				continue
			}
			at := b.bucket(w, d)
			ref := int32(place)
			if d < 0 {
				ref = ^ref
			}
			b.refs[b.start[at]+b.count[at]] = ref
			b.count[at]++
		}
	}
}

func (b *buckets) bucket(w int, d int16) int { return w*b.values + int(max(d, -d)) - 1 }

// digits writes k, little-endian words, in base 2^width with digits in
// (-2^(width-1), 2^(width-1)].
func (b *buckets) digits(out []int16, k []uint64) {
	mask := uint64(1)<<b.width - 1
	var carry uint64
	for w := range out {
		at := w * b.width
		var d uint64
		if at/64 < len(k) {
			d = k[at/64] >> (at % 64)
			if at%64+b.width > 64 && at/64+1 < len(k) {
				d |= k[at/64+1] << (64 - at%64)
			}
		}
		d = d&mask + carry
		carry = 0
		if d > uint64(b.values) {
			carry = 1
		}
		out[w] = int16(d) - int16(carry<<b.width)
	}
}

// atOnce is about how many points are added up at once: enough to share inversions, and few enough for a
// processor's cache.
const atOnce = 1 << 14

// reduce adds up the points of every bucket, some buckets at a time.
func (b *buckets) reduce(points []Point) {
	sums := int32(0)
	for _, count := range b.count {
		sums += (count + 1) / 2
	}
	b.points = make([]Point, sums)
	b.lines = newSlopes(min(len(b.refs), 2*atOnce)/2 + 1)
	next := int32(0)
	for from, to := 0, 0; from < len(b.count); from = to {
		for refs := int32(0); to < len(b.count) && refs < atOnce; to++ {
			refs += b.count[to]
		}
		next = b.pair(points, from, to, next)
		b.level(from, to)
	}
}

// pair is the first round of some buckets: it reads the points where they are. Their sums go behind each
// other from first on; it returns where they end.
func (b *buckets) pair(points []Point, from, to int, first int32) (end int32) {
	b.lines.reset()
	end = first
	for i, count := range b.count[from:to] {
		row := b.refs[b.start[from+i] : b.start[from+i]+count]
		for j := 0; j+1 < len(row); j += 2 {
			p, q := signed(points, row[j]), signed(points, row[j+1])
			b.lines.prepare(&p, &q)
		}
		end += (count + 1) / 2
	}
	b.lines.invert()
	next := end
	for i := to - 1; i >= from; i-- {
		count := b.count[i]
		row := b.refs[b.start[i] : b.start[i]+count]
		for j := (len(row) - 1) &^ 1; j >= 0; j -= 2 {
			next--
			out := &b.points[next]
			*out = signed(points, row[j])
			if j+1 < len(row) {
				q := signed(points, row[j+1])
				b.lines.add(out, out, &q)
			}
		}
		b.start[i], b.count[i] = next, (count+1)/2
	}
	return end
}

// place is where the point of a ref is.
func place(ref int32) int32 { return max(ref, ^ref) }

// signed is the point of a ref.
func signed(points []Point, ref int32) Point {
	p := points[place(ref)]
	if ref < 0 {
		p.y.neg(&p.y)
	}
	return p
}

// collect returns sum over windows of 2^(width*window) * sum of value*bucket.
// The inner sums of all windows go in step, to share inversions: adding up the
// running sums from the highest bucket down counts every bucket value times.
func (b *buckets) collect() Point {
	running, total := make([]Point, b.windows), make([]Point, b.windows)
	var infinity Point
	for v := b.values - 1; v >= -1; v-- {
		b.lines.reset()
		next := func(w int) *Point {
			if at := w*b.values + v; v >= 0 && b.count[at] > 0 {
				return &b.points[b.start[at]]
			}
			return &infinity
		}
		for w := range total {
			b.lines.prepare(&running[w], next(w))
			b.lines.prepare(&total[w], &running[w])
		}
		b.lines.invert()
		for w := len(total) - 1; w >= 0; w-- {
			b.lines.add(&total[w], &total[w], &running[w])
			b.lines.add(&running[w], &running[w], next(w))
		}
	}
	return combine(total, b.width)
}

// combine returns sum of 2^(width*i) * totals[i]. The doublings depend on each other, so nothing
// shares an inversion.
func combine(totals []Point, width int) Point {
	var sum jacobian
	for i := len(totals) - 1; i >= 0; i-- {
		for range width {
			sum.double()
		}
		if p := &totals[i]; !p.IsInfinity() {
			sum.add(&p.x, &p.y)
		}
	}
	return sum.affine()
}
