package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/stealth"
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
	return a.print(v, func(w io.Writer) { a.drawPrivate(w, v) })
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

func newWalletProofCmd(a *app) *cobra.Command {
	return group("payment-proof", "prove a private payment to a third party, or check such a proof",
		"  starling wallet payment-proof make --from alice --output 42 --to ADDRESS --amount 5 --message 'for the judge' > proof.json\n"+
			"  starling wallet payment-proof check proof.json --message 'for the judge'",
		newProofMakeCmd(a), newProofCheckCmd(a))
}

func newProofMakeCmd(a *app) *cobra.Command {
	var from, to, amount, memo, message string
	var output uint64
	cmd := &cobra.Command{
		Use:     "make --from NAME --output NUMBER --to ADDRESS --amount COINS --message TEXT",
		Short:   "prove that the account paid an address; the third party chooses the message",
		Example: "  starling wallet payment-proof make --from alice --output 42 --to ADDRESS --amount 5 --message 'for the judge'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, flag := range [][2]string{{"from", from}, {"to", to}, {"amount", amount}, {"message", message}} {
				if err := needs(cmd, flag[0], flag[1]); err != nil {
					return err
				}
			}
			drops, err := types.ParseDrops(amount)
			if err != nil {
				return usage("--amount: %w", err)
			}
			return a.privately(cmd, from, func(ctx context.Context, p *private.Wallet, c *client.Client, _ wallet.Account, s api.Status) error {
				payee, err := private.ParseAddress(to, s.AddressPrefix)
				if err != nil {
					return &usageError{fmt.Errorf("--to: %w", err)}
				}
				proof, err := p.Prove(ctx, c, output, stealth.Payment{To: payee, Amount: uint64(drops), Memo: []byte(memo)}, message, s.AddressPrefix)
				if err != nil {
					return err
				}
				e := json.NewEncoder(a.stdout)
				e.SetIndent("", "  ")
				return e.Encode(proof)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "account of the wallet that paid")
	flags.Uint64Var(&output, "output", 0, "number of the output, as tx show and the recipient's scan give it")
	flags.StringVar(&to, "to", "", "private address that was paid")
	flags.StringVar(&amount, "amount", "", "coins that were paid")
	flags.StringVar(&memo, "memo", "", "memo of the payment")
	flags.StringVar(&message, "message", "", "what the third party asks to have signed")
	passphraseFlag(cmd)
	return cmd
}

func newProofCheckCmd(a *app) *cobra.Command {
	var message string
	cmd := &cobra.Command{
		Use:     "check FILE --message TEXT",
		Short:   "check a payment proof against the chain; - is standard input",
		Example: "  starling wallet payment-proof check proof.json --message 'for the judge'",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "message", message); err != nil {
				return err
			}
			data, err := a.readInput(args[0])
			if err != nil {
				return err
			}
			proof, err := private.ParsePaymentProof(data)
			if err != nil {
				return err
			}
			if proof.Message != message {
				return fmt.Errorf("%w: it is for %q", stealth.ErrPaymentProof, proof.Message)
			}
			_, err = ask(a, cmd, func(ctx context.Context, c *client.Client) (struct{}, error) {
				s, err := c.Status(ctx)
				if err != nil {
					return struct{}{}, err
				}
				return struct{}{}, proof.Verify(ctx, c, s.AddressPrefix)
			})
			if err != nil {
				return err
			}
			return a.print(proof, func(w io.Writer) {
				a.facts(w, "proof", "holds", "paid", coins(proof.Amount.String())+" coins", "to", proof.To, "memo", proof.Memo, "output", count(proof.Output))
			})
		},
	}
	cmd.Flags().StringVar(&message, "message", "", "what the proof must be made for")
	return cmd
}
