package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

func newDHTRingCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "ring", Short: "show the node's place in the ring", Example: "  starling dht ring", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Ring, error) { return c.Ring(ctx) })
			if err != nil {
				return err
			}
			return a.print(r, func(w io.Writer) {
				var rows [][]any
				for i, p := range slices.Backward(r.Before) {
					rows = append(rows, []any{-i - 2, short(p.ID) + "…", p.Peer})
				}
				if r.Predecessor != nil {
					rows = append(rows, []any{-1, short(r.Predecessor.ID) + "…", r.Predecessor.Peer})
				}
				rows = append(rows, []any{a.bold(w, "0"), a.bold(w, short(r.Self.ID)+"…"), a.bold(w, r.Self.Peer)})
				for i, p := range r.Successors {
					rows = append(rows, []any{fmt.Sprintf("+%d", i+1), short(p.ID) + "…", p.Peer})
				}
				a.table(w, []string{">", "place", "peer"}, rows)
				fmt.Fprintln(w)
				state := "a member that holds what it must"
				switch {
				case !r.Member:
					state = "no member: it looks for others, or dht.hold is false"
				case !r.Settled:
					state = "a member that still fetches what it must hold"
				}
				a.facts(w, "state", state, "knows", fmt.Sprintf("%d peers", r.Known))
			})
		},
	}
}

func newDHTStatCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "stat", Short: "show what the node holds and did", Example: "  starling dht stat --json", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Ring, error) { return c.Ring(ctx) })
			if err != nil {
				return err
			}
			n := r.Counters
			return a.print(r, func(w io.Writer) {
				a.facts(w,
					"holds", fmt.Sprintf("%s of %s, %s", plural(r.Records, "record"), plural(r.Owners, "owner"), size(r.Bytes)),
					"own users", fmt.Sprintf("%s reads, %s writes, %s requests for these", count(n.Gets), count(n.Puts), count(n.Requests)),
					"for others", fmt.Sprintf("%s requests answered", count(n.Served)),
					"refused", fmt.Sprintf("%s items, %s of them forged", count(n.Refused+n.Forged), count(n.Forged)),
					"compared", fmt.Sprintf("%s times with other holders, %s in vain", count(n.Compared), count(n.Failed)),
					"copied", fmt.Sprintf("%s items to others (%s), %s from others", count(n.Moved), size(int64(n.MovedBytes)), count(n.Fetched)),
					"repaired", fmt.Sprintf("%s holders that reads found behind, %s items damaged on disk", count(n.Repaired), count(uint64(n.Damaged))),
					"let go", fmt.Sprintf("%s records to other holders, %s expired", count(n.HandedOver), count(n.Expired)),
				)
			})
		},
	}
}

func newDHTLookupCmd(a *app) *cobra.Command {
	var paths int
	var trace bool
	cmd := &cobra.Command{
		Use: "lookup OWNER/NAME|KEY", Short: "find who holds a record", Example: "  starling dht lookup alice/greeting --trace", Args: exactly("OWNER/NAME|KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			l, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Lookup, error) {
				status, err := c.Status(ctx)
				if err != nil {
					return api.Lookup{}, err
				}
				key := args[0]
				if ref, err := a.dhtRef(w, key, status.AddressPrefix); err == nil {
					key = ref.Key().String()
				} else if len(key) != 64 {
					return api.Lookup{}, err
				}
				return c.Lookup(ctx, key, paths)
			})
			if err != nil {
				return err
			}
			return a.print(l, func(w io.Writer) {
				if trace && len(l.Trace) > 0 {
					var rows [][]any
					for i, h := range l.Trace {
						rows = append(rows, []any{i + 1, h.Path + 1, short(h.ID) + "…", h.Peer, fmt.Sprintf("%.1f ms", h.TookMS), h.Error})
					}
					a.table(w, []string{">question", ">path", "place", "peer", ">took", "failed"}, rows)
					fmt.Fprintln(w)
				}
				fmt.Fprintf(w, "key %s, found by %s\n\n", short(l.Key)+"…", plural(l.Hops, "question"))
				var rows [][]any
				for i, p := range l.Holders {
					rows = append(rows, []any{i + 1, short(p.ID) + "…", p.Peer})
				}
				a.table(w, []string{">holder", "place", "peer"}, rows)
			})
		},
	}
	cmd.Flags().IntVar(&paths, "paths", 1, "ways that share nobody, to be compared")
	cmd.Flags().BoolVar(&trace, "trace", false, "show whom the node asked")
	return cmd
}
