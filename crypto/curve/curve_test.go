package curve

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawScalar draws from all scalars, with a liking for the small, the large and those near the
// endomorphism's eigenvalue.
func drawScalar(t *rapid.T, name string) Scalar {
	s := ReduceScalar(rapid.SliceOfN(rapid.Byte(), 0, 48).Draw(t, name))
	switch rapid.IntRange(0, 5).Draw(t, name+" kind") {
	case 0:
		s = ScalarOf(rapid.Uint64Range(0, 40).Draw(t, name))
	case 1:
		s = ScalarOf(rapid.Uint64Range(0, 40).Draw(t, name)).Neg()
	case 2:
		s = Scalar{lambda}.Add(ScalarOf(rapid.Uint64Range(0, 3).Draw(t, name)))
	}
	return s
}

func drawPoint(t *rapid.T, name string) Point { return byLibrary(drawScalar(t, name), Generator) }

// byLibrary multiplies with the curve library.
func byLibrary(k Scalar, p Point) Point {
	a := secp256k1.G1Affine{X: p.x.element(), Y: p.y.element()}
	a.ScalarMultiplication(&a, k.v.BigInt(new(big.Int)))
	return pointOf(&a)
}

// pointOf converts from the curve library's form, in which (0, 0) is infinity too.
func pointOf(a *secp256k1.G1Affine) (p Point) {
	x, y := a.X.Bytes(), a.Y.Bytes()
	p.x.setBytes(x[:])
	p.y.setBytes(y[:])
	return p
}

func TestPointsFormAGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawScalar(t, "a"), drawScalar(t, "b")
		p, q := byLibrary(a, Generator), byLibrary(b, Generator)
		require.Equal(t, byLibrary(a.Add(b), Generator), p.Add(q))
		require.Equal(t, byLibrary(a.Sub(b), Generator), p.Sub(q))
		require.Equal(t, q.Add(p), p.Add(q))
		require.True(t, p.Sub(p).IsInfinity())
		require.Equal(t, p, p.Add(Point{}))
		require.Equal(t, p, Point{}.Add(p))
		require.Equal(t, []Point{p.Add(q), p.Add(p), {}, p, q}, AddAll([]Point{p, p, p, p, {}}, []Point{q, p, p.Neg(), {}, q}))
	})
}

func TestMultiplesAgreeWithTheCurveLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k, base := drawScalar(t, "k"), drawScalar(t, "base")
		p := drawPoint(t, "p")
		require.Equal(t, byLibrary(k, p), MulVarTime(k, p))
		require.Equal(t, byLibrary(k, Generator), BaseMulVarTime(k))
		want := byLibrary(base, Generator)
		var points []Point
		var scalars []Scalar
		for range rapid.IntRange(0, 4).Draw(t, "terms") {
			points, scalars = append(points, drawPoint(t, "point")), append(scalars, drawScalar(t, "scalar"))
		}
		sum := NewSum(len(points) + 1)
		sum.Add(&Generator, base)
		for i, p := range mulAll(k, points) {
			require.Equal(t, byLibrary(k, points[i]), p)
		}
		terms := make([]Term, len(points))
		for i, table := range Tables(points...) {
			terms[i] = Term{K: scalars[i], P: table}
			want = want.Add(byLibrary(scalars[i], points[i]))
			sum.Add(&points[i], scalars[i])
		}
		require.Equal(t, want, FewVarTime(base, terms...))
		prepared := Combination{Base: base}
		for i, w := range Prepare(points...) {
			prepared.Terms = append(prepared.Terms, Multiple{scalars[i], w})
		}
		require.Equal(t, []Point{want}, new(Combiner).CombineVarTime([]Combination{prepared}))
		one, two := TwoVarTime(base, terms, k, nil)
		require.Equal(t, want, one)
		require.Equal(t, byLibrary(k, Generator), two)
		require.Equal(t, want, sum.Total())
	})
}

// Without y, a multiple's x is the same; what is no x coordinate of a point does no harm.
func TestMultiplesByTheXCoordinateAlone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := drawScalar(rt, "k")
		if k.IsZero() {
			k = ScalarOf(1)
		}
		var encoded [][PointSize]byte
		var want []Point
		for range rapid.IntRange(0, 5).Draw(rt, "points") {
			if rapid.IntRange(0, 3).Draw(rt, "nonsense") == 0 {
				raw := [PointSize]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 0xff}), PointSize, PointSize).Draw(rt, "bytes"))
				encoded, want = append(encoded, raw), append(want, Point{})
				continue
			}
			p := drawPoint(rt, "point")
			encoded, want = append(encoded, p.Bytes()), append(want, p)
		}
		got := MulXAllVarTime(k, encoded)
		require.Len(rt, got, len(encoded))
		for i := range want {
			if !want[i].IsInfinity() {
				require.Equal(rt, byLibrary(k, want[i]).X(), got[i])
			}
			if x := encoded[i][1:]; bytes.Equal(x, bytes.Repeat([]byte{0xff}, 32)) {
				require.Zero(rt, got[i], "at least the modulus")
			}
		}
	})
	g := Generator.Bytes()
	negative := g
	negative[0] ^= 1
	same := MulXAllVarTime(ScalarOf(5), [][PointSize]byte{g, negative})
	require.Equal(t, same[0], same[1])
	require.Equal(t, byLibrary(ScalarOf(5), Generator).X(), same[0])
	require.Empty(t, MulXAllVarTime(ScalarOf(5), nil))
}

func TestFixedSumsAgreeWithSums(t *testing.T) {
	var points []Point
	for i := range uint64(7) {
		points = append(points, byLibrary(ScalarOf(i*i+1), Generator))
	}
	points = append(points, points[0], points[1].Neg()) // equal and opposite ones meet
	fixed := NewFixed(points)
	rapid.Check(t, func(t *rapid.T) {
		sum := NewSum(len(points))
		scalars := make([]Scalar, len(points))
		for i := range points {
			scalars[i] = drawScalar(t, "scalar")
			sum.Add(&points[i], scalars[i])
		}
		require.Equal(t, sum.Total(), fixed.Sum(scalars))
	})
}

func TestJacobianPointsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, q := drawPoint(t, "p"), drawPoint(t, "q")
		if rapid.IntRange(0, 3).Draw(t, "related") == 0 {
			q = rapid.SampledFrom([]Point{p, p.Neg(), {}}).Draw(t, "q is")
		}
		var a, b jacobian
		a.set(&p)
		b.set(&q)
		a.double()
		b.double() // so that neither z is 1
		a.addJacobian(&b)
		require.Equal(t, p.Add(p).Add(q.Add(q)), a.affine())
	})
}

func TestScalarsAreNumbersModuloTheOrder(t *testing.T) {
	n := fr.Modulus()
	number := func(s Scalar) *big.Int { return s.v.BigInt(new(big.Int)) }
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawScalar(t, "a"), drawScalar(t, "b")
		mod := func(x *big.Int) string { return x.Mod(x, n).String() }
		require.Equal(t, mod(new(big.Int).Add(number(a), number(b))), number(a.Add(b)).String())
		require.Equal(t, mod(new(big.Int).Sub(number(a), number(b))), number(a.Sub(b)).String())
		require.Equal(t, mod(new(big.Int).Mul(number(a), number(b))), number(a.Mul(b)).String())
		require.Equal(t, mod(new(big.Int).Neg(number(a))), number(a.Neg()).String())
		all := []Scalar{a, b, {}}
		InvertAll(all)
		for i, s := range []Scalar{a, b, {}} {
			require.Equal(t, s.InverseVarTime(), all[i])
			require.Equal(t, !s.IsZero(), s.Mul(all[i]) == ScalarOf(1))
		}
		enc := a.Bytes()
		back, err := ParseScalar(enc[:])
		require.NoError(t, err)
		require.Equal(t, a, back)
		text, err := json.Marshal(a)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, a, back)
	})
	for d := int64(-2); d < 3; d++ {
		_, err := ParseScalar(new(big.Int).Add(n, big.NewInt(d)).FillBytes(make([]byte, 32)))
		require.Equal(t, d < 0, err == nil, "n%+d", d)
	}
	for _, size := range []int{0, 31, 33} {
		_, err := ParseScalar(make([]byte, size))
		require.ErrorIs(t, err, ErrScalar)
	}
}

func TestRandomScalarsAreDrawnFromTheReader(t *testing.T) {
	s, err := RandomScalar(bytes.NewReader(append(make([]byte, 48), bytes.Repeat([]byte{1}, 48)...)))
	require.NoError(t, err)
	require.Equal(t, ReduceScalar(bytes.Repeat([]byte{1}, 48)), s, "zero is not taken")
	_, err = RandomScalar(bytes.NewReader(nil))
	require.Error(t, err)
	_, err = RandomScalar(rand.Reader)
	require.NoError(t, err)
}

func TestPointsHaveOneEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPoint(t, "p")
		b := p.Bytes()
		back, err := ParsePoint(b[:])
		if p.IsInfinity() {
			require.ErrorIs(t, err, ErrPoint)
			_, err = p.MarshalBinary()
			require.ErrorIs(t, err, ErrPoint)
			return
		}
		require.NoError(t, err)
		require.Equal(t, p, back)
	})
	g := Generator.Bytes()
	modulus := secpFieldModulus()
	for name, b := range map[string][]byte{
		"nothing":          {},
		"infinity":         make([]byte, 33),
		"infinity, SEC 1":  {0},
		"short":            g[:32],
		"long":             append(g[:], 0),
		"uncompressed tag": append([]byte{4}, g[1:]...),
		"hybrid tag":       append([]byte{6}, g[1:]...),
		"off the curve":    append([]byte{2}, big.NewInt(5).FillBytes(make([]byte, 32))...),
		"x is p":           append([]byte{2}, modulus.Bytes()...),
		"x is p+1":         append([]byte{2}, new(big.Int).Add(modulus, big.NewInt(1)).Bytes()...),
	} {
		_, err := ParsePoint(b)
		require.ErrorIs(t, err, ErrPoint, name)
	}
}

func FuzzParsePoint(f *testing.F) {
	g := Generator.Bytes()
	f.Add(g[:])
	f.Add(make([]byte, 33))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePoint(b)
		if err != nil {
			require.ErrorIs(t, err, ErrPoint)
			return
		}
		enc := p.Bytes()
		require.Equal(t, b, enc[:])
		require.Equal(t, p, MulVarTime(ScalarOf(1), p))
		require.True(t, (&secp256k1.G1Affine{X: p.x.element(), Y: p.y.element()}).IsOnCurve())
	})
}

// The vectors of RFC 9380, appendix J.8.1.
func TestHashToPointOfRFC9380(t *testing.T) {
	raw, err := os.ReadFile("testdata/rfc9380_secp256k1.json")
	require.NoError(t, err)
	var suite struct {
		Ciphersuite, DST string
		Vectors          []struct {
			Msg string
			P   struct{ X, Y string }
		}
	}
	require.NoError(t, json.Unmarshal(raw, &suite))
	require.Equal(t, "secp256k1_XMD:SHA-256_SSWU_RO_", suite.Ciphersuite)
	require.Len(t, suite.Vectors, 5)
	var msgs [][]byte
	for _, v := range suite.Vectors {
		msgs = append(msgs, []byte(v.Msg))
	}
	together := HashToPoints(suite.DST, msgs...)
	for i, v := range suite.Vectors {
		p := HashToPoint([]byte(v.Msg), suite.DST)
		require.Equal(t, p, together[i])
		x, y := p.x.bytes(), p.y.bytes()
		require.Equal(t, v.P.X, "0x"+hex.EncodeToString(x[:]), v.Msg)
		require.Equal(t, v.P.Y, "0x"+hex.EncodeToString(y[:]), v.Msg)
	}
}

// The map's exceptional input, u = 0, which no message is known to give (section 6.6.2).
func TestMapOfZeroIsOnTheCurve(t *testing.T) {
	p := mapToCurve([]field{{}, {5}, {}})
	require.Equal(t, p[0], p[2])
	for _, q := range p {
		b := q.Bytes()
		back, err := ParsePoint(b[:])
		require.NoError(t, err)
		require.Equal(t, q, back)
	}
}

func BenchmarkPoint(b *testing.B) {
	k, l := hashedScalar("k"), hashedScalar("l")
	p := BaseMulVarTime(l)
	a := secp256k1.G1Affine{X: p.x.element(), Y: p.y.element()}
	number := k.v.BigInt(new(big.Int))
	b.Run("base", func(b *testing.B) {
		for b.Loop() {
			BaseMulVarTime(k)
		}
	})
	b.Run("variable", func(b *testing.B) {
		for b.Loop() {
			MulVarTime(k, p)
		}
	})
	b.Run("variable-gnark", func(b *testing.B) {
		for b.Loop() {
			var out secp256k1.G1Affine
			out.ScalarMultiplication(&a, number)
		}
	})
	b.Run("joint", func(b *testing.B) {
		for b.Loop() {
			FewVarTime(l, Term{K: k, P: Tables(p)[0]})
		}
	})
	b.Run("joint-with-table", func(b *testing.B) {
		t := Tables(p)[0]
		for b.Loop() {
			FewVarTime(l, Term{K: k, P: t})
		}
	})
	b.Run("variable-all-256", func(b *testing.B) {
		encoded := make([][PointSize]byte, 256)
		for i := range encoded {
			encoded[i] = p.Bytes()
			p = p.Add(Generator)
		}
		for b.Loop() {
			MulXAllVarTime(k, encoded)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(256*b.N), "µs/point")
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			HashToPoint([]byte("message"), "tag")
		}
	})
	b.Run("hash-16", func(b *testing.B) {
		msgs := make([][]byte, 16)
		for i := range msgs {
			msgs[i] = []byte{byte(i)}
		}
		for b.Loop() {
			HashToPoints("tag", msgs...)
		}
	})
	b.Run("parse", func(b *testing.B) {
		enc := p.Bytes()
		for b.Loop() {
			_, _ = ParsePoint(enc[:])
		}
	})
	b.Run("fixed-130", func(b *testing.B) {
		points, scalars := make([]Point, 130), make([]Scalar, 130)
		for i := range points {
			scalars[i] = ScalarOf(uint64(i + 3)).InverseVarTime()
			points[i] = BaseMulVarTime(scalars[i].Mul(l))
		}
		f := NewFixed(points)
		for b.Loop() {
			f.Sum(scalars)
		}
	})
	for _, n := range []int{16, 146, 1154} {
		b.Run("sum-"+big.NewInt(int64(n)).String(), func(b *testing.B) {
			points, scalars := make([]Point, n), make([]Scalar, n)
			for i := range points {
				scalars[i] = ScalarOf(uint64(i + 3)).InverseVarTime()
				points[i] = BaseMulVarTime(scalars[i].Mul(l))
			}
			for b.Loop() {
				s := NewSum(n)
				for i := range points {
					s.Add(&points[i], scalars[i])
				}
				s.Total()
			}
		})
	}
}

// hashedScalar is a scalar that looks random.
func hashedScalar(of string) Scalar {
	p := HashToPoint([]byte(of), "test")
	x := p.X()
	return ReduceScalar(x[:])
}
