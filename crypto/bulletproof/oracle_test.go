package bulletproof

import (
	"encoding/binary"
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	"golang.org/x/crypto/blake2b"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/pedersen"
)

// The oracle verifies as the paper is written: round after round it folds the generators and the
// claim, with the curve library's points and big integers. It shares no code with what it is to
// judge but the encodings and the generators. It is slow.

type oracle struct {
	state []byte
	n     *big.Int
}

func newOracle() *oracle { return &oracle{state: make([]byte, 64), n: fr.Modulus()} }

func (o *oracle) step(kind byte, label string, data []byte) {
	h, _ := blake2b.New512(nil)
	h.Write(o.state)
	h.Write([]byte{kind})
	_ = binary.Write(h, binary.BigEndian, uint64(len(label)))
	h.Write([]byte(label))
	_ = binary.Write(h, binary.BigEndian, uint64(len(data)))
	h.Write(data)
	o.state = h.Sum(nil)
}

func (o *oracle) challenge(label string) *big.Int {
	o.step('c', label, nil)
	return new(big.Int).Mod(new(big.Int).SetBytes(o.state), o.n)
}

func (o *oracle) points(label string, points ...curve.Point) {
	var all []byte
	for _, p := range points {
		b := p.Bytes()
		all = append(all, b[:]...)
	}
	o.step('m', label, all)
}

type group = secp256k1.G1Jac

func lift(p curve.Point) (j group) {
	var a secp256k1.G1Affine
	x := p.X()
	a.X.SetBytes(x[:])
	a.Y.Square(&a.X).Mul(&a.Y, &a.X)
	seven := a.X
	seven.SetUint64(7)
	a.Y.Add(&a.Y, &seven)
	a.Y.Sqrt(&a.Y)
	if (a.Y.Bits()[0]&1 == 1) != p.OddY() {
		a.Y.Neg(&a.Y)
	}
	if p.IsInfinity() {
		a = secp256k1.G1Affine{}
	}
	j.FromAffine(&a)
	return j
}

// power is p^k in the paper's writing.
func (o *oracle) power(p group, k *big.Int) (out group) {
	out.ScalarMultiplication(&p, new(big.Int).Mod(k, o.n))
	return out
}

func times(points ...group) (out group) {
	out = points[0]
	for i := range points[1:] {
		out.AddAssign(&points[i+1])
	}
	return out
}

func number(s curve.Scalar) *big.Int {
	b := s.Bytes()
	return new(big.Int).SetBytes(b[:])
}

func mul(all ...*big.Int) *big.Int {
	out := big.NewInt(1)
	for _, a := range all {
		out.Mul(out, a).Mod(out, fr.Modulus())
	}
	return out
}

func (o *oracle) verify(v curve.Point, p *Proof) bool {
	o.step('m', "protocol", []byte(protocol))
	o.step('m', "bits", binary.BigEndian.AppendUint64(nil, 64))
	o.step('m', "generators", []byte(generatorTag))
	o.step('m', "amount base", []byte(pedersen.HTag+"/"+pedersen.HMessage))
	o.points("commitment", v)
	o.points("A", p.A)
	y, z := o.challenge("y"), o.challenge("z")

	gens := generators()
	var gs, hs []group
	for i := range Bits {
		gs, hs = append(gs, lift(gens.g[i])), append(hs, lift(gens.h[i]))
	}
	g, h := lift(pedersen.H), lift(curve.Generator)
	yTo := func(k int64) *big.Int { return new(big.Int).Exp(y, big.NewInt(k), o.n) }
	minus := func(x *big.Int) *big.Int { return new(big.Int).Neg(x) }

	// A-hat of figure 3, for one commitment
	acc := lift(p.A)
	oneY, oneTwo := new(big.Int), new(big.Int)
	for i := int64(1); i <= Bits; i++ {
		d := mul(z, z, new(big.Int).Lsh(big.NewInt(1), uint(i-1)))
		acc = times(acc, o.power(gs[i-1], minus(z)), o.power(hs[i-1], new(big.Int).Add(mul(d, yTo(Bits+1-i)), z)))
		oneY.Add(oneY, yTo(i))
		oneTwo.Add(oneTwo, d)
	}
	zeta := new(big.Int).Sub(mul(oneY, z), mul(oneY, z, z))
	zeta.Sub(zeta, mul(oneTwo, yTo(Bits+1), z))
	acc = times(acc, o.power(lift(v), mul(yTo(Bits+1), z, z)), o.power(g, zeta))

	// figure 1
	for j := range p.L {
		n := len(gs) / 2
		o.points("L, R", p.L[j], p.R[j])
		e := o.challenge("e")
		inv := new(big.Int).ModInverse(e, o.n)
		yInv := new(big.Int).ModInverse(yTo(int64(n)), o.n)
		var g2, h2 []group
		for i := range n {
			g2 = append(g2, times(o.power(gs[i], inv), o.power(gs[n+i], mul(e, yInv))))
			h2 = append(h2, times(o.power(hs[i], e), o.power(hs[n+i], inv)))
		}
		gs, hs = g2, h2
		acc = times(o.power(lift(p.L[j]), mul(e, e)), acc, o.power(lift(p.R[j]), mul(inv, inv)))
	}
	o.points("A, B", p.A1, p.B)
	e := o.challenge("last e")
	r, s, d := number(p.R1), number(p.S1), number(p.D1)
	left := times(o.power(acc, mul(e, e)), o.power(lift(p.A1), e), lift(p.B))
	right := times(o.power(gs[0], mul(r, e)), o.power(hs[0], mul(s, e)), o.power(g, mul(r, y, s)), o.power(h, d))
	return left.Equal(&right)
}
