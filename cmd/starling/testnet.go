package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/testnet"
	"github.com/starlingmesh/starling/testnet/lab"
	"github.com/starlingmesh/starling/testnet/netns"
)

func newTestnetCmd(a *app) *cobra.Command {
	return group("testnet", "run whole networks on this machine",
		"  starling testnet up\n  starling testnet up --nodes 7 --load 100 --for 60s\n  starling testnet chaos --kills 50 --seed 1",
		newTestnetUpCmd(a), newTestnetChaosCmd(a), newTestnetDataCmd(a))
}

const defaultTestnetDir = "starling-testnet"

// testnetFlags are what both commands take.
func testnetFlags(cmd *cobra.Command, o *testnet.Options, l *linkFlags) {
	o.Shape = testnet.DefaultShape(4)
	f := cmd.Flags()
	f.IntVar(&o.Nodes, "nodes", o.Nodes, "how many validators")
	f.StringVar(&o.Engine, "engine", o.Engine, "consensus engine")
	f.StringVar(&o.Rule, "rule", o.Rule, "the engine's rule: three-phase or two-phase")
	f.Uint64Var(&o.EpochBlocks, "epoch-blocks", o.EpochBlocks, "how many blocks one validator set decides before stake decides anew; 0: the set never changes")
	f.DurationVar(&o.LaneAfter, "lane-after", 300*time.Millisecond, "use the lanes under load once decisions take so long; 0: always")
	f.BoolVar(&o.Lanes, "lanes", o.Lanes, "let every validator ship batches of its own, which blocks only order")
	f.StringVar(&l.block, "block-size", "1MiB", "how much the transactions of a block may be, up to 128MiB")
	f.DurationVar(&o.BlockInterval, "block-interval", 0, "a leader waits so long before it proposes, so that blocks grow")
	f.IntVar(&o.LoadBytes, "load-bytes", 0, "let every transaction of the load publish so many bytes in place of paying")
	f.Uint64Var(&o.KeepBlocks, "keep-blocks", 0, "newest blocks that nodes keep; 0 is all")
	f.StringVar(&l.loss, "loss", "0%", "share of packets that nodes lose; this and the next two need --processes, root and Linux: every node gets a network namespace")
	f.DurationVar(&l.delay, "delay", 0, "how long a packet is on its way")
	f.StringVar(&l.uplink, "uplink", "", "rate of each node's uplink, such as 100mbit")
	f.StringVar(&o.Dir, "dir", defaultTestnetDir, "where keys, ledgers and logs are; an existing network is resumed")
}

func newTestnetUpCmd(a *app) *cobra.Command {
	var o testnet.Options
	var l linkFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "start validators, show them at work, and audit them at the end",
		Long: `Starts validators on loopback with real networking and real disks, prints where
their APIs are and how to send a payment, and shows a line per node. Ctrl-C, or
the end of --for, stops all of them; then their disks are compared: same blocks,
same state, money that adds up, every accepted payment in a block. The exit code
is 0 only if all of that holds.`,
		Example: "  starling testnet up\n  starling testnet up --nodes 4 --load 300 --for 60s\n  starling testnet up --processes --rule two-phase",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.completeTestnet(&o, l); err != nil {
				return err
			}
			if err := o.Validate(); err != nil {
				return &usageError{err}
			}
			_, err := testnet.Up(cmd.Context(), o)
			return err
		},
	}
	testnetFlags(cmd, &o, &l)
	cmd.Flags().IntVar(&o.Load, "load", 0, "transactions a second to submit: payments, unless --load-bytes is given")
	cmd.Flags().DurationVar(&o.For, "for", 0, "stop after this long (default: at Ctrl-C)")
	cmd.Flags().IntVar(&o.Liars, "equivocate", 0, "let so many validators vote and propose twice, to see them punished")
	cmd.Flags().BoolVar(&o.Processes, "processes", false, "run each validator in a process of its own")
	return cmd
}

func newTestnetChaosCmd(a *app) *cobra.Command {
	c := testnet.Chaos{Options: testnet.Options{Load: 50, Processes: true}}
	var l linkFlags
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "kill -9 validators at random moments under load, and audit that nothing is lost",
		Long: `Runs a network of processes under load and kills one validator after another
with -9, at moments drawn from the seed, waiting each time until it has caught up
again. At the end the disks are audited as by testnet up.`,
		Example: "  starling testnet chaos --kills 50 --seed 7\n" +
			"  starling testnet chaos --nodes 8 --kills 2 --together 2 --for 60s --block-size 8MiB --load 75 --load-bytes 56000 --loss 5%",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.completeTestnet(&c.Options, l); err != nil {
				return err
			}
			if err := c.Validate(); err != nil {
				return &usageError{err}
			}
			_, err := testnet.RunChaos(cmd.Context(), c)
			return err
		},
	}
	testnetFlags(cmd, &c.Options, &l)
	cmd.Flags().Lookup("dir").DefValue = "starling-chaos"
	c.Dir = "starling-chaos"
	cmd.Flags().IntVar(&c.Load, "load", c.Load, "transactions a second to submit: payments, unless --load-bytes is given")
	cmd.Flags().DurationVar(&c.For, "for", 0, "spread the kills over so long (default: one soon after another)")
	cmd.Flags().IntVar(&c.Together, "together", 1, "how many validators are killed at a time")
	cmd.Flags().BoolVar(&c.StayDown, "stay-down", false, "start them again only when the load has ended")
	cmd.Flags().DurationVar(&c.Down, "down", 1500*time.Millisecond, "how long they are down, at most")
	cmd.Flags().IntVar(&c.Kills, "kills", 50, "how many kills")
	cmd.Flags().Uint64Var(&c.Seed, "seed", uint64(time.Now().UnixNano()), "decides who is killed and when")
	return cmd
}

func newTestnetDataCmd(a *app) *cobra.Command {
	d := testnet.Data{Options: testnet.Options{Processes: true}}
	var l linkFlags
	cmd := &cobra.Command{
		Use:   "data",
		Short: "read and write records of the DHT, kill nodes in the middle, and check that nothing is lost",
		Long: `Runs a network of processes, reads and writes records of the DHT through all of
them, and kills some nodes at once with -9 in the middle. In the end every record
must have the newest value of which a write was acknowledged. Of killed nodes
that stay down the data is with others as long as not all holders of a record,
which follow each other in the ring, were among them.`,
		Example: "  starling testnet data --nodes 24 --for 120s\n  starling testnet data --nodes 12 --kill 4 --stay-down --seed 7",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.completeTestnet(&d.Options, l); err != nil {
				return err
			}
			if err := d.Validate(); err != nil {
				return &usageError{err}
			}
			_, err := testnet.RunData(cmd.Context(), d)
			return err
		},
	}
	testnetFlags(cmd, &d.Options, &l)
	d.Nodes, d.Dir = 24, "starling-data"
	cmd.Flags().Lookup("nodes").DefValue, cmd.Flags().Lookup("dir").DefValue = "24", d.Dir
	cmd.Flags().DurationVar(&d.For, "for", 2*time.Minute, "how long to read and write")
	cmd.Flags().IntVar(&d.Rate, "rate", 200, "reads and writes a second, half of each")
	cmd.Flags().IntVar(&d.Bytes, "bytes", 256, "size of a value")
	cmd.Flags().IntVar(&d.Kill, "kill", -1, "how many nodes are killed; -1 is a third")
	cmd.Flags().BoolVar(&d.Stay, "stay-down", false, "leave them down; else they come back after a quarter of the time")
	cmd.Flags().Uint64Var(&d.Seed, "seed", uint64(time.Now().UnixNano()), "decides who is killed, and the load")
	return cmd
}

// linkFlags are the flags that need parsing of their own.
type linkFlags struct {
	block, loss, uplink string
	delay               time.Duration
}

func (l linkFlags) complete(o *testnet.Options) error {
	size, err := lab.ParseSize(l.block)
	if err != nil {
		return fmt.Errorf("--block-size: %w", err)
	}
	if size < types.MaxTxBytes || size > 128<<20 {
		return fmt.Errorf("--block-size %s: want 64KiB to 128MiB", l.block)
	}
	o.BlockBytes = uint64(size)
	link := netns.Link{Delay: l.delay}
	if link.Loss, err = lab.ParseShare(l.loss); err != nil {
		return fmt.Errorf("--loss: %w", err)
	}
	if l.uplink != "" {
		if link.Rate, err = lab.ParseRate(l.uplink); err != nil {
			return fmt.Errorf("--uplink: %w", err)
		}
	}
	if link != (netns.Link{}) {
		o.Links = &link
		return link.Validate()
	}
	return nil
}

// completeTestnet fills in what comes from the process.
func (a *app) completeTestnet(o *testnet.Options, l linkFlags) error {
	if err := l.complete(o); err != nil {
		return &usageError{err}
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	o.Binary, o.JSON, o.Out, o.Remarks, o.Version = binary, a.json, a.stdout, a.stderr, buildVersion()
	o.Terminal = interactive(a.stdout) && !a.json
	o.LogLevel = slog.LevelInfo
	return nil
}
