package lab

import (
	_ "embed" // of world.csv
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Topology is round trips between regions.
type Topology struct {
	regions []string
	rtt     map[[2]string]time.Duration
}

//go:embed world.csv
var world string

// World is measured round trips between twelve regions of the world; the file tells where
// they come from.
func World() *Topology {
	t, err := ReadTopology(strings.NewReader(world))
	if err != nil {
		panic(err) // the file is part of the program: a test reads it
	}
	return t
}

// ReadTopology reads lines "region,region,ms", with # before comments. A
// region's round trip to itself is 1 ms unless given; every other pair must be
// there, in either order.
func ReadTopology(r io.Reader) (*Topology, error) {
	in := csv.NewReader(io.LimitReader(r, 1<<20))
	in.Comment, in.FieldsPerRecord, in.TrimLeadingSpace = '#', 3, true
	lines, err := in.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read topology: %w; lines are region,region,ms", err)
	}
	t := &Topology{rtt: map[[2]string]time.Duration{}}
	names := map[string]bool{}
	for i, l := range lines {
		ms, err := strconv.ParseFloat(l[2], 64)
		if err != nil || math.IsNaN(ms) || ms < 0 || ms > 10_000 {
			return nil, fmt.Errorf("read topology: row %d: %q is not milliseconds from 0 to 10000", i+1, l[2])
		}
		d := time.Duration(ms * float64(time.Millisecond))
		t.rtt[[2]string{l[0], l[1]}], t.rtt[[2]string{l[1], l[0]}] = d, d
		names[l[0]], names[l[1]] = true, true
	}
	t.regions = slices.Sorted(maps.Keys(names))
	return t, t.complete()
}

func (t *Topology) complete() error {
	if len(t.regions) == 0 {
		return fmt.Errorf("read topology: it has no region")
	}
	for _, a := range t.regions {
		for _, b := range t.regions {
			if _, ok := t.rtt[[2]string{a, b}]; ok {
				continue
			}
			if a != b {
				return fmt.Errorf("read topology: no round trip between %s and %s", a, b)
			}
			t.rtt[[2]string{a, a}] = time.Millisecond
		}
	}
	return nil
}

func (t *Topology) nearest() time.Duration {
	return slices.Min(slices.Collect(maps.Values(t.rtt)))
}

func (t *Topology) furthest() time.Duration {
	return slices.Max(slices.Collect(maps.Values(t.rtt)))
}

// delays gives the one-way delay between nodes. With a topology, nodes are
// dealt to the regions in turn, in an order drawn from the seed.
func delays(o Options) func(from, to int) time.Duration {
	if o.Topology == nil {
		return func(int, int) time.Duration { return o.RTT / 2 }
	}
	t := o.Topology
	order := rand.New(rand.NewPCG(o.Seed, saltRegions)).Perm(o.Nodes)
	region := func(i int) string { return t.regions[order[i]%len(t.regions)] }
	return func(from, to int) time.Duration { return t.rtt[[2]string{region(from), region(to)}] / 2 }
}
