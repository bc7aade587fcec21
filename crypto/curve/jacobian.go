package curve

// jacobian is a point (x/z^2, y/z^3): adding needs no inversion. z is 0 at infinity.
type jacobian struct{ x, y, z field }

func (j *jacobian) isInfinity() bool { return j.z.isZero() }

func (j *jacobian) set(p *Point) {
	if p.IsInfinity() {
		*j = jacobian{}
		return
	}
	*j = jacobian{p.x, p.y, field{1}}
}

// double sets j to 2j (dbl-2009-l of the Explicit-Formulas Database).
func (j *jacobian) double() {
	var a, b, c, d, e, f, t field
	a.square(&j.x)
	b.square(&j.y)
	c.square(&b)
	d.add(&j.x, &b)
	d.square(&d)
	d.sub(&d, &a)
	d.sub(&d, &c)
	d.add(&d, &d)
	e.add(&a, &a)
	e.add(&e, &a)
	f.square(&e)
	j.z.mul(&j.y, &j.z)
	j.z.add(&j.z, &j.z)
	t.add(&d, &d)
	j.x.sub(&f, &t)
	t.sub(&d, &j.x)
	j.y.mul(&e, &t)
	c.add(&c, &c)
	c.add(&c, &c)
	c.add(&c, &c)
	j.y.sub(&j.y, &c)
}

// add adds an affine point that is not infinity (Guide to Elliptic Curve Cryptography,
// algorithm 3.22).
func (j *jacobian) add(x, y *field) {
	if j.isInfinity() {
		*j = jacobian{*x, *y, field{1}}
		return
	}
	var zz, h, r, hh, hhh, v, t field
	zz.square(&j.z)
	h.mul(x, &zz)
	h.sub(&h, &j.x)
	r.mul(&zz, &j.z)
	r.mul(&r, y)
	r.sub(&r, &j.y)
	if h.isZero() {
		if r.isZero() {
			j.double()
			return
		}
		*j = jacobian{}
		return
	}
	hh.square(&h)
	hhh.mul(&hh, &h)
	v.mul(&j.x, &hh)
	j.x.square(&r)
	j.x.sub(&j.x, &hhh)
	t.add(&v, &v)
	j.x.sub(&j.x, &t)
	v.sub(&v, &j.x)
	v.mul(&v, &r)
	t.mul(&j.y, &hhh)
	j.y.sub(&v, &t)
	j.z.mul(&j.z, &h)
}

// addJacobian adds another point (Guide to Elliptic Curve Cryptography, section 3.2.2).
func (j *jacobian) addJacobian(o *jacobian) {
	switch {
	case o.isInfinity():
		return
	case j.isInfinity():
		*j = *o
		return
	}
	var zz1, zz2, u1, u2, s1, s2, h, r, hh, hhh, v, t field
	zz1.square(&j.z)
	zz2.square(&o.z)
	u1.mul(&j.x, &zz2)
	u2.mul(&o.x, &zz1)
	s1.mul(&j.y, &o.z)
	s1.mul(&s1, &zz2)
	s2.mul(&o.y, &j.z)
	s2.mul(&s2, &zz1)
	h.sub(&u2, &u1)
	r.sub(&s2, &s1)
	if h.isZero() {
		if r.isZero() {
			j.double()
			return
		}
		*j = jacobian{}
		return
	}
	hh.square(&h)
	hhh.mul(&hh, &h)
	v.mul(&u1, &hh)
	j.x.square(&r)
	j.x.sub(&j.x, &hhh)
	t.add(&v, &v)
	j.x.sub(&j.x, &t)
	v.sub(&v, &j.x)
	v.mul(&v, &r)
	t.mul(&s1, &hhh)
	j.y.sub(&v, &t)
	j.z.mul(&j.z, &o.z)
	j.z.mul(&j.z, &h)
}

// addNegated adds the negated point.
func (j *jacobian) addNegated(x, y *field) {
	var minus field
	minus.neg(y)
	j.add(x, &minus)
}

func (j *jacobian) affine() Point {
	if j.isInfinity() {
		return Point{}
	}
	var inverse field
	inverse.inverse(&j.z)
	return j.scaled(&inverse)
}

// scaled is the affine point, given 1/z.
func (j *jacobian) scaled(inverse *field) (p Point) {
	var zz field
	zz.square(inverse)
	p.x.mul(&j.x, &zz)
	zz.mul(&zz, inverse)
	p.y.mul(&j.y, &zz)
	return p
}

// affines converts points, with one inversion for all.
func affines(all []jacobian) []Point {
	out, inverses := make([]Point, len(all)), make([]field, len(all))
	for i := range all {
		inverses[i] = all[i].z
	}
	invertAll(inverses)
	for i := range all {
		out[i] = all[i].scaled(&inverses[i])
	}
	return out
}
