// Command plot draws docs/lanes.svg from the figures that `make lanes-plot` measures:
// CSV on standard input, SVG on standard output.
package main

import (
	"encoding/csv"
	"fmt"
	"log"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

func main() {
	if err := draw(); err != nil {
		log.Fatal(err)
	}
}

func draw() error {
	rows, err := csv.NewReader(os.Stdin).ReadAll()
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	var names []string
	lines := map[string]plotter.XYs{}
	for _, row := range rows[1:] {
		n, errN := strconv.ParseFloat(row[0], 64)
		rate, errRate := strconv.ParseFloat(row[3], 64)
		if errN != nil || errRate != nil {
			return fmt.Errorf("read figures: %q", row)
		}
		if lines[row[1]] == nil {
			names = append(names, row[1])
		}
		lines[row[1]] = append(lines[row[1]], plotter.XY{X: n, Y: rate / 1e6})
	}
	p := plot.New()
	p.Title.Text = "Decided bytes a second, uplinks of 50 Mbit/s, links of 100 ms"
	p.X.Label.Text, p.Y.Label.Text = "validators", "MB/s"
	p.Y.Min = 0
	p.Legend.Top, p.Legend.YOffs = true, -3*vg.Centimeter
	p.Add(plotter.NewGrid())
	for i, name := range names {
		line, points, err := plotter.NewLinePoints(lines[name])
		if err != nil {
			return err
		}
		line.Color, points.Color, points.Shape = plotutil.Color(i), plotutil.Color(i), plotutil.Shape(i)
		p.Add(line, points)
		p.Legend.Add(name, line, points)
	}
	c := vgsvg.New(16*vg.Centimeter, 10*vg.Centimeter)
	p.Draw(vgdraw.New(c))
	_, err = c.WriteTo(os.Stdout)
	return err
}
