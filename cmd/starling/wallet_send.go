package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node/wallet"
)

func newWalletSendCmd(a *app) *cobra.Command {
	var f actFlags
	var to, amount string
	var hidden bool
	var ring int
	cmd := &cobra.Command{
		Use:   "send --from NAME --to ADDRESS --amount COINS",
		Short: "pay, and wait until the payment is decided",
		Example: "  starling wallet send --from alice --to ADDRESS --amount 12.5\n" +
			"  starling wallet send --from alice --to bob --amount 1 --memo lunch --json\n" +
			"  starling wallet send --from alice --to ADDRESS --amount 3 --out payment.tx\n" +
			"  starling wallet send --private --from alice --to PRIVATE_ADDRESS --amount 2 --memo rent",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, flag := range [][2]string{{"from", f.from}, {"to", to}, {"amount", amount}} {
				if err := needs(cmd, flag[0], flag[1]); err != nil {
					return err
				}
			}
			if hidden {
				if f.out != "" {
					return usage("--out does not go with --private")
				}
				return a.sendPrivately(cmd, spendFlags{from: f.from, amount: amount, fee: f.fee, ring: ring, expiry: cmp.Or(f.expiry, wallet.DefaultExpiry), noWait: f.noWait}, to, f.memo)
			}
			drops, err := types.ParseDrops(amount)
			if err != nil {
				return usage("--amount: %w", err)
			}
			return a.act(cmd, f, func(_ context.Context, x actor) (types.Body, error) {
				payee, err := a.resolve(x.wallet, to, x.prefix)
				if err != nil {
					return nil, fmt.Errorf("--to: %w", err)
				}
				return &types.Payment{To: payee, Amount: drops}, nil
			})
		},
	}
	f.bind(cmd, "that pays")
	cmd.Flags().BoolVar(&hidden, "private", false, "pay confidential coins to a private address; the memo is for the recipient alone, at most 64 bytes")
	cmd.Flags().IntVar(&ring, "ring", 0, "with --private: hide each spent output among so many, 2 to 128; default 16, or as many as there are")
	cmd.Flags().StringVar(&to, "to", "", "address, or account of the wallet, that receives")
	cmd.Flags().StringVar(&amount, "amount", "", "coins, with at most six decimals")
	return cmd
}
