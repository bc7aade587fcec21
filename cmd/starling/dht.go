package main

import (
	"context"
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/store"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
)

const dhtExample = `  starling dht put --from alice greeting "hello, world"
  starling dht get alice/greeting
  starling dht set add --from alice friends bob
  starling dht counter inc --from alice visits
  starling dht watch alice/greeting`

func newDHTCmd(a *app) *cobra.Command {
	cmd := group("dht", "keep data with other nodes, and read it", dhtExample)
	cmd.Long = `Records belong to an account and have a name; OWNER/NAME names one, where OWNER is an
account of the wallet or an address. Several nodes hold each, and replace those that
fail. A record lives for a week unless it is renewed or another life is given.`
	cmd.AddCommand(
		newDHTPutCmd(a), newDHTGetCmd(a), newDHTWatchCmd(a), newDHTRmCmd(a), newDHTLsCmd(a),
		newDHTSetCmd(a), newDHTCounterCmd(a), newDHTMapCmd(a), newDHTLogCmd(a),
		newDHTRenewCmd(a), newDHTShareCmd(a), newDHTKeysCmd(a), newDHTImportCmd(a), newDHTExportCmd(a),
		newDHTRingCmd(a), newDHTStatCmd(a), newDHTLookupCmd(a),
	)
	return cmd
}

// dhtFlags are the flags of commands that write.
type dhtFlags struct {
	from    string
	life    time.Duration
	private bool
	readers []string
	writers []string
	write   int
}

func (f *dhtFlags) bind(cmd *cobra.Command, access bool) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "account of the wallet that writes")
	flags.IntVar(&f.write, "quorum", 0, "holders that must keep it before it counts as written; 0 is a majority")
	passphraseFlag(cmd)
	if access {
		flags.DurationVar(&f.life, "life", store.DefaultLife, "how long it lives unless it is renewed")
		flags.BoolVar(&f.private, "private", false, "seal it: only the owner and --reader can read it")
		flags.StringSliceVar(&f.readers, "reader", nil, "reader's key of somebody who may read it too, as dht keys shows it")
		flags.StringSliceVar(&f.writers, "writer", nil, "writer's key of somebody who may change it too, as dht keys shows it")
	}
}

func (f *dhtFlags) options() (o dht.Options, err error) {
	o = dht.Options{Life: f.life, Private: f.private, Write: f.write, Listed: true}
	if len(f.readers) > 0 && !f.private {
		return o, usage("--reader is for --private records: everybody reads the others")
	}
	for _, text := range f.readers {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return o, usage("--reader %s: want a key in hexadecimal, as dht keys shows it", text)
		}
		key, err := ecdh.X25519().NewPublicKey(raw)
		if err != nil {
			return o, usage("--reader %s: %w", text, err)
		}
		o.Readers = append(o.Readers, key)
	}
	for _, text := range f.writers {
		raw, err := hex.DecodeString(text)
		if err != nil {
			return o, usage("--writer %s: want a key in hexadecimal, as dht keys shows it", text)
		}
		key, err := keys.ParsePublicKey(raw)
		if err != nil {
			return o, usage("--writer %s: %w", text, err)
		}
		o.Writers = append(o.Writers, key)
	}
	return o, nil
}

// writeDHT unlocks an account and writes as it.
func (a *app) writeDHT(cmd *cobra.Command, f dhtFlags, do func(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error)) error) error {
	if err := needs(cmd, "from", f.from); err != nil {
		return err
	}
	o, err := f.options()
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
	passphrase, err := a.passphrase(cmd, f.from, false)
	if err != nil {
		return err
	}
	key, err := w.Unlock(f.from, passphrase)
	if err != nil {
		return err
	}
	_, err = ask(a, cmd, func(ctx context.Context, c *client.Client) (_ struct{}, err error) {
		status, err := c.Status(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if known := a.expectedChain(cmd); !known.IsZero() && known != status.ChainID {
			return struct{}{}, fmt.Errorf("the node is of another network than the genesis file in the home: nothing was signed")
		}
		author, done, err := wallet.Author(ctx, acc, key, types.MeshName(status.Network, status.ChainID))
		if err != nil {
			return struct{}{}, err
		}
		defer func() { err = errors.Join(err, done()) }()
		o.Progress = a.dhtProgress()
		s := dht.NewStore(records(c, status.AddressPrefix), author, o)
		return struct{}{}, do(ctx, s, func(text string) (store.Ref, error) {
			if !strings.Contains(text, "/") {
				return s.Own(text), nil
			}
			return a.dhtRef(w, text, status.AddressPrefix)
		})
	})
	return err
}

// readDHT reads, as an account if it is given, else only what everybody may read.
func (a *app) readDHT(cmd *cobra.Command, from string, o dht.Options, do func(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error)) error) error {
	w, err := a.wallet(cmd)
	if err != nil {
		return err
	}
	var key keys.PrivateKey
	if from != "" {
		passphrase, err := a.passphrase(cmd, from, false)
		if err != nil {
			return err
		}
		if key, err = w.Unlock(from, passphrase); err != nil {
			return err
		}
	}
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	status, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (string, error) {
		s, err := c.Status(ctx)
		return s.AddressPrefix, err
	})
	if err != nil {
		return err
	}
	s := dht.NewStore(records(c, status), &store.Author{Key: key}, o)
	return do(cmd.Context(), s, func(text string) (store.Ref, error) { return a.dhtRef(w, text, status) })
}

func records(c *client.Client, prefix string) *client.Records {
	return c.Records(func(o store.Owner) string { return types.Address(o).Format(prefix) })
}

// dhtRef reads OWNER/NAME.
func (a *app) dhtRef(w *wallet.Wallet, text, prefix string) (store.Ref, error) {
	owner, name, ok := strings.Cut(text, "/")
	if !ok || name == "" {
		return store.Ref{}, usage("%q: want OWNER/NAME, where OWNER is an account of the wallet or an address", text)
	}
	address, err := a.resolve(w, owner, prefix)
	if err != nil {
		return store.Ref{}, err
	}
	return store.Ref{Owner: hash.Hash(address), Name: name}, nil
}

// dhtProgress shows how much of a large value is done.
func (a *app) dhtProgress() func(done, of int64) {
	if a.quiet || a.json {
		return nil
	}
	return func(done, of int64) {
		fmt.Fprintf(a.stderr, "\r%s of %s", size(done), size(of))
		if done == of {
			fmt.Fprintln(a.stderr)
		}
	}
}

func newDHTKeysCmd(a *app) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:     "keys --from NAME",
		Short:   "show the keys to give to who lets you read or change a record",
		Example: "  starling dht keys --from bob",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "from", from); err != nil {
				return err
			}
			w, err := a.wallet(cmd)
			if err != nil {
				return err
			}
			passphrase, err := a.passphrase(cmd, from, false)
			if err != nil {
				return err
			}
			key, err := w.Unlock(from, passphrase)
			if err != nil {
				return err
			}
			reader, err := store.ReaderKey(key)
			if err != nil {
				return err
			}
			view := map[string]string{"reader": hex.EncodeToString(reader.PublicKey().Bytes()), "writer": hex.EncodeToString(key.Public().Bytes())}
			return a.print(view, func(w io.Writer) { a.facts(w, "reader", view["reader"], "writer", view["writer"]) })
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "account of the wallet")
	passphraseFlag(cmd)
	return cmd
}
