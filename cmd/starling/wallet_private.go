package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
	"github.com/starlingmesh/starling/node/wallet/private"
)

// privately opens the confidential side of an account and calls what works with it.
func (a *app) privately(cmd *cobra.Command, name string, call func(context.Context, *private.Wallet, *client.Client, wallet.Account, api.Status) error) error {
	w, err := a.wallet(cmd)
	if err != nil {
		return err
	}
	acc, err := privateAccount(w, name)
	if err != nil {
		return err
	}
	passphrase, err := a.passphrase(cmd, name, false)
	if err != nil {
		return err
	}
	return a.privatelyWith(cmd, w, acc, passphrase, call)
}

// privateAccount is an account that has keys for private payments: one of several members has none.
func privateAccount(w *wallet.Wallet, name string) (wallet.Account, error) {
	acc, err := w.Account(name)
	if err == nil && acc.Public.Kind() == keys.Multi {
		err = fmt.Errorf("account %s: %w", name, wallet.ErrMulti)
	}
	return acc, err
}

// privatelyWith is privately with a passphrase that was asked for.
func (a *app) privatelyWith(cmd *cobra.Command, w *wallet.Wallet, acc wallet.Account, passphrase []byte, call func(context.Context, *private.Wallet, *client.Client, wallet.Account, api.Status) error) error {
	secret, proofs, err := w.Private(acc.Name, passphrase)
	if err != nil {
		return err
	}
	return a.openPrivate(cmd, acc.CoinsFile(), secret.ViewKeys, secret, proofs, func(ctx context.Context, p *private.Wallet, c *client.Client, s api.Status) error {
		return call(ctx, p, c, acc, s)
	})
}

func (a *app) openPrivate(cmd *cobra.Command, path string, view stealth.ViewKeys, keys *stealth.Keys, proofs hash.Hash, call func(context.Context, *private.Wallet, *client.Client, api.Status) error) (err error) {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := cmd.Context()
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if want := a.expectedChain(cmd); want != (hash.Hash{}) && want != status.ChainID {
		return fmt.Errorf("%w: its chain is %s, the genesis file's is %s", wallet.ErrChain, status.ChainID.Short(), want.Short())
	}
	p, err := private.Open(ctx, path, view, keys, proofs)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	return call(ctx, p, c, status)
}

// spendFlags are those of commands that spend confidential coins.
type spendFlags struct {
	from, amount, fee string
	ring              int
	expiry            uint64
	noWait            bool
}

func (f *spendFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "account of the wallet that pays")
	flags.StringVar(&f.amount, "amount", "", "coins, with at most six decimals")
	flags.StringVar(&f.fee, "fee", "", "coins; default is the network's least fee")
	flags.IntVar(&f.ring, "ring", 0, "hide each spent output among so many, 2 to 128; default 16, or as many as there are")
	flags.Uint64Var(&f.expiry, "expiry", wallet.DefaultExpiry, "give up if it is not decided within so many blocks")
	flags.BoolVar(&f.noWait, "no-wait", false, "return once the node has the transaction, before it is decided")
	passphraseFlag(cmd)
}

// options reads the flags.
func (f *spendFlags) options(cmd *cobra.Command) (o private.Options, amount types.Drops, err error) {
	for _, flag := range [][2]string{{"from", f.from}, {"amount", f.amount}} {
		if err := needs(cmd, flag[0], flag[1]); err != nil {
			return o, 0, err
		}
	}
	if amount, err = types.ParseDrops(f.amount); err != nil {
		return o, 0, usage("--amount: %w", err)
	}
	if f.fee != "" {
		if o.Fee, err = types.ParseDrops(f.fee); err != nil {
			return o, 0, usage("--fee: %w", err)
		}
	}
	if f.ring != 0 && (f.ring < 2 || f.ring > 128) {
		return o, 0, usage("--ring: want 2 to 128")
	}
	o.Ring, o.Expiry = f.ring, f.expiry
	return o, amount, nil
}

func newWalletShieldCmd(a *app) *cobra.Command {
	var f actFlags
	var amount string
	cmd := &cobra.Command{
		Use:     "shield --from NAME --amount COINS",
		Short:   "turn coins of an account into confidential ones of its own",
		Example: "  starling wallet shield --from alice --amount 50",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, flag := range [][2]string{{"from", f.from}, {"amount", amount}} {
				if err := needs(cmd, flag[0], flag[1]); err != nil {
					return err
				}
			}
			drops, err := types.ParseDrops(amount)
			if err != nil {
				return usage("--amount: %w", err)
			}
			return a.shield(cmd, f, drops)
		},
	}
	f.bind(cmd, "whose coins they are")
	cmd.Flags().StringVar(&amount, "amount", "", "coins, with at most six decimals")
	return cmd
}

func (a *app) shield(cmd *cobra.Command, f actFlags, amount types.Drops) error {
	order, err := f.order(cmd)
	if err != nil {
		return err
	}
	w, err := a.wallet(cmd)
	if err != nil {
		return err
	}
	acc, err := privateAccount(w, f.from)
	if err != nil {
		return err
	}
	passphrase, err := a.passphrase(cmd, f.from, false)
	if err != nil {
		return err
	}
	return a.privatelyWith(cmd, w, acc, passphrase, func(_ context.Context, p *private.Wallet, _ *client.Client, acc wallet.Account, _ api.Status) error {
		order.Body, order.Make = private.Like(amount, 0), p.Shield(amount)
		return a.handIn(cmd, f, w, acc, order, passphrase)
	})
}

func newWalletUnshieldCmd(a *app) *cobra.Command {
	var f spendFlags
	var to string
	cmd := &cobra.Command{
		Use:     "unshield --from NAME --amount COINS [--to ADDRESS]",
		Short:   "turn confidential coins into those of an account, its own or another",
		Example: "  starling wallet unshield --from alice --amount 5\n  starling wallet unshield --from alice --amount 5 --to bob",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, amount, err := f.options(cmd)
			if err != nil {
				return err
			}
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			return a.privately(cmd, f.from, func(ctx context.Context, p *private.Wallet, c *client.Client, acc wallet.Account, s api.Status) error {
				payee := acc.Address()
				if to != "" {
					if payee, err = a.resolve(w, to, s.AddressPrefix); err != nil {
						return fmt.Errorf("--to: %w", err)
					}
				}
				result, err := p.Unshield(ctx, c, o, !f.noWait, private.Payout{To: payee, Amount: amount})
				if err != nil {
					return err
				}
				return a.printResult(result)
			})
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&to, "to", "", "address, or account of the wallet, that receives; default is the account itself")
	return cmd
}

// sendPrivately pays out of confidential coins.
func (a *app) sendPrivately(cmd *cobra.Command, f spendFlags, to, memo string) error {
	o, amount, err := f.options(cmd)
	if err != nil {
		return err
	}
	if len(memo) > stealth.MemoSize {
		return usage("--memo: %d bytes, at most %d fit into a private payment", len(memo), stealth.MemoSize)
	}
	return a.privately(cmd, f.from, func(ctx context.Context, p *private.Wallet, c *client.Client, _ wallet.Account, s api.Status) error {
		payee, err := private.ParseAddress(to, s.AddressPrefix)
		if err != nil {
			return &usageError{fmt.Errorf("--to: %w; private addresses begin with %sp1 (`starling wallet scan NAME` shows one's own)", err, s.AddressPrefix)}
		}
		result, err := p.Send(ctx, c, o, !f.noWait, stealth.Payment{To: payee, Amount: uint64(amount), Memo: []byte(memo)})
		if err != nil {
			return err
		}
		return a.printResult(result)
	})
}

func newWalletViewKeyCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "view-key NAME",
		Short:   "show the key by which somebody can see what comes in, and not spend it",
		Example: "  starling wallet view-key alice\n  starling wallet scan --view-key KEY",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			prefix := a.prefix(cmd)
			if prefix == "" {
				return errors.New("the network is not known: start its node, or point --api to one")
			}
			passphrase, err := a.passphrase(cmd, args[0], false)
			if err != nil {
				return err
			}
			keys, _, err := w.Private(args[0], passphrase)
			if err != nil {
				return err
			}
			key := private.FormatViewKey(keys.ViewKeys, prefix)
			a.remark("whoever has this key sees all private payments to %s, past and future, and can spend none", args[0])
			return a.print(map[string]string{"view_key": key}, func(w io.Writer) { fmt.Fprintln(w, key) })
		},
	}
	passphraseFlag(cmd)
	return cmd
}

// watchFile is where what a view key sees is kept.
func watchFile(dir string, view *stealth.ViewKeys) string {
	return filepath.Join(dir, "view-"+hash.Sum("starling/view key", view.ViewBytes()).Short()+".coins")
}
