package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/keystore"
)

func newWalletExportCmd(a *app) *cobra.Command {
	var out, kdf string
	var secret bool
	cmd := &cobra.Command{
		Use:   "export NAME",
		Short: "print an account's encrypted file, or its secret key",
		Example: "  starling wallet export alice --out alice-backup.json\n" +
			"  starling wallet export alice --kdf pbkdf2 --out alice-backup.json\n" +
			"  starling wallet export alice --secret",
		Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := a.export(cmd, args[0], secret, kdf)
			if err != nil {
				return err
			}
			if out == "" {
				_, err := a.stdout.Write(data)
				return err
			}
			if err := writeNew(out, data); err != nil {
				return err
			}
			return a.print(map[string]string{"path": out}, func(w io.Writer) { fmt.Fprintln(w, out) })
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write to this file, for the owner only, instead of standard output")
	cmd.Flags().BoolVar(&secret, "secret", false, "the secret key itself in hexadecimal, which no passphrase protects")
	cmd.Flags().StringVar(&kdf, "kdf", "", "encrypt the file anew, the key made of the passphrase by argon2id or pbkdf2; default is as it is")
	passphraseFlag(cmd)
	return cmd
}

func (a *app) export(cmd *cobra.Command, name string, secret bool, kdf string) ([]byte, error) {
	w, err := a.wallet(cmd)
	if err != nil {
		return nil, err
	}
	file, err := w.Export(name)
	if err != nil || !secret && kdf == "" {
		return file, err
	}
	var params keystore.Params
	switch {
	case secret && kdf != "":
		return nil, usage("--kdf does not go with --secret, which is not encrypted")
	case kdf == "pbkdf2":
		params = keystore.PBKDF2Params()
	case kdf == "argon2id":
		params = keystore.DefaultParams()
	case kdf != "":
		return nil, usage("--kdf %q: choose argon2id or pbkdf2", kdf)
	}
	passphrase, err := a.passphrase(cmd, name, false)
	if err != nil {
		return nil, err
	}
	if kdf != "" {
		return w.ExportAs(name, passphrase, params)
	}
	key, err := w.Unlock(name, passphrase)
	if err != nil {
		return nil, err
	}
	a.remark("whoever has this key has the coins")
	return fmt.Appendf(nil, "%x\n", key.Bytes()), nil
}

func newWalletImportCmd(a *app) *cobra.Command {
	kind := keys.Secp256k1.String()
	cmd := &cobra.Command{
		Use:   "import NAME FILE",
		Short: "make an account of an exported file, a Web3 key file or a secret key; - is standard input",
		Example: "  starling wallet import alice alice-backup.json\n" +
			"  starling wallet import alice secret.hex --passphrase-file new-passphrase",
		Args: exactly("NAME", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := keys.ParseKind(kind)
			if err != nil {
				return usage("--kind: %w", err)
			}
			data, err := a.readInput(args[1])
			if err != nil {
				return err
			}
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			if keystore.IsWeb3(data) {
				passphrase, err := a.passphrase(cmd, args[1], false)
				if err != nil {
					return err
				}
				acc, err := w.ImportWeb3(args[0], data, passphrase)
				if err != nil {
					return err
				}
				return a.printAccount(cmd, acc)
			}
			if bytes.HasPrefix(data, []byte("{")) {
				acc, err := w.ImportFile(args[0], data)
				if err != nil {
					return err
				}
				return a.printAccount(cmd, acc)
			}
			key, err := parseSecret(data, k)
			if err != nil {
				return fmt.Errorf("%s: %w", args[1], err)
			}
			passphrase, err := a.passphrase(cmd, args[0], true)
			if err != nil {
				return err
			}
			acc, err := w.ImportKey(args[0], key, passphrase)
			if err != nil {
				return err
			}
			return a.printAccount(cmd, acc)
		},
	}
	cmd.Flags().StringVar(&kind, "kind", kind, "what a bare key without kind is; an exported one knows it")
	passphraseFlag(cmd)
	return cmd
}

// parseSecret reads the hexadecimal form that export --secret prints, or the 32
// bytes of a key alone, as other wallets print it.
func parseSecret(data []byte, kind keys.Kind) (keys.PrivateKey, error) {
	text := bytes.TrimPrefix(bytes.TrimSpace(data), []byte("0x"))
	raw, err := hex.DecodeString(string(text))
	if err != nil {
		return keys.PrivateKey{}, fmt.Errorf("neither a key file (JSON) nor a secret key (hexadecimal digits)")
	}
	if len(raw) == 32 {
		raw = append([]byte{byte(kind)}, raw...)
	}
	return keys.ParsePrivateKey(raw)
}
