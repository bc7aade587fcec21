package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/dht"
	"github.com/starlingmesh/starling/dht/crdt"
	"github.com/starlingmesh/starling/dht/store"
)

// changeCmd makes a command that changes a record: RECORD is one of the account's own, or
// OWNER/NAME of one whose owner lets it.
func changeCmd(a *app, cmd *cobra.Command, k crdt.Kind, change func(args []string) (store.Change, error)) *cobra.Command {
	var f dhtFlags
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := change(args[1:])
		if err != nil {
			return err
		}
		return a.writeDHT(cmd, f, func(ctx context.Context, s *dht.Store, ref func(string) (store.Ref, error)) error {
			r, err := ref(args[0])
			if err != nil {
				return err
			}
			if err := s.Update(ctx, r, k, c); err != nil {
				return err
			}
			rec, err := s.Record(ctx, r)
			if err != nil {
				return err
			}
			return a.showRecord(ctx, s, rec, "")
		})
	}
	f.bind(cmd, true)
	return cmd
}

func newDHTSetCmd(a *app) *cobra.Command {
	cmd := group("set", "sets of texts that many change at once", "  starling dht set add --from alice friends bob carol")
	cmd.AddCommand(
		changeCmd(a, &cobra.Command{
			Use: "add --from NAME RECORD ELEMENT...", Short: "put elements into a set", Args: cobra.MinimumNArgs(2),
			Example: "  starling dht set add --from alice friends bob carol\n  starling dht set add --from bob alice/friends dave",
		}, crdt.Set, func(args []string) (store.Change, error) { return all(args, dht.Add), nil }),
		changeCmd(a, &cobra.Command{
			Use: "rm --from NAME RECORD ELEMENT...", Short: "take elements out of a set", Args: cobra.MinimumNArgs(2),
			Example: "  starling dht set rm --from alice friends bob",
		}, crdt.Set, func(args []string) (store.Change, error) { return all(args, dht.Remove), nil }),
	)
	return cmd
}

// all makes one change of one for each element.
func all(elements []string, one func(crdt.Path, []byte) store.Change) store.Change {
	changes := make([]store.Change, len(elements))
	for i, e := range elements {
		changes[i] = one(nil, []byte(e))
	}
	return dht.Together(changes...)
}

func newDHTCounterCmd(a *app) *cobra.Command {
	cmd := group("counter", "counters that many change at once", "  starling dht counter inc --from alice visits")
	cmd.AddCommand(changeCmd(a, &cobra.Command{
		Use: "inc --from NAME RECORD [BY]", Short: "add to a counter, or subtract", Args: cobra.RangeArgs(1, 2),
		Example: "  starling dht counter inc --from alice visits\n  starling dht counter inc --from alice stock -- -3",
	}, crdt.Counter, func(args []string) (store.Change, error) {
		by := int64(1)
		if len(args) == 1 {
			var err error
			if by, err = strconv.ParseInt(args[0], 10, 64); err != nil {
				return nil, usage("BY %q: want a whole number", args[0])
			}
		}
		return dht.Increment(nil, by), nil
	}))
	return cmd
}

func newDHTMapCmd(a *app) *cobra.Command {
	cmd := group("map", "maps of texts, nested, that many change at once", "  starling dht map set --from alice profile address.city Zürich")
	cmd.AddCommand(
		changeCmd(a, &cobra.Command{
			Use: "set --from NAME RECORD FIELD VALUE", Short: "set a field; dots lead into maps", Args: exactly("RECORD", "FIELD", "VALUE"),
			Example: "  starling dht map set --from alice profile name Alice\n  starling dht map set --from alice profile address.city Zürich",
		}, crdt.Map, func(args []string) (store.Change, error) {
			at, err := fieldPath(args[0])
			return dht.Set(at, []byte(args[1])), err
		}),
		changeCmd(a, &cobra.Command{
			Use: "rm --from NAME RECORD FIELD", Short: "remove a field", Args: exactly("RECORD", "FIELD"), Example: "  starling dht map rm --from alice profile name",
		}, crdt.Map, func(args []string) (store.Change, error) {
			at, err := fieldPath(args[0])
			return dht.Unset(at, crdt.Register), err
		}),
	)
	return cmd
}

func fieldPath(text string) (crdt.Path, error) {
	at := strings.Split(text, ".")
	if slices.Contains(at, "") {
		return nil, usage("FIELD %q: want names with dots between", text)
	}
	if len(at) > crdt.MaxNesting {
		return nil, usage("FIELD %q: at most %d names", text, crdt.MaxNesting)
	}
	return at, nil
}

func newDHTLogCmd(a *app) *cobra.Command {
	cmd := group("log", "logs that many append to at once", "  starling dht log add --from alice journal \"went out\"")
	cmd.AddCommand(changeCmd(a, &cobra.Command{
		Use: "add --from NAME RECORD ENTRY", Short: "append an entry", Args: exactly("RECORD", "ENTRY"), Example: fmt.Sprintf("  starling dht log add --from alice journal %q", "went out"),
	}, crdt.Log, func(args []string) (store.Change, error) { return dht.Append(nil, []byte(args[0])), nil }))
	return cmd
}
