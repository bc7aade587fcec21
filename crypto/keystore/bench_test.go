package keystore

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func BenchmarkOpen(b *testing.B) {
	file, err := Seal([]byte("secret"), example, []byte("pass"), DefaultParams(), constant{})
	require.NoError(b, err)
	for b.Loop() {
		if _, _, err := Open(file, []byte("pass")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tries/s")
}

func BenchmarkInspect(b *testing.B) {
	file := seal(b, "secret")
	for b.Loop() {
		if _, err := Inspect(file); err != nil {
			b.Fatal(err)
		}
	}
}

type constant struct{}

func (constant) Read(p []byte) (int, error) { return len(p), nil }
