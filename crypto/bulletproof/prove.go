package bulletproof

import (
	"fmt"
	"io"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/pedersen"
	"github.com/starlingmesh/starling/crypto/transcript"
)

// Prove proves that the commitment to an amount with a blinding factor holds 64 bits. It reads 32
// bytes of rand, and mixes the secrets in: with a rand that repeats itself two proofs of
// different statements still share no secrets. Variable time; see crypto/curve.
func Prove(rand io.Reader, amount uint64, blinding curve.Scalar) (*Proof, error) {
	commitment := pedersen.Commit(amount, blinding)
	nonces, err := newNonces(rand, amount, blinding, commitment)
	if err != nil {
		return nil, err
	}
	return prove(nonces, commitment, amount, blinding), nil
}

func prove(nonces transcript.Transcript, commitment curve.Point, amount uint64, blinding curve.Scalar) *Proof {
	p := new(Proof)
	w := &witness{gens: generators()}
	w.alpha = nonces.Challenge("alpha")
	p.A = w.commit(amount)
	t := begin(commitment)
	var c challenges
	c.first(&t, p.A)
	w.enter(amount, blinding, c.y, c.z)
	for i := range rounds {
		dl, dr := nonces.Challenge("d_L"), nonces.Challenge("d_R")
		p.L[i], p.R[i] = w.halves(dl, dr)
		c.next(&t, i, p.L[i], p.R[i])
		w.fold(c.round[i], dl, dr)
	}
	r, s, delta, eta := nonces.Challenge("r"), nonces.Challenge("s"), nonces.Challenge("delta"), nonces.Challenge("eta")
	a, b := w.a[0], w.b[0]
	p.A1 = w.sum([]curve.Scalar{r}, 0, []curve.Scalar{s}, 0, c.y.Mul(r.Mul(b).Add(s.Mul(a))), delta)
	p.B = w.sum(nil, 0, nil, 0, r.Mul(c.y).Mul(s), eta)
	c.last(&t, p.A1, p.B)
	p.R1 = r.Add(a.Mul(c.e))
	p.S1 = s.Add(b.Mul(c.e))
	p.D1 = eta.Add(delta.Mul(c.e)).Add(w.alpha.Mul(c.e).Mul(c.e))
	return p
}

// newNonces begins a stream of secret scalars.
func newNonces(rand io.Reader, amount uint64, blinding curve.Scalar, commitment curve.Point) (transcript.Transcript, error) {
	var seed [32]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return transcript.Transcript{}, fmt.Errorf("draw the nonces of a range proof: %w", err)
	}
	t := transcript.New(protocol + "/nonces")
	t.Bytes("seed", seed[:])
	t.Number("amount", amount)
	t.Scalars("blinding", blinding)
	t.Points("commitment", commitment)
	return t, nil
}

// witness is what the prover knows in the weighted inner product argument (figure 1). The
// generators are not folded from round to round: each folded one is a sum of those of the
// beginning, whose factors are kept instead.
type witness struct {
	gens   struct{ g, h [Bits]curve.Point }
	a, b   []curve.Scalar
	alpha  curve.Scalar
	y      []curve.Scalar // powers, from y^0 to y^64
	inv    []curve.Scalar // powers of 1/y, from y^0 to y^-32
	gk, hk [Bits]curve.Scalar
}

// commit is A: the bits, and the bits less one.
func (w *witness) commit(amount uint64) curve.Point {
	m := curve.NewSum(Bits + 1)
	for i := range Bits {
		if amount>>i&1 == 1 {
			m.AddHalf(&w.gens.g[i], [2]uint64{1})
		} else {
			minus := w.gens.h[i].Neg()
			m.AddHalf(&minus, [2]uint64{1})
		}
	}
	m.Add(&curve.Generator, w.alpha)
	return m.Total()
}

// enter shifts the bits by the challenges: what is left to prove is that a weighted inner
// product has the value that the commitment gives.
func (w *witness) enter(amount uint64, blinding, y, z curve.Scalar) {
	w.y = powers(y, Bits+1)
	w.inv = powers(y.InverseVarTime(), Bits/2)
	w.a, w.b = make([]curve.Scalar, Bits), make([]curve.Scalar, Bits)
	one, z2 := curve.ScalarOf(1), z.Mul(z)
	for i := range Bits {
		bit := curve.ScalarOf(amount >> i & 1)
		w.a[i] = bit.Sub(z)
		w.b[i] = bit.Sub(one).Add(z).Add(z2.Mul(curve.ScalarOf(1 << i)).Mul(w.y[Bits-i]))
		w.gk[i], w.hk[i] = one, one
	}
	w.alpha = w.alpha.Add(z2.Mul(w.y[Bits]).Mul(y).Mul(blinding))
}

// halves are L and R of a round.
func (w *witness) halves(dl, dr curve.Scalar) (l, r curve.Point) {
	n := len(w.a) / 2
	a1, a2, b1, b2 := w.a[:n], w.a[n:], w.b[:n], w.b[n:]
	var cl, cr curve.Scalar
	low, high := make([]curve.Scalar, n), make([]curve.Scalar, n)
	for i := range n {
		cl = cl.Add(a1[i].Mul(w.y[i+1]).Mul(b2[i]))
		cr = cr.Add(a2[i].Mul(w.y[n+i+1]).Mul(b1[i]))
		low[i], high[i] = a1[i].Mul(w.inverseY(n)), a2[i].Mul(w.y[n])
	}
	return w.sum(low, n, b2, 0, cl, dl), w.sum(high, 0, b1, n, cr, dr)
}

func (w *witness) inverseY(n int) curve.Scalar { return w.inv[n-1].Mul(w.inv[1]) }

// sum is a of the folded generators g from a place on, b of h, the amount base, and the blinding
// base.
func (w *witness) sum(a []curve.Scalar, fromA int, b []curve.Scalar, fromB int, amount, blinding curve.Scalar) curve.Point {
	scalars := make([]curve.Scalar, 2*Bits+2) // those that are 0 cost nothing
	for i := range Bits {
		folded := i % len(w.a)
		if at := folded - fromA; at >= 0 && at < len(a) {
			scalars[i] = a[at].Mul(w.gk[i])
		}
		if at := folded - fromB; at >= 0 && at < len(b) {
			scalars[Bits+i] = b[at].Mul(w.hk[i])
		}
	}
	scalars[2*Bits], scalars[2*Bits+1] = amount, blinding
	return fixed().Sum(scalars)
}

// fold halves the vectors.
func (w *witness) fold(e, dl, dr curve.Scalar) {
	n := len(w.a) / 2
	inverse := e.InverseVarTime()
	eY := e.Mul(w.inverseY(n))
	for i := range Bits {
		if i%len(w.a) < n {
			w.gk[i], w.hk[i] = w.gk[i].Mul(inverse), w.hk[i].Mul(e)
		} else {
			w.gk[i], w.hk[i] = w.gk[i].Mul(eY), w.hk[i].Mul(inverse)
		}
	}
	a, b := make([]curve.Scalar, n), make([]curve.Scalar, n)
	for i := range n {
		a[i] = w.a[i].Mul(e).Add(w.a[n+i].Mul(w.y[n]).Mul(inverse))
		b[i] = w.b[i].Mul(inverse).Add(w.b[n+i].Mul(e))
	}
	w.a, w.b = a, b
	w.alpha = w.alpha.Add(dl.Mul(e).Mul(e)).Add(dr.Mul(inverse).Mul(inverse))
}

// powers are x^0 to x^(n-1).
func powers(x curve.Scalar, n int) []curve.Scalar {
	out := make([]curve.Scalar, n)
	out[0] = curve.ScalarOf(1)
	for i := 1; i < n; i++ {
		out[i] = out[i-1].Mul(x)
	}
	return out
}
