package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

func newEpochCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "epoch",
		Short:   "show the present epoch, who validates in it and in the next, and the rules of stake",
		Example: "  starling epoch\n  starling epoch --json | jq .blocks_left",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Epoch, error) { return c.Epoch(ctx) })
			if err != nil {
				return err
			}
			return a.print(e, func(w io.Writer) { a.drawEpoch(w, e) })
		},
	}
}

func (a *app) drawEpoch(w io.Writer, e api.Epoch) {
	blocks := fmt.Sprintf("from %s on, without end: the validators of this network never change", count(e.First))
	if e.Last != nil && e.BlocksLeft != nil {
		blocks = fmt.Sprintf("%s to %s, %s left", count(e.First), count(*e.Last), count(*e.BlocksLeft))
	}
	facts := []any{"epoch", a.bold(w, count(e.Epoch)), "blocks", blocks, "executed", count(e.Height)}
	if r := e.Rules; r != nil {
		facts = append(facts,
			"least bond", coins(r.MinBond)+" coins",
			"most power", fmt.Sprintf("%d%% for one validator", r.MaxShare),
			"set", fmt.Sprintf("%s to %s; with fewer candidates it stays as it is", count(r.MinValidators), plural(r.MaxValidators, "validator")),
			"unbonding", fmt.Sprintf("arrives %s later, with the last block", plural(r.UnbondEpochs, "epoch")),
			"offences", fmt.Sprintf("cost %s or %s of the bond, and %s in jail", permille(r.DoublePermille), permille(r.BadPermille), plural(r.JailEpochs, "epoch")),
		)
	}
	a.facts(w, facts...)
	fmt.Fprintln(w)
	a.drawMembers(w, e)
}

// drawMembers lists who validates now, next, or then.
func (a *app) drawMembers(w io.Writer, e api.Epoch) {
	var order []string
	first := map[string]api.Member{}
	power := map[string][3]uint64{}
	sets := [][]api.Member{e.Validators, e.Next, e.AfterNext}
	for i, set := range sets {
		for _, m := range set {
			id := m.Operator + "/" + m.Name
			if _, known := first[id]; !known {
				order = append(order, id)
				first[id] = m
			}
			p := power[id]
			p[i] = m.Power
			power[id] = p
		}
	}
	header := []string{"validator", ">bond", ">power now", ">share"}
	for i, set := range sets[1:] {
		if set != nil {
			header = append(header, fmt.Sprintf(">epoch %d", e.Epoch+uint64(i)+1))
		}
	}
	rows := make([][]any, 0, len(order))
	for _, id := range order {
		m, p := first[id], power[id]
		row := []any{m.Name, coins(m.Bond), powerText(p[0]), ""}
		if p[0] > 0 {
			row[3] = m.Share + "%"
		}
		for i, set := range sets[1:] {
			if set != nil {
				row = append(row, powerText(p[i+1]))
			}
		}
		rows = append(rows, row)
	}
	a.table(w, header, rows)
}

func powerText(p uint64) string {
	if p == 0 {
		return "-"
	}
	return count(p)
}

// permille is shown in percent.
func permille(p uint64) string {
	if p%10 == 0 {
		return fmt.Sprintf("%d%%", p/10)
	}
	return fmt.Sprintf("%d.%d%%", p/10, p%10)
}
