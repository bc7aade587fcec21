package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
)

// sendFlags are the flags of `wallet send` as they were typed.
type sendFlags struct {
	from, to, amount, fee, memo, out string
	expiry                           uint64
	noWait                           bool
}

func newWalletSendCmd(a *app) *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send --from NAME --to ADDRESS --amount COINS",
		Short: "pay, and wait until the payment is decided",
		Example: "  starling wallet send --from alice --to ADDRESS --amount 12.5\n" +
			"  starling wallet send --from alice --to bob --amount 1 --memo lunch --json\n" +
			"  starling wallet send --from alice --to ADDRESS --amount 3 --out payment.tx",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.send(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "account of the wallet that pays")
	flags.StringVar(&f.to, "to", "", "address, or account of the wallet, that receives")
	flags.StringVar(&f.amount, "amount", "", "coins, with at most six decimals")
	flags.StringVar(&f.fee, "fee", "", "coins; default is the network's least fee")
	flags.StringVar(&f.memo, "memo", "", "note that everybody can read, at most 256 bytes")
	flags.Uint64Var(&f.expiry, "expiry", wallet.DefaultExpiry, "give the payment up if it is not decided within so many blocks")
	flags.StringVar(&f.out, "out", "", "write the signed transaction to this file instead of sending it; see tx submit")
	flags.BoolVar(&f.noWait, "no-wait", false, "return once the node has the payment, before it is decided")
	passphraseFlag(cmd)
	return cmd
}

// parse reads what needs no node.
func (f *sendFlags) parse() (p wallet.Payment, err error) {
	for _, missing := range [][2]string{{"from", f.from}, {"to", f.to}, {"amount", f.amount}} {
		if missing[1] == "" {
			return p, usage("--%s is missing; starling wallet send --help shows an example", missing[0])
		}
	}
	if p.Amount, err = types.ParseDrops(f.amount); err != nil {
		return p, usage("--amount: %w", err)
	}
	if f.fee != "" {
		if p.Fee, err = types.ParseDrops(f.fee); err != nil {
			return p, usage("--fee: %w", err)
		}
	}
	p.Memo, p.Expiry = f.memo, f.expiry
	return p, nil
}

func (a *app) send(cmd *cobra.Command, f sendFlags) error {
	p, err := f.parse()
	if err != nil {
		return err
	}
	w, err := a.wallet(cmd)
	if err != nil {
		return err
	}
	acc, err := w.Account(f.from)
	if err != nil {
		return err
	}
	// The address is checked before the passphrase is asked for.
	prefix, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (string, error) {
		status, err := c.Status(ctx)
		return status.AddressPrefix, err
	})
	if err != nil {
		return err
	}
	if p.To, err = a.resolve(w, f.to, prefix); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	passphrase, err := a.passphrase(cmd, f.from, false)
	if err != nil {
		return err
	}
	key, err := w.Unlock(f.from, passphrase)
	if err != nil {
		return err
	}
	if f.out != "" {
		return a.writePayment(cmd, key, p, f.out)
	}
	result, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Tx, error) {
		return wallet.NewSender(c, a.expectedChain(cmd), acc.LockFile()).Send(ctx, key, p, !f.noWait)
	})
	if err != nil {
		return err
	}
	return a.printResult(result)
}

// writePayment signs a payment and keeps it for `tx submit`.
func (a *app) writePayment(cmd *cobra.Command, key keys.PrivateKey, p wallet.Payment, path string) error {
	tx, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (*types.Tx, error) {
		return wallet.NewSender(c, a.expectedChain(cmd), "").Build(ctx, key, p)
	})
	if err != nil {
		return err
	}
	if err := writeNew(path, fmt.Appendf(nil, "%x\n", tx.Raw())); err != nil {
		return err
	}
	view := map[string]any{"id": tx.ID(), "path": path, "expiry": tx.Expiry}
	return a.print(view, func(w io.Writer) {
		a.facts(w, "transaction", tx.ID(), "file", path, "expires", fmt.Sprintf("after block %s", count(uint64(tx.Expiry))))
	})
}

// expectedChain is the chain of the genesis file in the home, if there is one
// and the command does not name another node: nothing is signed for a node that
// lies about its network.
func (a *app) expectedChain(cmd *cobra.Command) hash.Hash {
	cfg, _, err := a.loadConfig(cmd)
	if err != nil || a.apiAddress != "" {
		return hash.Hash{}
	}
	g, err := types.ReadGenesis(cfg.GenesisPath())
	if err != nil {
		return hash.Hash{}
	}
	return g.ChainID()
}
