package curve

import (
	"encoding/binary"
	"math/bits"

	"github.com/consensys/gnark-crypto/ecc/secp256k1/fp"
)

// field is a number modulo p = 2^256 - 2^32 - 977, the field of secp256k1, in
// four little-endian words below p, so that equal numbers are equal by ==.
//
// The curve library's field is generic Montgomery arithmetic; here the special
// form of p makes a multiplication nearly twice as fast, and verification in
// batches is made of nothing else. Variable time: for public data only.
type field [4]uint64

// fold is 2^256 modulo p.
const fold = 1<<32 + 977

func (z *field) isZero() bool { return z[0]|z[1]|z[2]|z[3] == 0 }

func (z *field) isOdd() bool { return z[0]&1 == 1 }

// setBytes reads 32 bytes, big-endian, and reports whether they are below p.
func (z *field) setBytes(b []byte) bool {
	for i := range z {
		z[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return !z.overflows()
}

func (z *field) bytes() (b [32]byte) {
	for i := range z {
		binary.BigEndian.PutUint64(b[24-8*i:], z[i])
	}
	return b
}

// element converts to the curve library's form.
func (z *field) element() (e fp.Element) {
	b := z.bytes()
	e.SetBytes(b[:])
	return e
}

func (z *field) overflows() bool {
	return z[0] >= 1<<64-fold && z[1]&z[2]&z[3] == 1<<64-1
}

// addFold adds c*2^256, which is c*fold, and brings the sum below p. c is 0 or 1.
func (z *field) addFold(c uint64) {
	z[0], c = bits.Add64(z[0], fold&-c, 0)
	z[1], c = bits.Add64(z[1], 0, c)
	z[2], c = bits.Add64(z[2], 0, c)
	z[3], _ = bits.Add64(z[3], 0, c)
	if z.overflows() { // about once in 2^223 for honest numbers
		z[0], z[1], z[2], z[3] = z[0]+fold, 0, 0, 0
	}
}

func (z *field) add(x, y *field) {
	var c uint64
	z[0], c = bits.Add64(x[0], y[0], 0)
	z[1], c = bits.Add64(x[1], y[1], c)
	z[2], c = bits.Add64(x[2], y[2], c)
	z[3], c = bits.Add64(x[3], y[3], c)
	z.addFold(c)
}

func (z *field) sub(x, y *field) {
	var c uint64
	z[0], c = bits.Sub64(x[0], y[0], 0)
	z[1], c = bits.Sub64(x[1], y[1], c)
	z[2], c = bits.Sub64(x[2], y[2], c)
	z[3], c = bits.Sub64(x[3], y[3], c)
	z[0], c = bits.Sub64(z[0], fold&-c, 0) // adds p: the 2^256 of it is the borrow
	z[1], c = bits.Sub64(z[1], 0, c)
	z[2], c = bits.Sub64(z[2], 0, c)
	z[3], _ = bits.Sub64(z[3], 0, c)
}

func (z *field) neg(x *field) { z.sub(&field{}, x) }

// negIf sets z to -x if which is 1 and to x if it is 0, in the same steps: a processor cannot guess which.
func (z *field) negIf(x *field, which uint64) {
	var minus field
	minus.neg(x)
	for i := range z {
		z[i] = x[i] ^ (x[i]^minus[i])&-which
	}
}

func (z *field) mul(x, y *field) {
	var t0, t1, t2, t3, t4, t5, t6, t7, c uint64
	{
		h0, l0 := bits.Mul64(x[0], y[0])
		h1, l1 := bits.Mul64(x[0], y[1])
		h2, l2 := bits.Mul64(x[0], y[2])
		h3, l3 := bits.Mul64(x[0], y[3])
		t0 = l0
		t1, c = bits.Add64(h0, l1, 0)
		t2, c = bits.Add64(h1, l2, c)
		t3, c = bits.Add64(h2, l3, c)
		t4 = h3 + c
	}
	{
		h0, l0 := bits.Mul64(x[1], y[0])
		h1, l1 := bits.Mul64(x[1], y[1])
		h2, l2 := bits.Mul64(x[1], y[2])
		h3, l3 := bits.Mul64(x[1], y[3])
		t1, c = bits.Add64(t1, l0, 0)
		t2, c = bits.Add64(t2, l1, c)
		t3, c = bits.Add64(t3, l2, c)
		t4, c = bits.Add64(t4, l3, c)
		t5 = c
		t2, c = bits.Add64(t2, h0, 0)
		t3, c = bits.Add64(t3, h1, c)
		t4, c = bits.Add64(t4, h2, c)
		t5 += h3 + c
	}
	{
		h0, l0 := bits.Mul64(x[2], y[0])
		h1, l1 := bits.Mul64(x[2], y[1])
		h2, l2 := bits.Mul64(x[2], y[2])
		h3, l3 := bits.Mul64(x[2], y[3])
		t2, c = bits.Add64(t2, l0, 0)
		t3, c = bits.Add64(t3, l1, c)
		t4, c = bits.Add64(t4, l2, c)
		t5, c = bits.Add64(t5, l3, c)
		t6 = c
		t3, c = bits.Add64(t3, h0, 0)
		t4, c = bits.Add64(t4, h1, c)
		t5, c = bits.Add64(t5, h2, c)
		t6 += h3 + c
	}
	{
		h0, l0 := bits.Mul64(x[3], y[0])
		h1, l1 := bits.Mul64(x[3], y[1])
		h2, l2 := bits.Mul64(x[3], y[2])
		h3, l3 := bits.Mul64(x[3], y[3])
		t3, c = bits.Add64(t3, l0, 0)
		t4, c = bits.Add64(t4, l1, c)
		t5, c = bits.Add64(t5, l2, c)
		t6, c = bits.Add64(t6, l3, c)
		t7 = c
		t4, c = bits.Add64(t4, h0, 0)
		t5, c = bits.Add64(t5, h1, c)
		t6, c = bits.Add64(t6, h2, c)
		t7 += h3 + c
	}
	z.reduce(t0, t1, t2, t3, t4, t5, t6, t7)
}

func (z *field) square(x *field) {
	h01, l01 := bits.Mul64(x[0], x[1])
	h02, l02 := bits.Mul64(x[0], x[2])
	h03, l03 := bits.Mul64(x[0], x[3])
	h12, l12 := bits.Mul64(x[1], x[2])
	h13, l13 := bits.Mul64(x[1], x[3])
	h23, l23 := bits.Mul64(x[2], x[3])
	var c uint64
	t1 := l01
	t2, c := bits.Add64(h01, l02, 0)
	t3, c := bits.Add64(h02, l03, c)
	t4, c := bits.Add64(h03, l13, c)
	t5, c := bits.Add64(h13, l23, c)
	t6 := h23 + c
	t3, c = bits.Add64(t3, l12, 0)
	t4, c = bits.Add64(t4, h12, c)
	t5, c = bits.Add64(t5, 0, c)
	t6, t7 := bits.Add64(t6, 0, c)

	t1, c = bits.Add64(t1, t1, 0) // every mixed product counts twice
	t2, c = bits.Add64(t2, t2, c)
	t3, c = bits.Add64(t3, t3, c)
	t4, c = bits.Add64(t4, t4, c)
	t5, c = bits.Add64(t5, t5, c)
	t6, c = bits.Add64(t6, t6, c)
	t7 += t7 + c

	h0, t0 := bits.Mul64(x[0], x[0])
	h1, l1 := bits.Mul64(x[1], x[1])
	h2, l2 := bits.Mul64(x[2], x[2])
	h3, l3 := bits.Mul64(x[3], x[3])
	t1, c = bits.Add64(t1, h0, 0)
	t2, c = bits.Add64(t2, l1, c)
	t3, c = bits.Add64(t3, h1, c)
	t4, c = bits.Add64(t4, l2, c)
	t5, c = bits.Add64(t5, h2, c)
	t6, c = bits.Add64(t6, l3, c)
	t7, _ = bits.Add64(t7, h3, c)
	z.reduce(t0, t1, t2, t3, t4, t5, t6, t7)
}

// reduce folds the upper half of a product onto the lower one, twice.
func (z *field) reduce(t0, t1, t2, t3, t4, t5, t6, t7 uint64) {
	h4, l4 := bits.Mul64(t4, fold)
	h5, l5 := bits.Mul64(t5, fold)
	h6, l6 := bits.Mul64(t6, fold)
	h7, l7 := bits.Mul64(t7, fold)
	t0, c := bits.Add64(t0, l4, 0)
	t1, c = bits.Add64(t1, l5, c)
	t2, c = bits.Add64(t2, l6, c)
	t3, c = bits.Add64(t3, l7, c)
	t4 = h7 + c // below 2^34
	t1, c = bits.Add64(t1, h4, 0)
	t2, c = bits.Add64(t2, h5, c)
	t3, c = bits.Add64(t3, h6, c)
	t4 += c
	hi, lo := bits.Mul64(t4, fold)
	z[0], c = bits.Add64(t0, lo, 0)
	z[1], c = bits.Add64(t1, hi, c)
	z[2], c = bits.Add64(t2, 0, c)
	z[3], c = bits.Add64(t3, 0, c)
	z.addFold(c)
}

// sqrt sets z to a square root of x, or of -x, and reports whether it is of x: one of the two has
// one, as p is 3 modulo 4. It is x to the power of (p+1)/4, whose binary form is 223 ones, a zero, 22 ones, 0000, 11, 00.
func (z *field) sqrt(x *field) bool {
	var x2, x3, x6, x22, x44, x88, t field
	raise := func(out, base *field, squarings int, times *field) {
		t := *base
		for range squarings {
			t.square(&t)
		}
		out.mul(&t, times)
	}
	in := *x
	raise(&x2, &in, 1, &in) // 2 ones
	raise(&x3, &x2, 1, &in) // 3
	raise(&x6, &x3, 3, &x3) // 6
	raise(&t, &x6, 3, &x3)  // 9
	raise(&t, &t, 2, &x2)   // 11
	raise(&x22, &t, 11, &t) // 22
	raise(&x44, &x22, 22, &x22)
	raise(&x88, &x44, 44, &x44)
	raise(&t, &x88, 88, &x88) // 176
	raise(&t, &t, 44, &x44)   // 220
	raise(&t, &t, 3, &x3)     // 223
	raise(&t, &t, 23, &x22)
	raise(&t, &t, 6, &x2)
	t.square(&t)
	t.square(&t)
	*z = t
	t.square(&t)
	return t == in
}

// inverse sets z to 1/x; x is not zero.
func (z *field) inverse(x *field) {
	e := x.element()
	e.Inverse(&e)
	b := e.Bytes()
	z.setBytes(b[:])
}

// invertAll replaces elements by their inverses, with one inversion for all (Montgomery's trick:
// three multiplications for each); 0 stays 0.
func invertAll(all []field) {
	products := make([]field, len(all)+1) // of those before each, and of all
	products[0] = field{1}
	for i := range all {
		if all[i].isZero() {
			products[i+1] = products[i]
		} else {
			products[i+1].mul(&products[i], &all[i])
		}
	}
	var running field
	running.inverse(&products[len(all)])
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].isZero() {
			continue
		}
		products[i].mul(&products[i], &running)
		running.mul(&running, &all[i])
		all[i] = products[i]
	}
}
