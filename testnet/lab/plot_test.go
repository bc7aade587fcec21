package lab

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlotsDrawEveryMethod(t *testing.T) {
	one := Point{Results: []Result{{Method: "turbine", P99: 2, Bound: 1, Arrivals: []float64{1, 2}}, {Method: "gossipsub", P99: -1, Bound: 1, Unreached: 2}}}
	two := one
	one.Value, two.Value = "1 MiB", "2 MiB"
	for name, points := range map[string][]Point{"arrivals": {one}, "sweep": {one, two}} {
		var svg, png bytes.Buffer
		require.NoError(t, Plot(&svg, "svg", points), name)
		require.Contains(t, svg.String(), "turbine", name)
		require.Contains(t, svg.String(), "bound", name)
		require.NotContains(t, svg.String(), "gossipsub", "what never got there is not drawn")
		require.NoError(t, Plot(&png, "png", points), name)
		require.True(t, strings.HasPrefix(png.String(), "\x89PNG"), name)
	}
	_, err := PlotFormat("a.gif")
	require.ErrorContains(t, err, ".svg or .png")
	format, err := PlotFormat("a.PNG")
	require.NoError(t, err)
	require.Equal(t, "png", format)
}
