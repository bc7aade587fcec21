package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
	"github.com/starlingmesh/starling/node/wallet/private"
)

// privateView is what a wallet holds confidentially, in JSON.
type privateView struct {
	Name     string     `json:"name,omitempty"`
	Address  string     `json:"private_address"`
	Total    string     `json:"total"`
	Ready    string     `json:"ready"`
	Young    string     `json:"young"`
	Reserved string     `json:"reserved"`
	Height   uint64     `json:"height"`
	From     uint64     `json:"from_height,omitempty"`
	Coins    []coinView `json:"coins"`
	Paid     []paidView `json:"paid,omitempty"`
	ViewOnly bool       `json:"view_only,omitempty"`
}

type coinView struct {
	Output  uint64 `json:"output"`
	Height  uint64 `json:"height"`
	Amount  string `json:"amount"`
	Address uint32 `json:"address"`
	Memo    string `json:"memo,omitempty"`
	Spent   uint64 `json:"spent_height,omitempty"`
}

// paidView is a payment that the wallet made; it has no output as long as it is not on the chain.
type paidView struct {
	Output *uint64   `json:"output,omitempty"`
	Height uint64    `json:"height,omitempty"`
	Amount string    `json:"amount"`
	To     string    `json:"to"`
	Memo   string    `json:"memo,omitempty"`
	Tx     hash.Hash `json:"tx"`
}

func viewPaid(p *private.Paid, prefix string) (v paidView, err error) {
	paid, err := p.Payment()
	v = paidView{Height: p.Height, Amount: p.Amount.String(), To: private.FormatAddress(paid.To, prefix), Memo: string(p.Memo), Tx: p.Tx}
	if p.Height > 0 {
		v.Output = &p.Output
	}
	return v, err
}

func newWalletScanCmd(a *app) *cobra.Command {
	var viewKey string
	var again bool
	var from uint64
	var number uint32
	cmd := &cobra.Command{
		Use:   "scan [NAME]",
		Short: "look for private payments, and show what the account holds of them and its private address",
		Example: "  starling wallet scan alice\n  starling wallet scan restored --from 120000   # its words are not older\n  starling wallet scan alice --address 3   # another of its addresses\n" +
			"  starling wallet scan --view-key KEY",
		Args: cobra.RangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if number >= private.Addresses {
				return usage("--address: want a number below %d", private.Addresses)
			}
			show := func(ctx context.Context, p *private.Wallet, c *client.Client, s api.Status, name string) error {
				if again || cmd.Flags().Changed("from") {
					if err := p.Rescan(from); err != nil {
						return err
					}
				}
				return a.scan(ctx, p, c, s, name, number)
			}
			switch {
			case viewKey != "" && len(args) == 0:
				return a.watch(cmd, viewKey, show)
			case viewKey == "" && len(args) == 1:
				return a.privately(cmd, args[0], func(ctx context.Context, p *private.Wallet, c *client.Client, acc wallet.Account, s api.Status) error {
					return show(ctx, p, c, s, acc.Name)
				})
			}
			return usage("name an account, or give --view-key")
		},
	}
	cmd.Flags().StringVar(&viewKey, "view-key", "", "see what somebody who gave their view key receives")
	cmd.Flags().BoolVar(&again, "again", false, "look through all of the chain again")
	cmd.Flags().Uint64Var(&from, "from", 0, "look through the chain from this block on, again where that was done; on the first scan, pass over what is before")
	cmd.MarkFlagsMutuallyExclusive("again", "from")
	cmd.Flags().Uint32Var(&number, "address", 0, "show the private address of this number; 0 is the main one")
	passphraseFlag(cmd)
	return cmd
}

func (a *app) watch(cmd *cobra.Command, key string, show func(context.Context, *private.Wallet, *client.Client, api.Status, string) error) error {
	cfg, _, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	view, err := private.ParseViewKey(key, a.prefix(cmd))
	if err != nil {
		return &usageError{fmt.Errorf("--view-key: %w", err)}
	}
	return a.openPrivate(cmd, watchFile(cfg.WalletDir(), view), *view, nil, hash.Hash{}, func(ctx context.Context, p *private.Wallet, c *client.Client, s api.Status) error {
		return show(ctx, p, c, s, "")
	})
}

func (a *app) scan(ctx context.Context, p *private.Wallet, c *client.Client, s api.Status, name string, number uint32) error {
	if err := p.Scan(ctx, c, a.scanProgress()); err != nil {
		return err
	}
	b := p.Balance()
	v := privateView{
		Name: name, Address: private.FormatAddress(p.Address(number), s.AddressPrefix), ViewOnly: name == "", Height: b.Height,
		From: b.From, Total: b.Total.String(), Ready: b.Ready.String(), Young: b.Young.String(), Reserved: b.Reserved.String(), Coins: []coinView{},
	}
	for _, coin := range p.Coins() {
		if coin.Amount > 0 {
			v.Coins = append(v.Coins, coinView{coin.Number, coin.Height, coin.Amount.String(), coin.Address, string(coin.Memo), coin.Spent})
		}
	}
	for _, p := range p.Paid() {
		paid, err := viewPaid(&p, s.AddressPrefix)
		if err != nil {
			return err
		}
		v.Paid = append(v.Paid, paid)
	}
	return a.print(v, func(w io.Writer) {
		a.drawPrivate(w, v)
		a.drawPaid(w, v.Paid)
	})
}

func (a *app) drawPaid(w io.Writer, paid []paidView) {
	if len(paid) == 0 {
		return
	}
	rows := make([][]any, 0, len(paid))
	for _, p := range paid {
		output, height := "not on the chain", ""
		if p.Output != nil {
			output, height = count(*p.Output), count(p.Height)
		}
		rows = append(rows, []any{output, height, coins(p.Amount), ends(p.To), p.Memo})
	}
	fmt.Fprintln(w)
	a.table(w, []string{">paid output", ">block", ">coins", "to", "memo"}, rows)
}

// scanProgress shows how far a long scan is.
func (a *app) scanProgress() private.Progress {
	if a.quiet || a.json {
		return nil
	}
	shown := false
	return func(done, total uint64) {
		if shown = shown || done < total; !shown {
			return // it took one step
		}
		const width = 30
		filled := int(done * width / max(total, 1))
		fmt.Fprintf(a.stderr, "\rscanned %s of %s outputs [%s%s]", count(done), count(total), strings.Repeat("=", filled), strings.Repeat(" ", width-filled))
		if done >= total {
			fmt.Fprintln(a.stderr)
		}
	}
}

func (a *app) drawPrivate(w io.Writer, v privateView) {
	a.facts(w, "account", a.bold(w, v.Name), "private address", v.Address, "holds", coins(v.Total)+" coins", "ready", coins(v.Ready)+" coins",
		"must age", zeroless(v.Young), "in transactions", zeroless(v.Reserved), "at block", count(v.Height))
	if v.From > 0 {
		a.remark("what came before block %s was not looked for; --again does", count(v.From))
	}
	if len(v.Coins) == 0 {
		return
	}
	rows := make([][]any, 0, len(v.Coins))
	for _, c := range v.Coins {
		spent := ""
		if c.Spent > 0 {
			spent = "at block " + count(c.Spent)
		}
		rows = append(rows, []any{count(c.Output), count(c.Height), coins(c.Amount), c.Address, c.Memo, spent})
	}
	fmt.Fprintln(w)
	a.table(w, []string{">output", ">block", ">coins", ">address", "memo", "spent"}, rows)
	if v.ViewOnly {
		a.remark("a view key does not show what was spent: the sum is of all that ever came in")
	}
}

// zeroless is nothing for no coins, so that the line is left out.
func zeroless(text string) string {
	if text == "0" {
		return ""
	}
	return coins(text) + " coins"
}
