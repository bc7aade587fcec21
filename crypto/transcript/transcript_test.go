package transcript

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/curve"
)

// Whatever differs in what was said gives another challenge.
func TestEveryMessageCounts(t *testing.T) {
	g, two := curve.Generator, curve.BaseMulVarTime(curve.ScalarOf(2))
	said := map[string]func(t *Transcript){
		"nothing":             func(*Transcript) {},
		"empty bytes":         func(t *Transcript) { t.Bytes("a", nil) },
		"bytes":               func(t *Transcript) { t.Bytes("a", []byte("bc")) },
		"another label":       func(t *Transcript) { t.Bytes("ab", []byte("c")) },
		"in two":              func(t *Transcript) { t.Bytes("a", []byte("b")); t.Bytes("a", []byte("c")) },
		"number":              func(t *Transcript) { t.Number("a", 1) },
		"another number":      func(t *Transcript) { t.Number("a", 2) },
		"point":               func(t *Transcript) { t.Points("a", g) },
		"another point":       func(t *Transcript) { t.Points("a", two) },
		"points":              func(t *Transcript) { t.Points("a", g, two) },
		"points, turned":      func(t *Transcript) { t.Points("a", two, g) },
		"points one by one":   func(t *Transcript) { t.Points("a", g); t.Points("a", two) },
		"infinity":            func(t *Transcript) { t.Points("a", curve.Point{}) },
		"scalar":              func(t *Transcript) { t.Scalars("a", curve.ScalarOf(1)) },
		"another scalar":      func(t *Transcript) { t.Scalars("a", curve.ScalarOf(2)) },
		"a challenge between": func(t *Transcript) { t.Challenge("e") },
	}
	seen := map[curve.Scalar]string{}
	for name, say := range said {
		tr := New("test")
		say(&tr)
		before := tr
		c := tr.Challenge("c")
		require.Empty(t, seen[c], name)
		seen[c] = name
		require.Equal(t, c, before.Challenge("c"), "%s: a copy goes the same way", name)
		require.NotEqual(t, c, tr.Challenge("c"), "%s: a challenge is absorbed", name)
		require.NotEqual(t, c, before.Challenge("d"), name)
	}
	other := New("another protocol")
	require.Empty(t, seen[other.Challenge("c")])
}
