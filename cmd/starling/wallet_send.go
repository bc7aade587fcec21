package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
)

func newWalletSendCmd(a *app) *cobra.Command {
	var f actFlags
	var to, amount string
	cmd := &cobra.Command{
		Use:   "send --from NAME --to ADDRESS --amount COINS",
		Short: "pay, and wait until the payment is decided",
		Example: "  starling wallet send --from alice --to ADDRESS --amount 12.5\n" +
			"  starling wallet send --from alice --to bob --amount 1 --memo lunch --json\n" +
			"  starling wallet send --from alice --to ADDRESS --amount 3 --out payment.tx",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, flag := range [][2]string{{"from", f.from}, {"to", to}, {"amount", amount}} {
				if err := needs(cmd, flag[0], flag[1]); err != nil {
					return err
				}
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
	cmd.Flags().StringVar(&to, "to", "", "address, or account of the wallet, that receives")
	cmd.Flags().StringVar(&amount, "amount", "", "coins, with at most six decimals")
	return cmd
}
