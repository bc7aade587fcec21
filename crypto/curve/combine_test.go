package curve

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Combinations of few points and small scalars, so that equal and opposite multiples meet in one pile, on
// the way down from bit to bit, and with those of the base.
func TestCombinationsAgreeWithTheCurveLibrary(t *testing.T) {
	points := []Point{Generator, Generator.Neg(), byLibrary(ScalarOf(3), Generator), byLibrary(Scalar{lambda}, Generator), byLibrary(hashedScalar("p"), Generator), {}}
	prepared := Prepare(points...)
	combiner := new(Combiner)
	rapid.Check(t, func(t *rapid.T) {
		all := make([]Combination, rapid.IntRange(0, 5).Draw(t, "combinations"))
		want := make([]Point, len(all))
		for i := range all {
			all[i].Base = drawScalar(t, "base")
			want[i] = byLibrary(all[i].Base, Generator)
			k := drawScalar(t, "k")
			for range rapid.IntRange(0, 5).Draw(t, "terms") {
				switch rapid.IntRange(0, 2).Draw(t, "next") {
				case 0:
					k = drawScalar(t, "k")
				case 1:
					k = k.Neg()
				}
				at := rapid.IntRange(0, len(points)-1).Draw(t, "point")
				all[i].Terms = append(all[i].Terms, Multiple{k, prepared[at]})
				want[i] = want[i].Add(byLibrary(k, points[at]))
			}
		}
		require.Equal(t, want, combiner.CombineVarTime(all))
	})
}

// The pieces of a scalar's halves carry into each other, and the last one beyond its bits.
func TestPiecesOfScalarsCarry(t *testing.T) {
	prepared := Prepare(Generator)[0]
	ones := ScalarOf(1)
	for bit := range 256 {
		for _, k := range []Scalar{ones, ones.Sub(ScalarOf(1)), ones.Add(ScalarOf(1))} {
			got := new(Combiner).CombineVarTime([]Combination{{Terms: []Multiple{{k, prepared}}}})
			require.Equal(t, BaseMulVarTime(k), got[0], bit)
		}
		ones = ones.Add(ones)
	}
	for _, half := range [][2]uint64{{1<<64 - 1, 1<<64 - 1}, {0, 1<<64 - 1}, {1<<64 - 1, 0}} {
		c := new(Combiner)
		c.half(0, half, false, prepared, false)
		c.pile(pilesOf)
		c.piles.level(0, len(c.piles.count))
		sum := c.sum(0)
		want := new(Sum)
		want.AddHalf(&Generator, half)
		require.Equal(t, want.Total(), sum.affine())
	}
}
