package lab

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScaleIsBoundedAndGrowsByHopsNotByNodes(t *testing.T) {
	o := DefaultScale()
	o.Nodes, o.Size, o.Loss, o.Dead, o.Fanout = 1000, 4<<20, 0, 0, 30
	points, err := Scale(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, []int{10, 32, 100, 316, 1000}, []int{points[0].Nodes, points[1].Nodes, points[2].Nodes, points[3].Nodes, points[4].Nodes})
	for _, p := range points {
		require.Zero(t, p.Repaired, "%d nodes", p.Nodes)
		require.Greater(t, p.P99, p.Bound, "nothing is faster than the bound")
		require.Less(t, p.P99, 4*p.Bound, "%d nodes", p.Nodes)
	}
	require.Less(t, points[4].P99, 3*points[0].P99, "a hundred times the nodes")
	again, err := Scale(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, points, again, "the seed decides everything")
	var svg bytes.Buffer
	require.NoError(t, PlotScale(&svg, "svg", points))
	require.Contains(t, svg.String(), "99%")
}

func TestScaleSurvivesLossWithTheParityItChose(t *testing.T) {
	o := DefaultScale()
	o.Nodes, o.Size, o.Loss, o.Dead = 200, 4<<20, 0.02, 0.1
	points, err := Scale(t.Context(), o)
	require.NoError(t, err)
	for _, p := range points[1:] { // of ten nodes one or two are dead at random
		require.Less(t, p.Repaired, 0.6, "%d nodes, %s", p.Nodes, p.Shape)
	}
}

func TestBadScalesAreRefused(t *testing.T) {
	for _, change := range []func(*ScaleOptions){
		func(o *ScaleOptions) { o.Nodes = 1 }, func(o *ScaleOptions) { o.Size = 0 }, func(o *ScaleOptions) { o.Uplink = 1 },
		func(o *ScaleOptions) { o.Loss = 0.9 }, func(o *ScaleOptions) { o.Dead = -1 }, func(o *ScaleOptions) { o.Fanout = 1 },
	} {
		o := DefaultScale()
		change(&o)
		_, err := Scale(t.Context(), o)
		require.Error(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Scale(ctx, DefaultScale())
	require.ErrorIs(t, err, context.Canceled)
}
