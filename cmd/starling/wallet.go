package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/keystore"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
)

func newWalletCmd(a *app) *cobra.Command {
	return group("wallet", "keep accounts and pay from them",
		"  starling wallet new alice\n  starling wallet balance\n  starling wallet send --from alice --to ADDRESS --amount 12.5",
		newWalletNewCmd(a), newWalletListCmd(a), newWalletSendCmd(a), newWalletPublishCmd(a), newWalletBalanceCmd(a),
		newWalletExportCmd(a), newWalletImportCmd(a), newWalletWordsCmd(a), newWalletRestoreCmd(a), newWalletMultiCmd(a),
		newWalletScanCmd(a), newWalletShieldCmd(a), newWalletUnshieldCmd(a), newWalletViewKeyCmd(a), newWalletProofCmd(a))
}

// wallet opens the accounts of the configured home.
func (a *app) wallet(cmd *cobra.Command) (*wallet.Wallet, error) {
	cfg, _, err := a.loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	return wallet.Open(cfg.WalletDir(), keystore.DefaultParams()), nil
}

// accountView is an account in JSON. Address is empty while the network, and so
// its prefix, is not known.
type accountView struct {
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Address   string    `json:"address,omitempty"`
	PublicKey string    `json:"public_key"`
	Created   time.Time `json:"created"`
	Path      string    `json:"path"`
	Words     string    `json:"words,omitempty"`
}

func viewAccount(acc wallet.Account, prefix string) accountView {
	v := accountView{
		Name: acc.Name, Kind: acc.Public.Kind().String(), PublicKey: fmt.Sprintf("%x", acc.Public.Bytes()),
		Created: acc.Created, Path: acc.Path,
	}
	if prefix != "" {
		v.Address = acc.Address().Format(prefix)
	}
	return v
}

// prefix finds how addresses of the network begin: from the genesis file, or
// from the node if one answers soon. It is empty if neither is there.
func (a *app) prefix(cmd *cobra.Command) string {
	if g := a.homeGenesis(cmd); g != nil && a.apiAddress == "" {
		return g.AddressPrefix
	}
	c, err := a.client(cmd)
	if err != nil {
		return ""
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	status, err := c.Status(ctx)
	if err != nil {
		return "" // addresses are a convenience here
	}
	return status.AddressPrefix
}

func newWalletNewCmd(a *app) *cobra.Command {
	kind := keys.Secp256k1.String()
	var words int
	cmd := &cobra.Command{
		Use:     "new NAME",
		Short:   "make an account with a key of its own, or of words",
		Example: "  starling wallet new alice\n  starling wallet new alice --words 24\n  starling wallet new savings --kind ed25519",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := keys.ParseKind(kind)
			if err != nil {
				return usage("--kind: %w", err)
			}
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			passphrase, err := a.passphrase(cmd, args[0], true)
			if err != nil {
				return err
			}
			if words > 0 {
				return a.newWords(cmd, w, args[0], words, passphrase)
			}
			acc, err := w.New(args[0], k, passphrase)
			if err != nil {
				return err
			}
			return a.printAccount(cmd, acc)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", kind, "kind of key: secp256k1, ed25519, p256 or rsa")
	cmd.Flags().IntVar(&words, "words", 0, "make the keys of so many words, which are shown to be written down: 12, 15, 18, 21 or 24")
	passphraseFlag(cmd)
	return cmd
}

func (a *app) printAccount(cmd *cobra.Command, acc wallet.Account) error {
	v := viewAccount(acc, a.prefix(cmd))
	err := a.print(v, func(w io.Writer) {
		a.facts(w, "account", a.bold(w, v.Name), "address", v.Address, "key", v.Kind, "public key", v.PublicKey, "file", v.Path)
	})
	if v.Address == "" {
		a.remark("the address is shown once the network is known: start its node, or point --api to one")
	}
	a.remark("keep the file and its passphrase: without either the coins are lost")
	return err
}

func newWalletListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "list the accounts; needs no passphrase",
		Example: "  starling wallet list\n  starling wallet list --json | jq -r '.[].address'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			accounts, fault := w.List()
			prefix := a.prefix(cmd)
			views := make([]accountView, 0, len(accounts))
			for _, acc := range accounts {
				views = append(views, viewAccount(acc, prefix))
				if acc.Exposed {
					a.remark("warning: others can read %s; run: chmod 600 %s", acc.Path, acc.Path)
				}
			}
			if err := a.print(views, func(w io.Writer) { a.drawAccounts(w, views) }); err != nil {
				return err
			}
			return fault
		},
	}
}

func (a *app) drawAccounts(w io.Writer, views []accountView) {
	if len(views) == 0 {
		a.remark("no accounts yet: starling wallet new NAME makes one")
		return
	}
	rows := make([][]any, 0, len(views))
	for _, v := range views {
		address := v.Address
		if address == "" {
			address = "(network not known)"
		}
		rows = append(rows, []any{v.Name, address, v.Kind, a.ago(v.Created)})
	}
	a.table(w, []string{"account", "address", "key", "made"}, rows)
}

func newWalletBalanceCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "balance [NAME|ADDRESS]...",
		Short:   "show what accounts hold; without arguments, all of the wallet",
		Example: "  starling wallet balance\n  starling wallet balance alice\n  starling wallet balance ADDRESS",
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			balances, err := ask(a, cmd, func(ctx context.Context, c *client.Client) ([]balanceView, error) {
				return a.balances(ctx, c, w, args)
			})
			if err != nil {
				return err
			}
			return a.print(balances, func(w io.Writer) { a.drawBalances(w, balances) })
		},
	}
}

type balanceView struct {
	Name string `json:"name,omitempty"`
	api.Account
}

func (a *app) balances(ctx context.Context, c *client.Client, w *wallet.Wallet, who []string) ([]balanceView, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	accounts, fault := w.List()
	if len(who) == 0 {
		if fault != nil {
			a.remark("warning: %v", fault)
		}
		for _, acc := range accounts {
			who = append(who, acc.Name)
		}
	}
	out := make([]balanceView, 0, len(who))
	for _, name := range who {
		address, err := a.resolve(w, name, status.AddressPrefix)
		if err != nil {
			return nil, err
		}
		text := address.Format(status.AddressPrefix)
		account, err := c.Balance(ctx, text)
		if err != nil {
			return nil, err
		}
		view := balanceView{Account: account}
		for _, acc := range accounts {
			if acc.Address() == address && (view.Name == "" || acc.Name == name) {
				view.Name = acc.Name
			}
		}
		out = append(out, view)
	}
	return out, nil
}

func (a *app) drawBalances(w io.Writer, balances []balanceView) {
	if len(balances) == 0 {
		a.remark("no accounts yet: starling wallet new NAME makes one")
		return
	}
	rows := make([][]any, 0, len(balances))
	for _, b := range balances {
		waiting := ""
		if n := b.NextSequence - b.Sequence; n > 0 {
			waiting = plural(n, "payment") + " waiting"
		}
		if b.Signers != nil {
			waiting = strings.TrimPrefix(waiting+", other signers", ", ")
		}
		rows = append(rows, []any{b.Name, b.Address, coins(b.Balance), waiting})
	}
	a.table(w, []string{"account", "address", ">coins", ""}, rows)
}

// resolve reads an address, or the name of an account of the wallet.
func (a *app) resolve(w *wallet.Wallet, who, prefix string) (types.Address, error) {
	address, err := types.ParseAddress(who, prefix)
	if err == nil {
		return address, nil
	}
	if strings.HasPrefix(who, prefix+"1") || strings.ContainsAny(who, "/.") {
		return address, &usageError{err}
	}
	acc, lookup := w.Account(who)
	if lookup != nil {
		return address, usage("%q is neither an address of this network (they begin with %s1) nor an account of the wallet", who, prefix)
	}
	return acc.Address(), nil
}
