package turbine

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShapesCarryThePayloadAndSurviveTheExpectedLoss(t *testing.T) {
	before := 0
	for _, loss := range []float64{0, 0.02, 0.1, 0.15, 0.3, 0.5} {
		s := ShapeFor(8<<20, 960, loss)
		require.NoError(t, s.Validate())
		require.LessOrEqual(t, s.Data, fullSet)
		require.GreaterOrEqual(t, s.Parity, before, "more loss, more parity")
		before = s.Parity
		t.Logf("8 MiB at %.0f%% loss: %s", 100*loss, s)
	}
	require.InDelta(t, 0.5, tail(1, 0, 0.5), 1e-9)
	require.InDelta(t, 0.25, tail(2, 1, 0.5), 1e-9)
	for _, size := range []int{0, 1, 959, 960, 961, 64 << 10, 128<<10 + 1, 128 << 20} {
		s := ShapeFor(size, 960, 0.1)
		require.NoError(t, s.Validate())
	}
	require.Equal(t, 1, ShapeFor(10, 960, 0).Data)
}
