package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

func newTxCmd(a *app) *cobra.Command {
	return group("tx", "look at transactions and hand them in",
		"  starling tx show ID\n  starling tx submit payment.tx",
		newTxShowCmd(a), newTxSubmitCmd(a))
}

func newTxShowCmd(a *app) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "show a transaction and what became of it",
		Example: "  starling tx show 5f0c…\n  starling tx show --wait 5f0c…",
		Args:    exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := hash.Parse(args[0])
			if err != nil {
				return usage("transaction id %q: %w", args[0], err)
			}
			tx, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Tx, error) {
				if wait {
					return c.Wait(ctx, id)
				}
				return c.Tx(ctx, id)
			})
			if err != nil {
				return err
			}
			return a.print(tx, func(w io.Writer) { a.drawTx(w, tx) })
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is decided or expired")
	return cmd
}

func newTxSubmitCmd(a *app) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:     "submit FILE",
		Short:   "hand in a signed transaction, raw or hexadecimal; - is standard input",
		Example: "  starling tx submit payment.tx\n  cat payment.hex | starling tx submit -",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			tx, err := a.readTx(args[0])
			if err != nil {
				return err
			}
			a.remark("transaction %s", tx.ID())
			return a.submit(cmd, tx, !noWait)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "return once the node has it, before it is decided")
	return cmd
}

// submit hands a transaction in and prints what became of it. A refusal by the
// ledger is an error after the result is printed.
func (a *app) submit(cmd *cobra.Command, tx *types.Tx, wait bool) error {
	result, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Tx, error) {
		return c.Submit(ctx, tx.Raw(), wait)
	})
	if err != nil {
		return fmt.Errorf("transaction %s: %w", tx.ID(), err)
	}
	return a.printResult(result)
}

func (a *app) printResult(tx api.Tx) error {
	if err := a.print(tx, func(w io.Writer) { a.drawTx(w, tx) }); err != nil {
		return err
	}
	switch {
	case tx.Status == api.TxExpired:
		return fmt.Errorf("transaction %s expired before a block took it: %w", tx.ID, errRefused)
	case tx.Success != nil && !*tx.Success:
		return fmt.Errorf("transaction %s: %w: %s%s", tx.ID, errRefused, tx.Code, cure(tx.Code))
	}
	return nil
}

// readTx reads a transaction file in either form.
func (a *app) readTx(path string) (*types.Tx, error) {
	data, err := a.readInput(path)
	if err != nil {
		return nil, err
	}
	if raw, err := hex.DecodeString(string(bytes.TrimSpace(data))); err == nil {
		data = raw
	}
	tx, err := types.DecodeTx(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tx, nil
}

func (a *app) drawTx(w io.Writer, tx api.Tx) {
	place := ""
	if tx.Status == api.TxDecided {
		place = "block " + count(tx.Height)
		if tx.Index != nil {
			place += fmt.Sprintf(", place %d", *tx.Index)
		}
	}
	amount, fee := amountText(tx), ""
	if tx.Amount != "" {
		amount += " coins"
	}
	if tx.Fee != "" {
		fee = coins(tx.Fee) + " coins"
	}
	memo := tx.Memo
	if memo == "" && tx.MemoHex != "" {
		memo = "0x" + tx.MemoHex
	}
	content := ""
	if tx.ContentBytes > 0 {
		content = count(uint64(tx.ContentBytes)) + " bytes; --json shows them"
	}
	var keys api.ValidatorKeys
	if tx.Validator != nil {
		keys = *tx.Validator
	}
	a.facts(w,
		"transaction", tx.ID,
		"result", a.result(w, tx),
		"in", place,
		"kind", tx.Kind,
		"from", tx.Sender,
		"to", tx.To,
		"validator", keys.Name,
		"identity", keys.Identity,
		"vote key", keys.Key,
		"amount", amount,
		"content", content,
		"fee", fee,
		"memo", memo,
		"signed by", signersText(tx.SignedBy),
		"new signers", signersText(tx.Signers),
	)
}

// signersText names who must sign.
func signersText(s *api.Signers) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("%d of %s", s.Threshold, strings.Join(s.Members, ", "))
}

// amountText is what a transaction moves, without a unit.
func amountText(tx api.Tx) string {
	if tx.All {
		return "everything"
	}
	return coins(tx.Amount)
}

// target is whom a transaction is about, beside its sender.
func target(tx api.Tx) string {
	if tx.Validator != nil {
		return tx.Validator.Name
	}
	return ends(tx.To)
}

// result is a transaction's outcome in a word.
func (a *app) result(w io.Writer, tx api.Tx) string {
	switch {
	case tx.Status == "":
		return ""
	case tx.Status == api.TxExpired:
		return a.red(w, "expired")
	case tx.Status == api.TxPending:
		return "pending"
	case tx.Success == nil:
		return "decided"
	case *tx.Success:
		return a.green(w, tx.Code)
	default:
		return a.red(w, tx.Code)
	}
}
