package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/events"
)

func newEventsCmd(a *app) *cobra.Command {
	var kinds []string
	after := uint64(events.Live)
	cmd := &cobra.Command{
		Use:     "events",
		Short:   "follow what happens in a node until Ctrl-C",
		Example: "  starling events\n  starling events --kinds block --json | jq .data.height",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			selected := make([]events.Kind, len(kinds))
			for i, k := range kinds {
				selected[i] = events.Kind(k)
				if !slices.Contains(events.Kinds(), selected[i]) {
					return usage("--kinds: %q is no kind of event: want some of %v", k, events.Kinds())
				}
			}
			if !cmd.Flags().Changed("after") {
				after = events.Live
			}
			return a.follow(cmd, after, selected)
		},
	}
	cmd.Flags().StringSliceVar(&kinds, "kinds", nil, "only these: block, transaction, view, peer")
	cmd.Flags().Uint64Var(&after, "after", 0, "begin behind this event id; 0 is all that the node remembers (default: only new ones)")
	return cmd
}

func (a *app) follow(cmd *cobra.Command, after uint64, kinds []events.Kind) error {
	c, err := a.client(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	var last error
	for e, err := range c.Events(cmd.Context(), after, kinds...) {
		if last = err; err != nil {
			if _, ok := errors.AsType[*client.Unreachable](err); ok {
				a.remark("waiting for %s", c.Address())
			}
			continue
		}
		if err := a.line(e, a.describe(e)); err != nil {
			return err
		}
	}
	if last == nil {
		last = cmd.Context().Err()
	}
	return last
}

// describe writes an event as one line.
func (a *app) describe(e api.Event) string {
	return fmt.Sprintf("%s  %-11s  %s", e.Time.Local().Format("15:04:05.000"), e.Kind, what(e))
}

func what(e api.Event) string {
	switch e.Kind {
	case events.KindBlock:
		return told(e, func(b events.Block) string {
			return fmt.Sprintf("%s  %s  %s by %s in %d ms", count(b.Height), b.Hash.Short(), plural(b.Txs, "transaction"), b.Proposer, b.DecideMS)
		})
	case events.KindTransaction:
		return told(e, func(t events.Transaction) string {
			if t.Height == 0 {
				return fmt.Sprintf("%s  %s", t.ID.Short(), t.Status)
			}
			return fmt.Sprintf("%s  %s %s in block %s", t.ID.Short(), t.Status, t.Code, count(t.Height))
		})
	case events.KindView:
		return told(e, func(v events.View) string {
			if v.Timeout {
				return fmt.Sprintf("%s  led by %s, after a timeout: %s was silent", count(v.View), v.Leader, v.Failed)
			}
			return fmt.Sprintf("%s  led by %s", count(v.View), v.Leader)
		})
	case events.KindPeer:
		return told(e, func(p events.Peer) string {
			word := "left"
			if p.Connected {
				word = "joined"
			}
			return fmt.Sprintf("%s %s  (%s now)", p.ID, word, plural(p.Connections, "connection"))
		})
	case events.KindOffence:
		return told(e, func(o events.Offence) string {
			return fmt.Sprintf("%s is proven guilty of a %s", o.Validator, o.Offence)
		})
	case events.KindGap:
		return told(e, func(g events.Gap) string {
			return fmt.Sprintf("events between %d and %d were missed", g.From, g.Next)
		})
	default:
		return string(e.Data)
	}
}

// told decodes an event's data; what cannot be decoded is shown as it is.
func told[T any](e api.Event, say func(T) string) string {
	var v T
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return string(e.Data)
	}
	return say(v)
}
