package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

// statusReport is what `status --json` prints.
type statusReport struct {
	api.Status
	API    string     `json:"api"`
	Health api.Health `json:"health"`
}

func newStatusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "show what a node is and how it is doing",
		Example: "  starling status\n  starling status --api 127.0.0.1:8430 --json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (r statusReport, err error) {
				if r.Status, err = c.Status(ctx); err != nil {
					return r, err
				}
				r.API = c.Address()
				r.Health, err = c.Health(ctx)
				return r, err
			})
			if err != nil {
				return err
			}
			return a.print(report, func(w io.Writer) { a.drawStatus(w, report) })
		},
	}
}

func (a *app) drawStatus(w io.Writer, r statusReport) {
	health := a.green(w, "ready")
	if !r.Health.Live || !r.Health.Ready {
		health = a.red(w, "not ready: "+strings.Join(r.Health.Reasons, "; "))
	}
	role := "follows (does not vote)"
	if r.Validator != "" {
		role = "validator " + r.Validator
	}
	a.facts(w,
		"network", fmt.Sprintf("%s  (chain %s, %s)", a.bold(w, r.Network), r.ChainID.Short(), r.Engine),
		"node", r.PeerID,
		"role", role,
		"health", health,
		"height", fmt.Sprintf("%s  %s  %s", a.bold(w, count(r.Height)), short(r.Head.String()), a.ago(r.HeadTime)),
		"view", count(r.View),
		"state", fmt.Sprintf("%s  %s", count(r.StateHeight), short(r.StateRoot.String())),
		"mempool", fmt.Sprintf("%s, %s", plural(r.MempoolTxs, "transaction"), humanize.IBytes(uint64(max(0, r.MempoolBytes)))),
		"peers", count(r.Peers),
		"least fee", coins(r.MinFee)+" coins",
		"api", r.API,
		"started", a.ago(r.Started),
		"version", r.Version,
		"join by", strings.Join(r.Addresses, "\n         "),
	)
}
