package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
)

// stakeView is a stake in JSON, with the account's name if it is the wallet's.
type stakeView struct {
	Account string `json:"account,omitempty"`
	api.Stake
}

func newStakeShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show [NAME|ADDRESS]...",
		Short:   "show stakes; without arguments, those of the wallet's accounts",
		Example: "  starling stake show\n  starling stake show alice\n  starling stake show ADDRESS --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			stakes, err := ask(a, cmd, func(ctx context.Context, c *client.Client) ([]stakeView, error) {
				return a.stakes(ctx, c, w, args)
			})
			if err != nil {
				return err
			}
			if len(stakes) == 0 {
				a.remark("no account of the wallet has a stake: starling stake bond makes one")
			}
			return a.print(stakes, func(w io.Writer) {
				for i, s := range stakes {
					if i > 0 {
						fmt.Fprintln(w)
					}
					a.drawStake(w, s)
				}
			})
		},
	}
}

// stakes looks up those who are named, who must have a stake, or all of the wallet
// that have one.
func (a *app) stakes(ctx context.Context, c *client.Client, w *wallet.Wallet, who []string) ([]stakeView, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	accounts, fault := w.List()
	names := map[string]string{}
	for _, acc := range accounts {
		names[acc.Address().Format(status.AddressPrefix)] = acc.Name
	}
	all := len(who) == 0
	if all && fault != nil {
		a.remark("warning: %v", fault)
	}
	addresses := []string{}
	for _, name := range who {
		address, err := a.resolve(w, name, status.AddressPrefix)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address.Format(status.AddressPrefix))
	}
	if all {
		for _, acc := range accounts {
			addresses = append(addresses, acc.Address().Format(status.AddressPrefix))
		}
	}
	out := []stakeView{}
	for _, address := range addresses {
		s, err := c.Stake(ctx, address)
		if all && errors.Is(err, api.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, stakeView{names[address], s})
	}
	return out, nil
}

func (a *app) drawStake(w io.Writer, s stakeView) {
	jail := ""
	if s.Jailed {
		jail = a.red(w, fmt.Sprintf("jailed; starling stake unjail may end it from epoch %s on", count(s.JailedUntil)))
	}
	a.facts(w,
		"validator", a.bold(w, s.Name),
		"account", s.Account,
		"operator", s.Operator,
		"identity", s.Identity,
		"vote key", short(s.Key)+"…",
		"bond", coins(s.Bond)+" coins",
		"jail", jail,
	)
	if len(s.Unbonding) > 0 {
		fmt.Fprintln(w)
		rows := make([][]any, 0, len(s.Unbonding))
		for _, u := range s.Unbonding {
			rows = append(rows, []any{coins(u.Amount), count(u.Since), count(u.Release), count(u.ReleaseHeight)})
		}
		a.table(w, []string{">unbonding", ">in epoch", ">arrives with epoch", ">at block"}, rows)
	}
	if len(s.Punished) > 0 {
		fmt.Fprintln(w)
		rows := make([][]any, 0, len(s.Punished))
		for _, p := range s.Punished {
			rows = append(rows, []any{coins(p.Slashed), count(p.Epoch), strings.Join(p.Offences, ", ")})
		}
		a.table(w, []string{">slashed", ">epoch", "offences"}, rows)
	}
}

// stakeRow is a validator or a candidate in `stake list`.
type stakeRow struct {
	Name        string `json:"name"`
	Operator    string `json:"operator,omitempty"`
	Bond        string `json:"bond"`
	BondDrops   string `json:"bond_drops"`
	Power       uint64 `json:"power"`           // in the present epoch; 0: a candidate
	Share       string `json:"share,omitempty"` // of the power, percent
	Next        bool   `json:"next"`            // validates in the next epoch
	Jailed      bool   `json:"jailed"`
	JailedUntil uint64 `json:"jailed_until,omitempty"`
}

func newStakeListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "list validators and candidates, the largest bond first",
		Example: "  starling stake list\n  starling stake list --json | jq '.[] | select(.jailed)'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows, err := ask(a, cmd, func(ctx context.Context, c *client.Client) ([]stakeRow, error) {
				epoch, err := c.Epoch(ctx)
				if err != nil {
					return nil, err
				}
				stakes, err := c.Stakes(ctx)
				return stakeRows(epoch, stakes), err
			})
			if err != nil {
				return err
			}
			return a.print(rows, func(w io.Writer) { a.drawStakes(w, rows) })
		},
	}
}

// stakeRows joins the sets with the stakes by operator; a network without staking has
// only the former.
func stakeRows(epoch api.Epoch, stakes []api.Stake) []stakeRow {
	rows := []stakeRow{}
	at := map[string]int{}
	for _, s := range stakes {
		at[s.Operator] = len(rows)
		rows = append(rows, stakeRow{Name: s.Name, Operator: s.Operator, Bond: s.Bond, BondDrops: s.BondDrops, Jailed: s.Jailed, JailedUntil: s.JailedUntil})
	}
	for _, m := range epoch.Validators {
		i, known := at[m.Operator]
		if !known {
			i = len(rows)
			rows = append(rows, stakeRow{Name: m.Name, Operator: m.Operator, Bond: "0", BondDrops: "0", Next: epoch.Last == nil})
		}
		rows[i].Power, rows[i].Share = m.Power, m.Share
	}
	for _, m := range epoch.Next {
		if i, known := at[m.Operator]; known {
			rows[i].Next = true
		}
	}
	slices.SortStableFunc(rows, func(a, b stakeRow) int {
		return cmp.Or(cmp.Compare(number(b.BondDrops), number(a.BondDrops)), cmp.Compare(b.Power, a.Power), strings.Compare(a.Name, b.Name))
	})
	return rows
}

// number is 0 for what is none: it only sorts.
func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (a *app) drawStakes(w io.Writer, rows []stakeRow) {
	var highest uint64
	for _, r := range rows {
		highest = max(highest, r.Power)
	}
	table := make([][]any, 0, len(rows))
	for _, r := range rows {
		share := ""
		if r.Power > 0 {
			share = r.Share + "%"
		}
		table = append(table, []any{r.Name, coins(r.Bond), share, a.green(w, bar(r.Power, highest)), a.standing(w, r), ends(r.Operator)})
	}
	a.table(w, []string{"validator", ">bond", ">share", "of the power", "state", "operator"}, table)
}

// standing is a validator's state in words.
func (a *app) standing(w io.Writer, r stakeRow) string {
	state := "candidate"
	switch {
	case r.Power > 0 && r.Next:
		state = "validates"
	case r.Power > 0:
		state = "validates, not in the next epoch"
	case r.Next:
		state = "validates from the next epoch on"
	}
	if r.Jailed {
		state += ", " + a.red(w, fmt.Sprintf("jailed until epoch %s", count(r.JailedUntil)))
	}
	return state
}

const barWidth = 20

// bar draws part of whole; the least part that is more than none shows.
func bar(part, whole uint64) string {
	if part == 0 || whole == 0 {
		return ""
	}
	n := int(float64(min(part, whole)) / float64(whole) * barWidth)
	return strings.Repeat("█", max(1, n))
}
