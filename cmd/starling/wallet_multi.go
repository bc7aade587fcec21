package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/wallet"
)

func newWalletMultiCmd(a *app) *cobra.Command {
	cmd := group("multi", "accounts for which several people sign",
		`  starling wallet multi new treasury --threshold 2 --member alice --member KEY --member KEY
  starling wallet send --from treasury --to ADDRESS --amount 5 --out pay.txt
  starling wallet multi sign pay.txt --as alice --out alice.sig    # each where their key is, no node needed
  starling wallet multi send pay.txt alice.sig bob.sig`,
		newMultiNewCmd(a), newMultiSetCmd(a), newMultiShowCmd(a), newMultiSignCmd(a), newMultiSendCmd(a))
	return cmd
}

// memberFlags name those who sign.
type memberFlags struct {
	threshold int
	members   []string
}

func (f *memberFlags) bind(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.threshold, "threshold", 0, "how many of the members must sign; may be left out for one member alone")
	cmd.Flags().StringArrayVar(&f.members, "member", nil, "public key in hexadecimal, or account of the wallet; once for each of up to 16 members")
}

// keys reads the members' keys.
func (f *memberFlags) keys(w *wallet.Wallet) (out []keys.PublicKey, err error) {
	switch {
	case len(f.members) == 0:
		return nil, usage("--member is missing: name each who may sign")
	case f.threshold == 0 && len(f.members) > 1:
		return nil, usage("--threshold is missing: how many of the %d members must sign?", len(f.members))
	case f.threshold == 0:
		f.threshold = 1
	}
	for _, m := range f.members {
		if raw, err := hex.DecodeString(m); err == nil {
			key, err := keys.ParsePublicKey(raw)
			if err != nil {
				return nil, usage("--member %s: %w", m, err)
			}
			out = append(out, key)
			continue
		}
		acc, err := w.Account(m)
		if err != nil {
			return nil, fmt.Errorf("--member %s: neither a public key in hexadecimal nor an account of the wallet: %w", m, err)
		}
		out = append(out, acc.Public)
	}
	return out, nil
}

func newMultiNewCmd(a *app) *cobra.Command {
	var f memberFlags
	cmd := &cobra.Command{
		Use:   "new NAME --threshold NUMBER --member KEY...",
		Short: "make an account of several members' keys",
		Long: `Makes an account for which some of its members must sign. The same members and number
give the same account everywhere, in any order: each member does it, and compares the address.
wallet multi show NAME tells a member's public key.`,
		Example: "  starling wallet multi new treasury --threshold 2 --member alice --member 01a2… --member 02c3…",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			members, err := f.keys(w)
			if err != nil {
				return err
			}
			key, err := keys.NewMulti(f.threshold, members...)
			if err != nil {
				return &usageError{err}
			}
			acc, err := w.NewMulti(args[0], key)
			if err != nil {
				return err
			}
			return a.showSigners(cmd, acc, acc.Public)
		},
	}
	f.bind(cmd)
	return cmd
}

func newMultiSetCmd(a *app) *cobra.Command {
	var f actFlags
	var m memberFlags
	cmd := &cobra.Command{
		Use:   "set --from NAME --threshold NUMBER --member KEY...",
		Short: "change who signs for an account; its address stays",
		Long: `From the next transaction on, the named members sign for the account and its former signers
do not. One member alone is a plain key: so a key is replaced, or an account returns to one.
Nobody asks the new members: name a key that is lost, and so is the account. What former signers signed and was
never decided becomes valid again if they come back before it expires.`,
		Example: "  starling wallet multi set --from treasury --threshold 2 --member alice --member 01a2… --member 02d4…\n" +
			"  starling wallet multi set --from alice --member alice2",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "from", f.from); err != nil {
				return err
			}
			return a.act(cmd, f, func(_ context.Context, x actor) (types.Body, error) {
				members, err := m.keys(x.wallet)
				if err != nil {
					return nil, err
				}
				key := members[0]
				if len(members) > 1 {
					if key, err = keys.NewMulti(m.threshold, members...); err != nil {
						return nil, &usageError{err}
					}
				} else if m.threshold != 1 {
					return nil, usage("--threshold %d of one member", m.threshold)
				}
				a.remark("from then on %d of %d must sign for %s", m.threshold, len(members), f.from)
				return &types.SetSigners{Key: key.Bytes()}, nil
			})
		},
	}
	f.bind(cmd, "whose signers change")
	m.bind(cmd)
	return cmd
}

// names are those of the wallet's accounts, by their public keys in hexadecimal.
func (a *app) names(cmd *cobra.Command) map[string]string {
	names := map[string]string{}
	w, err := a.wallet(cmd)
	if err != nil {
		return names
	}
	accounts, _ := w.List() // names are a convenience here
	for _, acc := range accounts {
		names[hex.EncodeToString(acc.Public.Bytes())] = acc.Name
	}
	return names
}

// signersOf asks a node who signs for an account.
func (a *app) signersOf(cmd *cobra.Command, acc wallet.Account) (keys.PublicKey, error) {
	c, err := a.client(cmd)
	if err != nil {
		return acc.Public, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	status, err := c.Status(ctx)
	if err != nil {
		return acc.Public, err
	}
	account, err := c.Balance(ctx, acc.Address().Format(status.AddressPrefix))
	if err != nil {
		return acc.Public, err
	}
	return wallet.Signers(account, acc.Public)
}

// signersView is who signs for an account of the wallet, in JSON.
type signersView struct {
	accountView
	Threshold int      `json:"threshold"`
	Members   []string `json:"members"`
}

// showAccount shows an account and who signs for it: by the chain, if a node answers soon, else by its
// own key.
func (a *app) showAccount(cmd *cobra.Command, acc wallet.Account) error {
	signers, err := a.signersOf(cmd, acc)
	switch {
	case err != nil:
		a.remark("no node was asked whether other signers were set since: %v", err)
		signers = acc.Public
	case signers != acc.Public:
		a.remark("the signers were changed on the chain: these are the present ones")
	}
	return a.showSigners(cmd, acc, signers)
}

func (a *app) showSigners(cmd *cobra.Command, acc wallet.Account, signers keys.PublicKey) error {
	threshold, members := signers.Members()
	v := signersView{viewAccount(acc, a.prefix(cmd)), threshold, nil}
	for _, m := range members {
		v.Members = append(v.Members, hex.EncodeToString(m.Bytes()))
	}
	return a.print(v, func(w io.Writer) {
		a.facts(w, "account", a.bold(w, v.Name), "address", v.Address, "must sign", fmt.Sprintf("%d of %d", threshold, len(members)), "file", v.Path)
		names := a.names(cmd)
		for _, m := range v.Members {
			fmt.Fprintln(w, strings.TrimSpace(m+"  "+names[m]))
		}
	})
}
