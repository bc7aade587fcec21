package lab

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// Point is the results at one value of a sweep; outside of one there is one point with
// an empty value.
type Point struct {
	Value   string   `json:"value,omitempty"`
	Results []Result `json:"results"`
}

// PlotFormat reads the format of a drawing, svg or png, from the name of its file.
func PlotFormat(path string) (string, error) {
	switch format := strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), "."); format {
	case "svg", "png":
		return format, nil
	}
	return "", fmt.Errorf("plot %s: want a name that ends in .svg or .png", path)
}

// Plot draws the results in a format, svg or png: of one point, how many nodes had the
// payload when; of a sweep, when 99% of them had it.
func Plot(out io.Writer, format string, points []Point) error {
	p := plot.New()
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	p.X.Min, p.Y.Min = 0, 0
	lines := sweepLines(p, points)
	if len(points) == 1 {
		lines = arrivalLines(p, points[0])
	}
	return draw(p, lines, out, format)
}

// PlotScale draws the times of groups against their size.
func PlotScale(out io.Writer, format string, points []ScalePoint) error {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "nodes", "seconds"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Add(plotter.NewGrid())
	p.Legend.Top, p.Legend.Left = true, true
	p.Y.Min = 0
	lines := []plotLine{{name: "99% of nodes"}, {name: "half of the nodes"}, {name: "bound"}}
	for _, point := range points {
		for i, y := range []float64{point.P99, point.P50, point.Bound} {
			if y >= 0 {
				lines[i].xys = append(lines[i].xys, plotter.XY{X: float64(point.Nodes), Y: y})
			}
		}
	}
	return draw(p, lines, out, format)
}

// draw adds the lines that have points and writes the drawing.
func draw(p *plot.Plot, lines []plotLine, out io.Writer, format string) error {
	for i, l := range lines {
		if len(l.xys) == 0 {
			continue // it never got there
		}
		line, marks, err := plotter.NewLinePoints(l.xys)
		if err != nil {
			return fmt.Errorf("plot %s: %w", l.name, err)
		}
		line.Color, marks.Color, marks.Shape, marks.Radius = plotutil.Color(i), plotutil.Color(i), plotutil.Shape(i), vg.Points(1.5)
		p.Add(line, marks)
		p.Legend.Add(l.name, line, marks)
	}
	w, err := p.WriterTo(18*vg.Centimeter, 11*vg.Centimeter, format)
	if err == nil {
		_, err = w.WriteTo(out)
	}
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	return nil
}

type plotLine struct {
	name string
	xys  plotter.XYs
}

// arrivalLines are the distributions of arrivals, a line a method, and the bound.
func arrivalLines(p *plot.Plot, point Point) (lines []plotLine) {
	p.X.Label.Text, p.Y.Label.Text, p.Y.Max = "seconds after publishing", "% of nodes", 100
	for _, r := range point.Results {
		l := plotLine{name: r.Method}
		n := len(r.Arrivals) + r.Unreached
		for i, at := range r.Arrivals {
			l.xys = append(l.xys, plotter.XY{X: at, Y: 100 * float64(i+1) / float64(n)})
		}
		lines = append(lines, l)
	}
	if len(point.Results) > 0 {
		bound := point.Results[0].Bound
		lines = append(lines, plotLine{"bound", plotter.XYs{{X: bound, Y: 0}, {X: bound, Y: 100}}})
	}
	return lines
}

// sweepLines are the times to 99%, a line a method, and the bound.
func sweepLines(p *plot.Plot, points []Point) (lines []plotLine) {
	p.X.Label.Text, p.Y.Label.Text = "value", "seconds to 99% of nodes"
	if len(points) == 0 {
		return nil
	}
	names := make([]string, len(points))
	for i, point := range points {
		names[i] = point.Value
	}
	p.NominalX(names...)
	for k, r := range points[0].Results {
		l := plotLine{name: r.Method}
		for i, point := range points {
			if k < len(point.Results) && point.Results[k].P99 >= 0 {
				l.xys = append(l.xys, plotter.XY{X: float64(i), Y: point.Results[k].P99})
			}
		}
		lines = append(lines, l)
	}
	bound := plotLine{name: "bound"}
	for i, point := range points {
		if len(point.Results) > 0 {
			bound.xys = append(bound.xys, plotter.XY{X: float64(i), Y: point.Results[0].Bound})
		}
	}
	return append(lines, bound)
}
