package lab

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Variant is one value of a sweep.
type Variant struct {
	Value   string // as a person would write it; empty outside of a sweep
	Options Options
}

// maxVariants bounds a sweep.
const maxVariants = 32

// axis is something that a sweep can change.
type axis struct {
	parse func(string) (float64, error)
	set   func(*Options, float64)
	show  func(float64) string
}

func whole(parse func(string) (int64, error)) func(string) (float64, error) {
	return func(s string) (float64, error) {
		n, err := parse(s)
		return float64(n), err
	}
}

func parseRTT(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	return float64(d), err
}

func parseNodes(s string) (n float64, err error) {
	var i int
	if _, err = fmt.Sscanf(s, "%d", &i); err != nil {
		return 0, fmt.Errorf("nodes %q is not a number", s)
	}
	return float64(i), nil
}

var axes = map[string]axis{
	"size":   {whole(ParseSize), func(o *Options, v float64) { o.Size = int64(v) }, func(v float64) string { return humanize.IBytes(uint64(v)) }},
	"uplink": {whole(ParseRate), func(o *Options, v float64) { o.Uplink = int64(v) }, func(v float64) string { return fmt.Sprintf("%gmbit", v/1e6) }},
	"loss":   {ParseShare, func(o *Options, v float64) { o.Loss = v }, func(v float64) string { return fmt.Sprintf("%g%%", 100*v) }},
	"rtt":    {parseRTT, func(o *Options, v float64) { o.RTT = time.Duration(v) }, func(v float64) string { return time.Duration(v).String() }},
	"nodes":  {parseNodes, func(o *Options, v float64) { o.Nodes = int(v) }, func(v float64) string { return fmt.Sprint(int(v)) }},
}

// Sweep reads "axis=from..to" (size, nodes, loss, uplink, rtt) and returns o
// with each value from the first, doubling, up to the last.
func Sweep(o Options, spec string) ([]Variant, error) {
	name, span, _ := strings.Cut(spec, "=")
	from, to, ok := strings.Cut(span, "..")
	ax, known := axes[name]
	if !ok || !known {
		return nil, fmt.Errorf("sweep %q is not like size=256KiB..32MiB; it can be size, nodes, loss, uplink or rtt", spec)
	}
	first, err := ax.parse(from)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	last, err := ax.parse(to)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	if first <= 0 || last < first {
		return nil, fmt.Errorf("sweep %q must begin above 0 and not end below that, as it doubles", spec)
	}
	var all []Variant
	for v := first; v <= last*(1+1e-9); v *= 2 {
		w := o
		ax.set(&w, v)
		if err := w.Validate(); err != nil {
			return nil, fmt.Errorf("sweep: %w", err)
		}
		if all = append(all, Variant{ax.show(v), w}); len(all) > maxVariants {
			return nil, fmt.Errorf("sweep %q has more than %d values", spec, maxVariants)
		}
	}
	return all, nil
}
