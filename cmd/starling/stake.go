package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/wallet"
)

func newStakeCmd(a *app) *cobra.Command {
	return group("stake", "bond coins behind a validator, and look at who did",
		"  starling stake list\n  starling stake bond --from alice --amount 5000 --name alice\n  starling stake show alice",
		newStakeBondCmd(a), newStakeUnbondCmd(a), newStakeRotateCmd(a), newStakeUnjailCmd(a), newStakeShowCmd(a), newStakeListCmd(a))
}

// keyFlags say whose keys a validator gets.
type keyFlags struct{ name, home string }

func (k *keyFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.name, "name", "", "the validator's name, at most 32 printable characters")
	cmd.Flags().StringVar(&k.home, "node-home", "", "home of the validator's node, if it is another than --home")
}

func newStakeBondCmd(a *app) *cobra.Command {
	var f actFlags
	var k keyFlags
	var amount string
	cmd := &cobra.Command{
		Use:   "bond --from NAME --amount COINS",
		Short: "bond coins behind the account's validator, and make one of a node if it has none",
		Long: `Bonds coins behind the account's validator. The first bond makes the validator
and needs --name; identity and vote key are those of the node whose home is
--node-home, and a missing vote key is made there. The validator takes part from
the epoch after the next on, if its bond is among the largest.`,
		Example: "  starling stake bond --from alice --amount 5000 --name alice\n" +
			"  starling stake bond --from alice --amount 5000 --name alice --node-home ./node\n" +
			"  starling stake bond --from alice --amount 250.5",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "from", f.from); err != nil {
				return err
			}
			drops, err := parseAmount(cmd, amount)
			if err != nil {
				return err
			}
			return a.stakeAct(cmd, f, func(at wallet.Standing) (types.Body, error) {
				return a.bond(cmd, k, drops, at)
			})
		},
	}
	f.bind(cmd, "that bonds")
	k.bind(cmd)
	cmd.Flags().StringVar(&amount, "amount", "", "coins, with at most six decimals")
	return cmd
}

// bond decides whether keys belong into a bond.
func (a *app) bond(cmd *cobra.Command, k keyFlags, amount types.Drops, at wallet.Standing) (types.Body, error) {
	body := &types.Bond{Amount: amount}
	if at.Stake != nil {
		if k.home != "" || k.name != "" && k.name != at.Stake.Name {
			return nil, usage("the account has the validator %s already: add to its bond without --name and --node-home, or give it other keys with starling stake rotate", at.Stake.Name)
		}
		return body, nil
	}
	if k.name == "" {
		return nil, usage("the account has no validator yet: --name names it, and --node-home is the home of its node")
	}
	var err error
	body.Keys, err = a.validatorKeys(cmd, k)
	return body, err
}

func newStakeUnbondCmd(a *app) *cobra.Command {
	var f actFlags
	var amount string
	var all bool
	cmd := &cobra.Command{
		Use:   "unbond --from NAME --amount COINS|--all",
		Short: "take coins back; they arrive some epochs later",
		Long: `Takes coins back. They stop counting with the next set that is made, arrive in
the account some epochs later (starling epoch shows the rule), and can be slashed
until then. What stays bonded must reach the least bond.`,
		Example: "  starling stake unbond --from alice --amount 100\n  starling stake unbond --from alice --all",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "from", f.from); err != nil {
				return err
			}
			body := &types.Unbond{}
			if all == (amount != "") {
				return usage("want either --amount COINS or --all; %s --help shows an example", cmd.CommandPath())
			}
			if !all {
				var err error
				if body.Amount, err = parseAmount(cmd, amount); err != nil {
					return err
				}
			}
			return a.stakeAct(cmd, f, func(wallet.Standing) (types.Body, error) { return body, nil })
		},
	}
	f.bind(cmd, "that unbonds")
	cmd.Flags().StringVar(&amount, "amount", "", "coins, with at most six decimals")
	cmd.Flags().BoolVar(&all, "all", false, "everything that is bonded")
	return cmd
}

func newStakeRotateCmd(a *app) *cobra.Command {
	var f actFlags
	var k keyFlags
	cmd := &cobra.Command{
		Use:   "rotate --from NAME --node-home HOME",
		Short: "give the account's validator the keys of another home",
		Long: `Gives the validator the identity and the vote key of another home. The old keys
vote until the epoch after the next begins: keep the old node running until then,
and start the new one now. Keys that a validator had are never free for another.`,
		Example: "  starling init --validator --home ./node2\n  starling stake rotate --from alice --node-home ./node2",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "from", f.from); err != nil {
				return err
			}
			return a.stakeAct(cmd, f, func(at wallet.Standing) (types.Body, error) {
				if at.Stake == nil {
					return &types.Rotate{}, nil // refused by the check
				}
				if k.name == "" {
					k.name = at.Stake.Name
				}
				keys, err := a.validatorKeys(cmd, k)
				if err != nil {
					return nil, err
				}
				return &types.Rotate{Keys: *keys}, nil
			})
		},
	}
	f.bind(cmd, "whose validator it is")
	k.bind(cmd)
	return cmd
}

func newStakeUnjailCmd(a *app) *cobra.Command {
	var f actFlags
	cmd := &cobra.Command{
		Use:   "unjail --from NAME",
		Short: "end the jail of the account's validator once its time is over",
		Long: `Ends the jail that follows a proven offence, once its epochs are over. Before you
do, find out why the validator contradicted itself: most likely two nodes run with
its key. The next offence costs again.`,
		Example: "  starling stake unjail --from alice",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needs(cmd, "from", f.from); err != nil {
				return err
			}
			return a.stakeAct(cmd, f, func(wallet.Standing) (types.Body, error) { return &types.Unjail{}, nil })
		},
	}
	f.bind(cmd, "whose validator it is")
	return cmd
}

// stakeAct acts after a look at how the account stands: what the ledger would refuse
// costs nothing.
func (a *app) stakeAct(cmd *cobra.Command, f actFlags, body func(wallet.Standing) (types.Body, error)) error {
	return a.act(cmd, f, func(ctx context.Context, x actor) (types.Body, error) {
		at, err := wallet.Look(ctx, x.node, x.address())
		if err != nil {
			return nil, err
		}
		b, err := body(at)
		if err != nil {
			return nil, err
		}
		return b, at.Check(b)
	})
}

func parseAmount(cmd *cobra.Command, text string) (types.Drops, error) {
	if err := needs(cmd, "amount", text); err != nil {
		return 0, err
	}
	drops, err := types.ParseDrops(text)
	if err == nil && drops == 0 {
		err = errors.New("want more than 0")
	}
	if err != nil {
		return 0, usage("--amount: %w", err)
	}
	return drops, nil
}

// validatorKeys reads a node's keys, and makes the vote key if it has none. The home
// must exist: keys in a mistyped place would be staked for and never found.
func (a *app) validatorKeys(cmd *cobra.Command, k keyFlags) (*types.ValidatorKeys, error) {
	if k.home == "" {
		cfg, _, err := a.loadConfig(cmd)
		if err != nil {
			return nil, err
		}
		k.home = cfg.Home
	}
	if _, err := os.Stat(k.home); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no node in %s: `starling init --validator --home %s` makes its keys", k.home, k.home)
	}
	keys, err := node.LoadKeys(k.home)
	if err == nil && keys.Vote == nil {
		a.remark("made a vote key in %s: if the node runs already, restart it", k.home)
		keys, err = node.CreateKeys(k.home)
	}
	if err != nil {
		return nil, err
	}
	v, err := keys.Validator(k.name, 1)
	if err != nil {
		return nil, err
	}
	a.remark("validator %s is the node in %s", k.name, k.home)
	return &types.ValidatorKeys{Name: v.Name, Key: v.Key, Possession: v.Possession, Identity: v.Identity}, nil
}
