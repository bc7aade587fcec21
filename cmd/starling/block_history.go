package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/poh"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

// historyView is what `block history --json` prints.
type historyView struct {
	Height   uint64      `json:"height"`
	Block    hash.Hash   `json:"block"`
	Verified bool        `json:"verified"`
	Hashes   uint64      `json:"hashes"`
	Batches  []api.Batch `json:"batches"`
}

func newBlockHistoryCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history HEIGHT|HASH|latest",
		Short: "check the proof of history of the batches that a block orders",
		Long: `Computes the hash chains of a block's lanes anew, on all cores. They prove in which
order each lane's batches were made and that so many sequential hashes lie between
them. They prove nothing about wall-clock time, nor about the order of different
lanes relative to each other: that order is the block's.`,
		Example: "  starling block history latest",
		Args:    exactly("HEIGHT|HASH|latest"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := api.ParseBlockRef(args[0])
			if err != nil {
				return &usageError{err}
			}
			b, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.Block, error) { return c.Block(ctx, ref) })
			if err != nil {
				return err
			}
			v, err := verifyHistory(b)
			if err != nil {
				return err
			}
			return a.print(v, func(w io.Writer) { a.drawHistory(w, v) })
		},
	}
}

// verifyHistory checks each lane's segments, which follow one another in the block.
func verifyHistory(b api.Block) (historyView, error) {
	v := historyView{Height: b.Height, Block: b.Hash, Verified: true, Batches: b.Batches}
	lanes := map[string][]poh.Segment{}
	for _, batch := range b.Batches {
		if batch.FromTicks == 0 && batch.FromHistory.IsZero() {
			return v, fmt.Errorf("block %d: the batch below batch %d of lane %s is no longer kept by this node: ask another one", b.Height, batch.Height, batch.Lane)
		}
		s := batch.Segment()
		v.Hashes += s.Length()
		lanes[batch.Lane] = append(lanes[batch.Lane], s)
	}
	for lane, segments := range lanes {
		if err := poh.Verify(segments, 0); err != nil {
			return v, fmt.Errorf("block %d: lane %s: %w", b.Height, lane, err)
		}
	}
	return v, nil
}

func (a *app) drawHistory(w io.Writer, v historyView) {
	if len(v.Batches) == 0 {
		fmt.Fprintf(w, "block %s orders no batches: its transactions rode in it, and their order is the block's\n", count(v.Height))
		return
	}
	rows := make([][]any, 0, len(v.Batches))
	for _, b := range v.Batches {
		rows = append(rows, []any{b.Lane, count(b.Height), plural(b.TxCount, "transaction"), count(b.FromTicks), count(b.Ticks), b.History.Short()})
	}
	a.table(w, []string{"LANE", "BATCH", "HOLDS", "FROM TICK", "TO TICK", "HISTORY"}, rows)
	fmt.Fprintf(w, "%s: %s hashes were computed anew\n", a.green(w, "verified"), count(v.Hashes))
}
