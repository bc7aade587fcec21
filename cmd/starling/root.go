package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

const rootLong = `Starling is a peer-to-peer network that agrees on payments, and whose nodes keep
data for each other.

A node joins the mesh, takes part in consensus and serves an HTTP API; the
other commands talk to that API. Every command takes --json.`

const rootExample = `  starling wallet new alice
  starling status
  starling wallet send --from alice --to ADDRESS --amount 12.5
  starling block show latest`

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := group("starling", "a node of a Starling network, and its wallet", rootExample)
	root.Long = rootLong
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.SetUsageTemplate(usageTemplate)
	root.CompletionOptions.HiddenDefaultCmd = false

	flags := root.PersistentFlags()
	flags.String("home", "", "folder of this node or wallet (default "+a.defaultHome()+")")
	flags.StringVar(&a.configPath, "config", "", "configuration file (default HOME/config.toml)")
	flags.StringVar(&a.apiAddress, "api", "", "address of the node to ask (default api.listen of the configuration)")
	flags.DurationVar(&a.timeout, "timeout", defaultTimeout, "give up waiting for a node after this long")
	flags.BoolVar(&a.json, "json", false, "print JSON, one object a line for streams")
	flags.BoolVar(&a.noColor, "no-color", false, "print without colours (also by NO_COLOR)")
	flags.BoolVarP(&a.quiet, "quiet", "q", false, "print results only, no remarks")

	root.AddCommand(
		newTestnetCmd(a),
		newLabCmd(a),
		newInitCmd(a),
		newNodeCmd(a),
		newStatusCmd(a),
		newBlockCmd(a),
		newTxCmd(a),
		newWalletCmd(a),
		newStakeCmd(a),
		newEpochCmd(a),
		newDHTCmd(a),
		newLightCmd(a),
		newPeersCmd(a),
		newEventsCmd(a),
		newConfigCmd(a),
		newVersionCmd(a),
	)
	return root
}

// group is a command that only holds others. Cobra alone would answer a
// misspelt one with the help text and success.
func group(use, short, example string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args:                       cobra.ArbitraryArgs,
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w (did you mean %s?)", err, strings.Join(near, " or "))
			}
			return usage("%w; %s --help lists all", err, cmd.CommandPath())
		},
	}
	cmd.AddCommand(children...)
	return cmd
}

// exactly wants as many arguments as names, and says which are missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s is missing, as in: %s", names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return usage("%q is too much, want: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// usageTemplate is cobra's with the examples first: most people read no further.
const usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

"{{.CommandPath}} COMMAND --help" tells more about a command.{{end}}
`
