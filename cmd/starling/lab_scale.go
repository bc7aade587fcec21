package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/testnet/lab"
)

func newLabScaleCmd(a *app) *cobra.Command {
	o := lab.DefaultScale()
	var size, uplink, loss, dead, plot string
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "model how long Turbine takes in ever larger groups",
		Long: `Models groups of 10, 32, 100, ... nodes up to --nodes: the trees and shapes are the
real ones, links are queues of a fixed rate. There is no congestion control and no
repair in the model; starling lab propagate runs the real stack in smaller groups.`,
		Example: "  starling lab scale --nodes 10000 --size 32MiB --plot scale.svg",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Size, err = lab.ParseSize(size); err == nil {
				o.Uplink, err = lab.ParseRate(uplink)
			}
			if err == nil {
				o.Loss, err = lab.ParseShare(loss)
			}
			if err == nil {
				o.Dead, err = lab.ParseShare(dead)
			}
			if err == nil && plot != "" {
				_, err = lab.PlotFormat(plot)
			}
			if err == nil {
				err = o.Validate()
			}
			if err != nil {
				return &usageError{err}
			}
			return a.scale(cmd.Context(), o, plot)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Nodes, "nodes", o.Nodes, "how many nodes the largest group has")
	f.StringVar(&size, "size", "32MiB", "size of the payload")
	f.StringVar(&uplink, "uplink", "100mbit", "rate of each node's uplink")
	f.DurationVar(&o.RTT, "rtt", o.RTT, "round trip between any two nodes")
	f.StringVar(&loss, "loss", "1%", "share of packets lost")
	f.StringVar(&dead, "dead", "5%", "share of nodes that do not relay, and do not count")
	f.IntVar(&o.Fanout, "fanout", o.Fanout, "how many nodes one passes a shred on to")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "decides trees, losses and who is dead")
	f.StringVar(&plot, "plot", "", "also draw the times to this .svg or .png file")
	return cmd
}

func (a *app) scale(ctx context.Context, o lab.ScaleOptions, plot string) error {
	o.Progress = func(nodes int) {
		if !a.quiet && !a.json && interactive(a.stderr) {
			fmt.Fprintf(a.stderr, "\rmodelling %s\x1b[K", plural(nodes, "node"))
		}
	}
	points, err := lab.Scale(ctx, o)
	a.labProgressEnd()
	if err != nil {
		return err
	}
	if plot != "" {
		format, err := lab.PlotFormat(plot)
		if err != nil {
			return err
		}
		var drawn bytes.Buffer
		if err := lab.PlotScale(&drawn, format, points); err != nil {
			return err
		}
		if err := os.WriteFile(plot, drawn.Bytes(), 0o644); err != nil {
			return fmt.Errorf("write plot: %w", err)
		}
	}
	return a.print(points, func(w io.Writer) {
		var rows [][]any
		for _, p := range points {
			rows = append(rows, []any{
				strconv.Itoa(p.Nodes), strconv.Itoa(p.Depth), p.Shape, labSeconds(p.P50), labSeconds(p.P99), labSeconds(p.All), labSeconds(p.Bound),
				fmt.Sprintf("%.2f%%", 100*p.Repaired),
			})
		}
		a.table(w, []string{"nodes", "hops", "sets", "50%", "99%", "100%", "bound", "need repair"}, rows)
	})
}
