// Command plot draws a figure of docs from what `make lanes-plot` or `make hops-plot` has
// measured: CSV on standard input, SVG on standard output.
package main

import (
	"encoding/csv"
	"flag"
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

// figure says what is drawn of the rows: a line for each name in the second column, over the
// first.
type figure struct {
	title, x, y string
	column      int     // of the value
	unit        float64 // that it is divided by
	legend      vg.Length
	log         bool // the first column doubles from row to row
}

var figures = map[string]figure{
	"lanes": {"Decided bytes a second, uplinks of 50 Mbit/s, links of 100 ms", "validators", "MB/s", 3, 1e6, -3 * vg.Centimeter, false},
	"hops":  {"Questions one after the other until the owner of a key is found", "members of the ring", "hops, mean", 2, 1, -vg.Centimeter, true},
}

func main() {
	what := flag.String("what", "lanes", "the figure: lanes or hops")
	flag.Parse()
	f, ok := figures[*what]
	if !ok {
		log.Fatalf("-what %s is not known", *what)
	}
	if err := f.draw(); err != nil {
		log.Fatal(err)
	}
}

func (f figure) draw() error {
	rows, err := csv.NewReader(os.Stdin).ReadAll()
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	var names []string
	lines := map[string]plotter.XYs{}
	for _, row := range rows[1:] {
		n, errN := strconv.ParseFloat(row[0], 64)
		rate, errRate := strconv.ParseFloat(row[f.column], 64)
		if errN != nil || errRate != nil {
			return fmt.Errorf("read figures: %q", row)
		}
		if lines[row[1]] == nil {
			names = append(names, row[1])
		}
		lines[row[1]] = append(lines[row[1]], plotter.XY{X: n, Y: rate / f.unit})
	}
	p := plot.New()
	p.Title.Text = f.title
	p.X.Label.Text, p.Y.Label.Text = f.x, f.y
	p.Y.Min = 0
	p.Legend.Top, p.Legend.YOffs = true, f.legend
	if f.log {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, doubling{}
		p.Legend.Left = true
	}
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

// doubling marks powers of two.
type doubling struct{}

// Ticks implements plot.Ticker.
func (doubling) Ticks(low, high float64) (out []plot.Tick) {
	for n := 1.0; n <= high; n *= 2 {
		if n >= low {
			out = append(out, plot.Tick{Value: n, Label: strconv.FormatFloat(n, 'f', 0, 64)})
		}
	}
	return out
}
