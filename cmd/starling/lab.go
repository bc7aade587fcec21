package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/testnet/lab"
)

func newLabCmd(a *app) *cobra.Command {
	return group("lab", "measure the network stack over emulated links",
		"  starling lab propagate --nodes 20 --size 1MiB --loss 1%\n  starling lab scale --nodes 10000 --size 32MiB --plot scale.svg", newLabPropagateCmd(a), newLabScaleCmd(a), newLabSeatCmd())
}

// labFlags are the flags that need parsing of their own.
type labFlags struct {
	size, fragment, uplink, downlink, loss, churn string
	topology, sweep, csv, plot                    string
	namespaces                                    bool
}

func newLabPropagateCmd(a *app) *cobra.Command {
	o := lab.Defaults()
	var l labFlags
	cmd := &cobra.Command{
		Use:   "propagate",
		Short: "measure how a payload spreads to all nodes by several methods",
		Long: `Starts real libp2p hosts over emulated QUIC links in virtual time, publishes one
payload at the first node, and shows when the others had it and what it cost.`,
		Example: "  starling lab propagate --nodes 50 --size 8MiB --uplink 50mbit --rtt 80ms --loss 2%\n" +
			"  starling lab propagate --sweep size=256KiB..4MiB --csv sizes.csv",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.complete(&o); err != nil {
				return &usageError{err}
			}
			return a.propagate(cmd.Context(), o, l)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Nodes, "nodes", o.Nodes, "how many nodes, the publisher included")
	f.StringVar(&l.size, "size", "1MiB", "size of the payload")
	f.StringVar(&l.fragment, "fragment", "128KiB", "size of fragments, in methods that cut payloads")
	f.StringVar(&l.uplink, "uplink", "50mbit", "rate of each node's uplink")
	f.StringVar(&l.downlink, "downlink", "", "rate of each node's downlink (default four times the uplink)")
	f.DurationVar(&o.RTT, "rtt", o.RTT, "round trip between any two nodes")
	f.DurationVar(&o.Jitter, "jitter", 0, "at most so much is added to each packet's way")
	f.StringVar(&l.loss, "loss", "0%", "share of packets lost")
	f.StringVar(&l.churn, "churn", "0%", "share of nodes that lose their network early in the run; every second comes back after 2s, the others count only if they got the payload before")
	f.StringSliceVar(&o.Methods, "method", o.Methods, "methods to compare")
	f.IntVar(&o.Degree, "degree", o.Degree, "how many others each node dials, in methods with a mesh")
	f.DurationVar(&o.Deadline, "deadline", o.Deadline, "end a run after so much virtual time")
	f.StringVar(&l.topology, "topology", "", "round trips in place of --rtt: a CSV file of lines region,region,ms, or \"world\", measured ones between twelve regions")
	f.BoolVar(&l.namespaces, "namespaces", false, "run between network namespaces in real time, one process a node (root, Linux), in place of the emulation")
	f.StringVar(&l.sweep, "sweep", "", "double one of size, nodes, uplink, rtt, loss: size=256KiB..32MiB")
	f.StringVar(&l.csv, "csv", "", "also write the figures to this file")
	f.StringVar(&l.plot, "plot", "", "also draw arrivals, or the sweep, to this .svg or .png file")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "decides keys, payload, mesh, regions and churn")
	return cmd
}

func (l labFlags) complete(o *lab.Options) (err error) {
	set := func(to *int64, parse func(string) (int64, error), s string) {
		if err == nil && s != "" {
			*to, err = parse(s)
		}
	}
	set(&o.Size, lab.ParseSize, l.size)
	set(&o.Fragment, lab.ParseSize, l.fragment)
	set(&o.Uplink, lab.ParseRate, l.uplink)
	set(&o.Downlink, lab.ParseRate, l.downlink)
	if err != nil {
		return err
	}
	if o.Loss, err = lab.ParseShare(l.loss); err != nil {
		return fmt.Errorf("loss: %w", err)
	}
	if o.Churn, err = lab.ParseShare(l.churn); err != nil {
		return fmt.Errorf("churn: %w", err)
	}
	if l.plot != "" {
		if _, err := lab.PlotFormat(l.plot); err != nil {
			return err
		}
	}
	if l.topology == "world" {
		o.Topology = lab.World()
	} else if l.topology != "" {
		f, err := os.Open(l.topology)
		if err != nil {
			return err
		}
		defer f.Close()
		if o.Topology, err = lab.ReadTopology(f); err != nil {
			return err
		}
	}
	return o.Validate()
}

func (a *app) propagate(ctx context.Context, o lab.Options, l labFlags) error {
	runs := []lab.Variant{{Options: o}}
	if l.sweep != "" {
		var err error
		if runs, err = lab.Sweep(o, l.sweep); err != nil {
			return &usageError{err}
		}
	}
	var points []lab.Point
	var failed error
	for _, v := range runs {
		v.Options.Progress = a.labProgress(v.Value)
		r, err := l.run(ctx, v.Options)
		a.labProgressEnd()
		if len(r) > 0 { // what was measured is shown in any case
			points = append(points, lab.Point{Value: v.Value, Results: r})
		}
		if failed = err; err != nil {
			break
		}
	}
	if len(points) == 0 {
		return failed
	}
	return errors.Join(failed, l.write(points), a.print(points, func(w io.Writer) { a.labTable(w, points) }))
}

func (l labFlags) run(ctx context.Context, o lab.Options) ([]lab.Result, error) {
	if !l.namespaces {
		return lab.Run(ctx, o)
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return lab.RunReal(ctx, o, binary)
}

// newLabSeatCmd is what propagate --namespaces starts for each node.
func newLabSeatCmd() *cobra.Command {
	return &cobra.Command{
		Use: "seat", Short: "one node of a run between namespaces, by orders from standard input", Hidden: true, Args: exactly(),
		Example: `  echo '{"end":true}' | starling lab seat`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return lab.RunSeat(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// write writes the files that were asked for.
func (l labFlags) write(points []lab.Point) error {
	if l.csv != "" {
		if err := writeLabCSV(l.csv, points); err != nil {
			return fmt.Errorf("write figures: %w", err)
		}
	}
	if l.plot == "" {
		return nil
	}
	format, err := lab.PlotFormat(l.plot)
	if err != nil {
		return err
	}
	var drawn bytes.Buffer
	if err := lab.Plot(&drawn, format, points); err != nil {
		return err
	}
	if err := os.WriteFile(l.plot, drawn.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write plot: %w", err)
	}
	return nil
}

// labProgress draws a bar on a terminal.
func (a *app) labProgress(value string) func(string, int, int, time.Duration) {
	if a.quiet || a.json || !interactive(a.stderr) {
		return nil
	}
	return func(method string, reached, nodes int, at time.Duration) {
		const width = 30
		full := width * reached / nodes
		fmt.Fprintf(a.stderr, "\r%-20s %s [%s%s] %d/%d  %.2fs virtual\x1b[K", method, value,
			strings.Repeat("#", full), strings.Repeat(".", width-full), reached, nodes, at.Seconds())
	}
}

func (a *app) labProgressEnd() {
	if !a.quiet && !a.json && interactive(a.stderr) {
		fmt.Fprint(a.stderr, "\r\x1b[K")
	}
}

var labHeader = []string{"value", "method", "50%", "90%", "99%", "100%", "bound", "publisher/payload", "total/(payload x nodes)", "duplicates", "repairs", "cpu s", "unreached", "gone"}

func labSeconds(s float64) string {
	if s < 0 {
		return "never"
	}
	return strconv.FormatFloat(s, 'f', 3, 64)
}

func labRow(value string, r lab.Result) []string {
	return []string{
		value, r.Method, labSeconds(r.P50), labSeconds(r.P90), labSeconds(r.P99), labSeconds(r.All), labSeconds(r.Bound),
		fmt.Sprintf("%.2f", r.PublisherBytes), fmt.Sprintf("%.2f", r.TotalBytes),
		strconv.FormatUint(r.Duplicates, 10), strconv.FormatUint(r.Repairs, 10),
		fmt.Sprintf("%.1f", r.CPU), strconv.Itoa(r.Unreached), strconv.Itoa(r.Gone),
	}
}

func (a *app) labTable(w io.Writer, points []lab.Point) {
	skip := 0
	if len(points) == 1 {
		skip = 1
	}
	var rows [][]any
	for _, p := range points {
		for _, r := range p.Results {
			var row []any
			for _, cell := range labRow(p.Value, r)[skip:] {
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
	}
	a.table(w, labHeader[skip:], rows)
}

func writeLabCSV(path string, points []lab.Point) error {
	lines := [][]string{slices.Clone(labHeader)}
	for _, p := range points {
		for _, r := range p.Results {
			lines = append(lines, labRow(p.Value, r))
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := csv.NewWriter(f).WriteAll(lines); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
