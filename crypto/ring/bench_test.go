package ring

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func benchmarkSpend(n int) spend {
	return rapid.Custom(func(t *rapid.T) spend { return drawSpend(t, n) }).Example(5)
}

func BenchmarkSign(b *testing.B) {
	s := benchmarkSpend(DefaultSize)
	for b.Loop() {
		s.sign(b)
	}
}

func BenchmarkVerifyEach(b *testing.B) {
	s := benchmarkSpend(DefaultSize)
	members := Prepare(s.Ring...)
	for _, n := range []int{1, 4, 16, 32, 64, 128} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				for _, err := range VerifyEach(slices.Repeat([]Claim{{s.Statement, members, s.sig}}, n)) {
					require.NoError(b, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/signature")
		})
	}
	b.Run("prepare", func(b *testing.B) {
		for b.Loop() {
			Prepare(s.Ring...)
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(s.Ring)), "µs/member")
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, n := range []int{2, DefaultSize, MaxSize} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchmarkSpend(n)
			for b.Loop() {
				if s.sig.Verify(s.Statement) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
