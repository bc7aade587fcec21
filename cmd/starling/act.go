package main

import (
	"context"
	"errors"
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

// actFlags are the flags of every command that signs for an account.
type actFlags struct {
	from, fee, memo, out string
	expiry, sequence     uint64
	noWait, qr           bool
}

func (f *actFlags) bind(cmd *cobra.Command, who string) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "account of the wallet "+who)
	flags.StringVar(&f.fee, "fee", "", "coins; default is the network's least fee")
	flags.StringVar(&f.memo, "memo", "", "note that everybody can read, at most 256 bytes")
	flags.Uint64Var(&f.expiry, "expiry", 0, fmt.Sprintf("give up if it is not decided within so many blocks; default %d, and for several signers as many as the network allows", wallet.DefaultExpiry))
	flags.StringVar(&f.out, "out", "", "write the signed transaction to this file instead of sending it, see tx submit; for several signers the proposal, see wallet multi")
	flags.Uint64Var(&f.sequence, "sequence", 0, "sequence number, for transactions that are to wait side by side; default is the account's next")
	flags.BoolVar(&f.qr, "qr", false, "for several signers: draw the proposal as a QR code, too")
	flags.BoolVar(&f.noWait, "no-wait", false, "return once the node has the transaction, before it is decided")
	passphraseFlag(cmd)
}

// order reads what needs no node; the body is still missing.
func (f *actFlags) order(cmd *cobra.Command) (o wallet.Order, err error) {
	if err := needs(cmd, "from", f.from); err != nil {
		return o, err
	}
	if f.fee != "" {
		if o.Fee, err = types.ParseDrops(f.fee); err != nil {
			return o, usage("--fee: %w", err)
		}
	}
	o.Memo, o.Expiry, o.Sequence = f.memo, f.expiry, f.sequence
	return o, nil
}

// needs refuses an empty flag.
func needs(cmd *cobra.Command, flag, value string) error {
	if value == "" {
		return usage("--%s is missing; %s --help shows an example", flag, cmd.CommandPath())
	}
	return nil
}

// actor is who acts, and the node that it asks.
type actor struct {
	node    *client.Client
	wallet  *wallet.Wallet
	account wallet.Account
	prefix  string
}

// address is the acting account's, as the node reads it.
func (x actor) address() string { return x.account.Address().Format(x.prefix) }

// act signs what body makes, hands it in, and prints what became of it. The body is
// made before the passphrase is asked for: mistakes show first.
func (a *app) act(cmd *cobra.Command, f actFlags, body func(context.Context, actor) (types.Body, error)) error {
	order, err := f.order(cmd)
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
	order.Body, err = ask(a, cmd, func(ctx context.Context, c *client.Client) (types.Body, error) {
		status, err := c.Status(ctx)
		if err != nil {
			return nil, err
		}
		return body(ctx, actor{node: c, wallet: w, account: acc, prefix: status.AddressPrefix})
	})
	if err != nil {
		return err
	}
	return a.handIn(cmd, f, w, acc, order, nil)
}

// handIn has those sign who sign for an account, and hands the order in, or prints what members are
// to sign. The account's own passphrase is asked for unless it is given.
func (a *app) handIn(cmd *cobra.Command, f actFlags, w *wallet.Wallet, acc wallet.Account, order wallet.Order, passphrase []byte) error {
	order.From = acc.Address()
	key, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (keys.PublicKey, error) {
		status, err := c.Status(ctx)
		if err != nil {
			return keys.PublicKey{}, err
		}
		account, err := c.Balance(ctx, acc.Address().Format(status.AddressPrefix))
		if err != nil {
			return keys.PublicKey{}, err
		}
		return wallet.Signers(account, acc.Public)
	})
	if err != nil {
		return err
	}
	if key.Kind() == keys.Multi {
		return a.propose(cmd, f, key, order)
	}
	if key != acc.Public {
		if acc, err = accountOf(w, key); err != nil {
			return fmt.Errorf("account %s: %w", f.from, err)
		}
		passphrase = nil
	}
	if passphrase == nil {
		if passphrase, err = a.passphrase(cmd, acc.Name, false); err != nil {
			return err
		}
	}
	private, err := w.Unlock(acc.Name, passphrase)
	if err != nil {
		return err
	}
	if f.out != "" {
		return a.writeOrder(cmd, private, order, f.out)
	}
	result, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Tx, error) {
		return wallet.NewSender(c, a.expectedChain(cmd), acc.LockFile()).Send(ctx, private, order, !f.noWait)
	})
	if err != nil {
		return err
	}
	return a.printResult(result)
}

// accountOf finds the account of the wallet that has a key.
func accountOf(w *wallet.Wallet, key keys.PublicKey) (wallet.Account, error) {
	accounts, err := w.List()
	for _, acc := range accounts {
		if acc.Public == key {
			return acc, nil
		}
	}
	return wallet.Account{}, errors.Join(fmt.Errorf("%w: %s signs for it, which is not in this wallet", wallet.ErrNoAccount, key), err)
}

// writeOrder signs an order and keeps it for `tx submit`.
func (a *app) writeOrder(cmd *cobra.Command, key keys.PrivateKey, o wallet.Order, path string) error {
	tx, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (*types.Tx, error) {
		return wallet.NewSender(c, a.expectedChain(cmd), "").Build(ctx, key, o)
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
	if g := a.homeGenesis(cmd); g != nil && a.apiAddress == "" {
		return g.ChainID()
	}
	return hash.Hash{}
}

// homeGenesis is the genesis in the home, nil if there is none.
func (a *app) homeGenesis(cmd *cobra.Command) *types.Genesis {
	cfg, _, err := a.loadConfig(cmd)
	if err != nil {
		return nil
	}
	g, err := types.ReadGenesis(cfg.GenesisPath())
	if err != nil {
		return nil
	}
	return g
}
