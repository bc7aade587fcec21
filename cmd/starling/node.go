package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/config"
)

func newNodeCmd(a *app) *cobra.Command {
	return group("node", "run a node",
		"  starling node run\n  starling node run --p2p-bootstrap /dns4/boot.example/udp/8421/quic-v1/p2p/PEER-ID",
		newNodeRunCmd(a))
}

func newNodeRunCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "join the mesh, follow the chain, and vote if the genesis names this node",
		Long: `Runs a node in the foreground until Ctrl-C. Settings come from the
configuration file, STARLING_ variables and flags, in that order (see
starling config show).`,
		Example: "  starling node run --genesis genesis.json --p2p-bootstrap /ip4/192.0.2.1/tcp/8421/p2p/PEER-ID",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			g, err := types.ReadGenesis(cfg.GenesisPath())
			if err != nil {
				return err
			}
			keys, err := node.LoadKeys(cfg.Home)
			if err != nil {
				return err
			}
			log := newLogger(a.stderr, cfg.Log, a.colors(a.stderr))
			n, err := node.New(node.Options{Config: cfg, Genesis: g, Keys: keys, Version: buildVersion(), Log: log})
			if err != nil {
				return err
			}
			a.remark("node %s of network %s, API on http://%s", n.Host().ID(), g.Network, n.APIAddr())
			for _, addr := range n.Host().FullAddrs() {
				a.remark("reachable at %s", addr)
			}
			return n.Run(cmd.Context())
		},
	}
	config.BindFlags(cmd.Flags())
	return cmd
}

// newLogger makes the logger that the configuration describes. The configuration
// was validated.
func newLogger(w io.Writer, c config.Log, color bool) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, NoColor: !color, TimeFormat: "15:04:05.000"}))
}

func newInitCmd(a *app) *cobra.Command {
	var name string
	var validator bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "make a home: identity, configuration, and with --validator a vote key",
		Long: `Makes what is missing in the home and leaves what is there. With --validator it
prints the entry that a genesis file needs to name this node as a validator.`,
		Example: "  starling init\n  starling init --validator --name alice --json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			keys, err := initKeys(cfg.Home, validator)
			if err != nil {
				return err
			}
			path := cfg.Path(config.FileName)
			if _, err := os.Stat(path); os.IsNotExist(err) {
				if err := os.WriteFile(path, []byte(config.Sample()), 0o600); err != nil {
					return fmt.Errorf("write configuration: %w", err)
				}
			}
			return a.printInit(cfg, keys, name, validator)
		},
	}
	cmd.Flags().BoolVar(&validator, "validator", false, "make a vote key and print the genesis entry")
	cmd.Flags().StringVar(&name, "name", "validator", "the validator's name in the genesis")
	return cmd
}

func initKeys(home string, validator bool) (node.Keys, error) {
	if validator {
		return node.CreateKeys(home)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return node.Keys{}, fmt.Errorf("make home: %w", err)
	}
	return node.LoadKeys(home)
}

func (a *app) printInit(cfg config.Config, keys node.Keys, name string, validator bool) error {
	out := map[string]any{"home": cfg.Home, "config": cfg.Path(config.FileName), "genesis": cfg.GenesisPath()}
	var entry types.Validator
	if validator {
		var err error
		if entry, err = keys.Validator(name, 1); err != nil {
			return err
		}
		out["validator"] = entry
	}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "home           %s\nconfiguration  %s\n", cfg.Home, cfg.Path(config.FileName))
		if validator {
			fmt.Fprintf(w, "identity       %s\nvote key       %s…\nThe entry for the genesis file: starling init --validator --name %s --json\n", entry.Identity, hex.EncodeToString(entry.Key[:8]), name)
		}
		fmt.Fprintf(w, "Put the network's genesis file at %s, then: starling node run\n", cfg.GenesisPath())
	})
}
