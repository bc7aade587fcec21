package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
	"github.com/starlingmesh/starling/node/wallet/private"
)

func newWalletProofCmd(a *app) *cobra.Command {
	return group("payment-proof", "prove a private payment to a third party, or check such a proof",
		"  starling wallet payment-proof make --from alice --output 42 --message 'for the judge' > proof.json\n"+
			"  starling wallet payment-proof check proof.json --message 'for the judge'",
		newProofMakeCmd(a), newProofCheckCmd(a))
}

func newProofMakeCmd(a *app) *cobra.Command {
	var from, message string
	var output uint64
	var paid paidFlags
	cmd := &cobra.Command{
		Use:   "make --from NAME --output NUMBER --message TEXT",
		Short: "prove that the account paid an address; the third party chooses the message",
		Long: `Proves a payment that this wallet made. wallet scan lists them with their outputs; only a wallet that
was restored since does not know what it paid and must be told: --to, --amount, and --memo if there was one.`,
		Example: "  starling wallet payment-proof make --from alice --output 42 --message 'for the judge'\n" +
			"  starling wallet payment-proof make --from alice --output 42 --to ADDRESS --amount 5 --message 'for the judge'",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, flag := range [][2]string{{"from", from}, {"message", message}} {
				if err := needs(cmd, flag[0], flag[1]); err != nil {
					return err
				}
			}
			return a.privately(cmd, from, func(ctx context.Context, p *private.Wallet, c *client.Client, _ wallet.Account, s api.Status) error {
				payment, err := paid.payment(p, output, s.AddressPrefix)
				if err != nil {
					return err
				}
				proof, err := p.Prove(ctx, c, output, payment, message, s.AddressPrefix)
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
	flags.Uint64Var(&output, "output", 0, "number of the output, as wallet scan gives it")
	flags.StringVar(&paid.to, "to", "", "private address that was paid, if the wallet does not know")
	flags.StringVar(&paid.amount, "amount", "", "coins that were paid, likewise")
	flags.StringVar(&paid.memo, "memo", "", "memo of the payment, likewise")
	flags.StringVar(&message, "message", "", "what the third party asks to have signed")
	passphraseFlag(cmd)
	return cmd
}

// paidFlags say what was paid, where the wallet does not know.
type paidFlags struct{ to, amount, memo string }

// payment is what the wallet remembers of an output, or what the flags say.
func (f paidFlags) payment(p *private.Wallet, output uint64, prefix string) (out stealth.Payment, err error) {
	if f == (paidFlags{}) {
		for _, known := range p.Paid() {
			if known.Height > 0 && known.Output == output {
				return known.Payment()
			}
		}
		return out, usage("this wallet does not remember what it paid by output %d: give --to, --amount, and --memo if there was one", output)
	}
	amount, err := types.ParseDrops(f.amount)
	if err != nil {
		return out, usage("--amount: %w", err)
	}
	out.Amount, out.Memo = uint64(amount), []byte(f.memo)
	if out.To, err = private.ParseAddress(f.to, prefix); err != nil {
		return out, &usageError{fmt.Errorf("--to: %w", err)}
	}
	return out, nil
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
