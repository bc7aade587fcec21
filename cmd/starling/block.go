package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
)

func newBlockCmd(a *app) *cobra.Command {
	return group("block", "look at decided blocks",
		"  starling block show latest\n  starling block list --limit 5",
		newBlockShowCmd(a), newBlockListCmd(a), newBlockHistoryCmd(a))
}

func newBlockShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show HEIGHT|HASH|latest",
		Short:   "show a block, its transactions and its way through consensus",
		Example: "  starling block show latest\n  starling block show 1042",
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
			return a.print(b, func(w io.Writer) { a.drawBlock(w, b) })
		},
	}
}

func newBlockListCmd(a *app) *cobra.Command {
	var before uint64
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "list blocks, newest first",
		Example: "  starling block list\n  starling block list --before 1000 --limit 50",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			page, err := ask(a, cmd, func(ctx context.Context, c *client.Client) (api.BlockList, error) {
				return c.Blocks(ctx, before, limit)
			})
			if err != nil {
				return err
			}
			return a.print(page, func(w io.Writer) { a.drawBlocks(w, page) })
		},
	}
	cmd.Flags().Uint64Var(&before, "before", 0, "only blocks below this height")
	cmd.Flags().IntVar(&limit, "limit", 20, "most blocks, 1 to 100")
	return cmd
}

func (a *app) drawBlocks(w io.Writer, page api.BlockList) {
	rows := make([][]any, 0, len(page.Blocks))
	for _, b := range page.Blocks {
		decided := ""
		if n := len(b.Passage); n > 0 {
			decided = fmt.Sprintf("%.1f ms", b.Passage[n-1].OffsetMS)
		}
		rows = append(rows, []any{count(b.Height), short(b.Hash.String()), b.Proposer, count(b.TxCount), humanize.IBytes(uint64(b.SizeBytes)), a.ago(b.Time), decided})
	}
	a.table(w, []string{">height", "hash", "proposer", ">txs", ">size", "time", ">decided in"}, rows)
	if page.Next > 0 {
		a.remark("older ones: starling block list --before %d", page.Next)
	}
}

func (a *app) drawBlock(w io.Writer, b api.Block) {
	signed, root := "", ""
	if c := b.Certificate; c != nil {
		signed = fmt.Sprintf("%s  (power %s, needed %s)", strings.Join(c.Signers, ", "), count(c.Power), count(c.Quorum))
	}
	if b.StateRoot != nil {
		root = b.StateRoot.String()
	}
	a.facts(w,
		"block", a.bold(w, count(b.Height)),
		"hash", b.Hash,
		"parent", b.Parent,
		"view", count(b.View),
		"proposer", b.Proposer,
		"time", fmt.Sprintf("%s  (%s)", b.Time.Format(time.RFC3339Nano), a.ago(b.Time)),
		"signed by", signed,
		"state", root,
		"size", fmt.Sprintf("%s in %s", humanize.IBytes(uint64(b.SizeBytes)), plural(b.TxCount, "transaction")),
		"passage", a.passage(w, b.Passage),
	)
	if len(b.Txs) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows := make([][]any, 0, len(b.Txs))
	for i, tx := range b.Txs {
		rows = append(rows, []any{i, short(tx.ID.String()), tx.Kind, ends(tx.Sender), target(tx), amountText(tx), coins(tx.Fee), a.result(w, tx)})
	}
	a.table(w, []string{">#", "transaction", "kind", "from", "to", ">amount", ">fee", "result"}, rows)
}

// passage draws how long a block took from phase to phase.
func (a *app) passage(w io.Writer, phases []api.Phase) string {
	var b strings.Builder
	for i, p := range phases {
		if i > 0 {
			step := fmt.Sprintf(" ──%.1f ms──▶ ", p.OffsetMS-phases[i-1].OffsetMS)
			b.WriteString(a.faint(w, step))
		}
		b.WriteString(a.green(w, strings.ToUpper(p.Name)))
	}
	if n := len(phases); n > 1 {
		fmt.Fprintf(&b, "  (%.1f ms in all)", phases[n-1].OffsetMS)
	}
	return b.String()
}

// ends shows the beginning and the end of an address, which is what people
// compare.
func ends(address string) string {
	if len(address) <= 20 {
		return address
	}
	return address[:10] + "…" + address[len(address)-6:]
}
