package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"
	rscqr "rsc.io/qr"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
)

// propose prints, or writes, what members are to sign.
func (a *app) propose(cmd *cobra.Command, f actFlags, key keys.PublicKey, order wallet.Order) error {
	p, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (*wallet.Proposal, error) {
		return wallet.NewSender(c, a.expectedChain(cmd), "").Propose(ctx, key, order)
	})
	if err != nil {
		return err
	}
	threshold, members, _ := p.Members()
	a.remark("%d of %d members must sign, until block %s: starling wallet multi sign FILE --as NAME", threshold, len(members), count(uint64(p.Tx().Expiry)))
	return a.printText(p.Tx().ID(), "proposal", p.Text(), f.out, f.qr)
}

// printText prints a text that is to travel, or writes it to a file.
func (a *app) printText(id hash.Hash, what, text, out string, qr bool) error {
	view := map[string]any{"id": id, what: text}
	code := strings.ToUpper(text) // capitals make it a third smaller
	if qr {
		if _, err := rscqr.Encode(code, rscqr.L); err != nil {
			return usage("the %s of %d characters is too long for a QR code; --out writes it to a file", what, len(text))
		}
	}
	if out != "" {
		if err := writeNew(out, []byte(text+"\n")); err != nil {
			return err
		}
		view["path"] = out
	}
	if qr {
		qrterminal.GenerateHalfBlock(code, qrterminal.L, a.stderr)
	}
	return a.print(view, func(w io.Writer) {
		if out != "" {
			a.facts(w, "transaction", id, "file", out)
			return
		}
		fmt.Fprintln(w, text)
	})
}

// looksLikeText tells a text from the name of a file: it has a mark and at least the checksum and an
// identifier.
var looksLikeText = regexp.MustCompile(`^(?i)[a-z0-9]+1[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{40,}$`)

// readText reads a proposal or signature: a file, standard input, or the text itself.
func (a *app) readText(arg string) (string, error) {
	if arg = strings.TrimSpace(arg); looksLikeText.MatchString(arg) {
		return arg, nil
	}
	data, err := a.readInput(arg)
	return strings.TrimSpace(string(data)), err
}

// readProposal reads a proposal and what was signed for it.
func (a *app) readProposal(args []string) (*wallet.Proposal, error) {
	text, err := a.readText(args[0])
	if err != nil {
		return nil, err
	}
	p, err := wallet.ParseProposal(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	for _, arg := range args[1:] {
		text, err := a.readText(arg)
		if err == nil {
			err = p.Add(text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
	}
	return p, nil
}

// proposalView is a proposal in JSON.
type proposalView struct {
	api.Tx
	ChainID   hash.Hash    `json:"chain_id"`
	Network   string       `json:"network,omitempty"`
	Threshold int          `json:"threshold"`
	Members   []memberView `json:"members"`
	Complete  bool         `json:"complete"`
}

type memberView struct {
	Key    string `json:"key"`
	Name   string `json:"name,omitempty"` // of the account in this wallet
	Signed bool   `json:"signed"`
}

func (a *app) viewProposal(cmd *cobra.Command, p *wallet.Proposal) proposalView {
	threshold, members, signed := p.Members()
	v := proposalView{Tx: api.DescribeTx(p.Tx(), p.Prefix()), ChainID: p.Tx().Chain, Network: a.networkOf(cmd, p.Tx().Chain), Threshold: threshold, Complete: p.Complete()}
	v.SignedBy = nil // nobody has as yet
	names := a.names(cmd)
	for i, m := range members {
		key := hex.EncodeToString(m.Bytes())
		v.Members = append(v.Members, memberView{key, names[key], signed[i]})
	}
	return v
}

// networkOf is the name of the network of the home, if the chain is its.
func (a *app) networkOf(cmd *cobra.Command, chain hash.Hash) string {
	if g := a.homeGenesis(cmd); g != nil && g.ChainID() == chain {
		return g.Network
	}
	return ""
}

// checkNetwork refuses a proposal of another network than the home's, or than the one that was
// named: keys are the same on all, so that what looks like a test could spend real coins.
func (a *app) checkNetwork(cmd *cobra.Command, chain hash.Hash, named string) error {
	g := a.homeGenesis(cmd)
	switch {
	case named != "" && !strings.EqualFold(named, chain.String()):
		return usage("--chain: the proposal is for the network with the chain id %s", chain)
	case named == "" && g == nil:
		return usage("which network is the proposal for? This home has no genesis file to tell: put it there, or say --chain %s if that is the network's chain id (starling status shows it)", chain)
	case named == "" && g.ChainID() != chain:
		return fmt.Errorf("%w: the proposal's chain is %s, the genesis file's is %s", wallet.ErrChain, chain.Short(), g.ChainID().Short())
	}
	return nil
}

func (a *app) drawProposal(w io.Writer, v proposalView) {
	a.drawTx(w, v.Tx)
	if v.Kind == types.KindShield.String() {
		a.remark("whom a shield pays is hidden from who signs it: trust who proposes it")
	}
	a.facts(w, "network", v.Network, "chain", v.ChainID, "sequence", v.Sequence, "expires", "after block "+count(v.Expiry), "must sign", fmt.Sprintf("%d of %d", v.Threshold, len(v.Members)))
	for _, m := range v.Members {
		state := "not yet"
		if m.Signed {
			state = a.green(w, "signed")
		}
		fmt.Fprintln(w, strings.TrimSpace(m.Key+"  "+state+"  "+m.Name))
	}
}

func newMultiShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME|PROPOSAL [SIGNATURE]...",
		Short:   "show an account's members and public key, or what a proposal would do and who signed it",
		Example: "  starling wallet multi show treasury\n  starling wallet multi show pay.txt alice.sig",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			if acc, err := w.Account(args[0]); err == nil && len(args) == 1 {
				return a.showAccount(cmd, acc)
			}
			p, err := a.readProposal(args)
			if err != nil {
				return err
			}
			v := a.viewProposal(cmd, p)
			return a.print(v, func(w io.Writer) { a.drawProposal(w, v) })
		},
	}
}

func newMultiSignCmd(a *app) *cobra.Command {
	var as, out, chain string
	var whole, qr bool
	cmd := &cobra.Command{
		Use:   "sign PROPOSAL --as NAME",
		Short: "show what a proposal would do, and sign it; no node is needed",
		Example: "  starling wallet multi sign pay.txt --as alice --out alice.sig\n" +
			"  starling wallet multi sign tstm1… --as alice --qr",
		Args: exactly("PROPOSAL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "as", as); err != nil {
				return err
			}
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			p, err := a.readProposal(args)
			if err != nil {
				return err
			}
			acc, err := w.Account(as)
			if err != nil {
				return err
			}
			if _, members, _ := p.Members(); !slices.Contains(members, acc.Public) {
				return fmt.Errorf("%s: %w", as, wallet.ErrMember)
			}
			a.drawProposal(a.stderr, a.viewProposal(cmd, p)) // read it before the passphrase is typed
			if err := a.checkNetwork(cmd, p.Tx().Chain, chain); err != nil {
				return err
			}
			passphrase, err := a.passphrase(cmd, as, false)
			if err != nil {
				return err
			}
			key, err := w.Unlock(as, passphrase)
			if err != nil {
				return err
			}
			text, err := p.Sign(key)
			if err != nil {
				return err
			}
			if whole {
				return a.printText(p.Tx().ID(), "proposal", p.Text(), out, qr)
			}
			return a.printText(p.Tx().ID(), "signature", text, out, qr)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "account of the wallet that is a member")
	cmd.Flags().StringVar(&chain, "chain", "", "chain id of the network that the proposal is for, where the home has no genesis file")
	cmd.Flags().StringVar(&out, "out", "", "write the signature to this file")
	cmd.Flags().BoolVar(&whole, "whole", false, "give the proposal with all signatures that it has, for the next member, instead of the signature alone")
	cmd.Flags().BoolVar(&qr, "qr", false, "draw it as a QR code, too")
	passphraseFlag(cmd)
	return cmd
}

func newMultiSendCmd(a *app) *cobra.Command {
	var noWait bool
	var out string
	cmd := &cobra.Command{
		Use:     "send PROPOSAL [SIGNATURE]...",
		Short:   "put the signatures together and hand the transaction in",
		Example: "  starling wallet multi send pay.txt alice.sig bob.sig\n  starling wallet multi send tstm1… tsts1… tsts1…",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.readProposal(args)
			if err != nil {
				return err
			}
			tx, err := p.Signed()
			if err != nil {
				return err
			}
			if out != "" {
				if err := writeNew(out, fmt.Appendf(nil, "%x\n", tx.Raw())); err != nil {
					return err
				}
				return a.print(map[string]any{"id": tx.ID(), "path": out}, func(w io.Writer) { a.facts(w, "transaction", tx.ID(), "file", out) })
			}
			return a.submit(cmd, tx, !noWait)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return once the node has the transaction, before it is decided")
	cmd.Flags().StringVar(&out, "out", "", "write the signed transaction to this file instead of sending it; see tx submit")
	return cmd
}
