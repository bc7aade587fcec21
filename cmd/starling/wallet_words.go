package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/wallet"
)

func newWalletRestoreCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "restore NAME [FILE]",
		Short:   "make an account of the words that another one was made of; without a file, from standard input",
		Example: "  starling wallet restore alice words.txt\n  echo legal winner thank year ... | starling wallet restore alice",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			from := "-"
			if len(args) == 2 {
				from = args[1]
			}
			data, err := a.readInput(from)
			if err != nil {
				return err
			}
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			passphrase, err := a.passphrase(cmd, args[0], true)
			if err != nil {
				return err
			}
			acc, err := w.ImportWords(args[0], string(data), passphrase)
			if err != nil {
				return err
			}
			if err := a.printAccount(cmd, acc); err != nil {
				return err
			}
			a.remark("its confidential coins are found by: starling wallet scan %s", acc.Name)
			return nil
		},
	}
	passphraseFlag(cmd)
	return cmd
}

func newWalletWordsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "words NAME",
		Short:   "show the words that an account was made of",
		Example: "  starling wallet words alice",
		Args:    exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			passphrase, err := a.passphrase(cmd, args[0], false)
			if err != nil {
				return err
			}
			words, err := w.Words(args[0], passphrase)
			if err != nil {
				return err
			}
			return a.printWords(words)
		},
	}
	passphraseFlag(cmd)
	return cmd
}

// newWords makes an account of new words, and shows these once.
func (a *app) newWords(cmd *cobra.Command, w *wallet.Wallet, name string, count int, passphrase []byte) error {
	acc, words, err := w.NewWords(name, count, passphrase)
	if err != nil {
		return err
	}
	if a.json {
		v := viewAccount(acc, a.prefix(cmd))
		v.Words = words
		return a.print(v, nil)
	}
	if err := a.printAccount(cmd, acc); err != nil {
		return err
	}
	return a.printWords(words)
}

func (a *app) printWords(words string) error {
	err := a.print(map[string]string{"words": words}, func(w io.Writer) {
		all := strings.Fields(words)
		var rows [][]any
		for i := 0; i < len(all); i += 4 {
			row := []any{}
			for j := i; j < min(i+4, len(all)); j++ {
				row = append(row, j+1, all[j])
			}
			for len(row) < 8 {
				row = append(row, "", "")
			}
			rows = append(rows, row)
		}
		a.table(w, []string{">", "", ">", "", ">", "", ">", ""}, rows)
	})
	a.remark("write the words down, in this order, and keep them from others: whoever has them has the coins, and with them everything can be restored")
	return err
}
