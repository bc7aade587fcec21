package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/config"
)

func newConfigCmd(a *app) *cobra.Command {
	return group("config", "look at the configuration, and begin one",
		"  starling config show\n  starling config sample > config.toml",
		newConfigShowCmd(a), newConfigSampleCmd(a), newConfigInitCmd(a))
}

func newConfigShowCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "show every setting, its value and where it comes from",
		Example: "  starling config show\n  STARLING_LOG_LEVEL=debug starling config show --json",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, origins, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			settings := cfg.Settings(origins)
			return a.print(settings, func(w io.Writer) {
				rows := make([][]any, 0, len(settings))
				for _, s := range settings {
					rows = append(rows, []any{s.Key, s.Text, s.Origin})
				}
				a.table(w, []string{"key", "value", "origin"}, rows)
			})
		},
	}
	config.BindFlags(cmd.Flags())
	return cmd
}

func newConfigSampleCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "sample",
		Short:   "print a configuration file that explains every setting",
		Example: "  starling config sample > config.toml",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.stdout, config.Sample())
			return err
		},
	}
}

func newConfigInitCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "init",
		Short:   "write the sample into the home folder, unless a file is there",
		Example: "  starling config init\n  starling config init --home ./node1",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			path := filepath.Join(cfg.Home, config.FileName)
			if err := writeNew(path, []byte(config.Sample())); err != nil {
				return err
			}
			return a.print(map[string]string{"path": path}, func(w io.Writer) { fmt.Fprintln(w, path) })
		},
	}
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is left as it is; remove it first to start over", path)
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
