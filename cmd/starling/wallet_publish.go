package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/starlingmesh/starling/chain/types"
)

func newWalletPublishCmd(a *app) *cobra.Command {
	var f actFlags
	cmd := &cobra.Command{
		Use:   "publish --from NAME FILE",
		Short: "put bytes into the chain for everybody to read",
		Long: fmt.Sprintf(`Publishes the bytes of a file, or of standard input if FILE is "-": at most %d.
They are ordered like any transaction and stay in the block that holds them, as long
as nodes keep it; starling tx show gives them back. The least fee grows with the size.`, types.MaxContent),
		Example: "  starling wallet publish --from alice report.json\n  sha256sum big.iso | starling wallet publish --from alice -",
		Args:    exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needs(cmd, "from", f.from); err != nil {
				return err
			}
			content, err := readContent(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			return a.act(cmd, f, func(context.Context, actor) (types.Body, error) { return &types.Data{Content: content}, nil })
		},
	}
	f.bind(cmd, "that pays")
	return cmd
}

// readContent reads a file that fits a transaction, and no more of one that does not.
func readContent(in io.Reader, path string) ([]byte, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		defer file.Close()
		in = file
	}
	content, err := io.ReadAll(io.LimitReader(in, types.MaxContent+1))
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", path, err)
	}
	if len(content) == 0 || len(content) > types.MaxContent {
		return nil, fmt.Errorf("publish %s: want 1 to %d bytes; cut it into several", path, types.MaxContent)
	}
	return content, nil
}
