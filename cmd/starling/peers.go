package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

func newPeersCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "peers",
		Short:   "list the nodes that a node is connected to",
		Example: "  starling peers\n  starling peers --json | jq -r '.[].id'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			peers, err := ask(a, cmd, func(ctx context.Context, c *client.Client) ([]api.Peer, error) { return c.Peers(ctx) })
			if err != nil {
				return err
			}
			return a.print(peers, func(w io.Writer) { a.drawPeers(w, peers) })
		},
	}
}

func (a *app) drawPeers(w io.Writer, peers []api.Peer) {
	if len(peers) == 0 {
		a.remark("no peers: set p2p.bootstrap to a node of the network, or p2p.mdns for this local network")
		return
	}
	rows := make([][]any, 0, len(peers))
	for _, p := range peers {
		direction, latency := "out", "-"
		if p.Inbound {
			direction = "in"
		}
		if p.LatencyMS > 0 {
			latency = fmt.Sprintf("%.1f ms", p.LatencyMS)
		}
		rows = append(rows, []any{p.ID, p.Validator, direction, latency, a.ago(p.Since), p.Address})
	}
	a.table(w, []string{"peer", "validator", "way", ">round trip", "since", "address"}, rows)
}
