package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/hash"
)

func (l *lab) quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func portOf(t *testing.T, addr string) string {
	a, err := ma.NewMultiaddr(addr)
	require.NoError(t, err)
	port, err := a.ValueForProtocol(ma.P_TCP)
	require.NoError(t, err)
	return port
}

func TestNetworkUnderLoadPassesItsAuditAndResumes(t *testing.T) {
	for _, rule := range []string{"three-phase", "two-phase"} {
		t.Run(rule, func(t *testing.T) {
			dir := t.TempDir()
			var first, second bytes.Buffer
			o := Options{
				Shape: Shape{Nodes: 4, Engine: "hotstuff", Rule: rule, EpochBlocks: 20, Lanes: true}, Dir: dir, Load: 100, For: 3 * time.Second,
				JSON: true, Out: &first, Remarks: io.Discard, Version: "test",
			}
			summary, err := Up(t.Context(), o)
			require.NoError(t, err, first.String())
			require.Positive(t, summary.Decided)
			require.Zero(t, summary.Missing)
			var last struct {
				Event   string  `json:"event"`
				OK      bool    `json:"ok"`
				Summary Summary `json:"summary"`
			}
			lines := strings.Split(strings.TrimSpace(first.String()), "\n")
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
			require.True(t, last.OK)
			require.Equal(t, summary, last.Summary)

			o.Out, o.For, o.Load = &second, time.Second, 0
			again, err := Up(t.Context(), o)
			require.NoError(t, err, second.String())
			require.GreaterOrEqual(t, again.Height, summary.Height)
			require.Contains(t, second.String(), `"resumed":true`)
		})
	}
}

// onWrite calls a function at the first write.
type onWrite func()

func (f onWrite) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}

func TestInterruptIsACleanStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Up(ctx, Options{Shape: DefaultShape(4), Dir: t.TempDir(), JSON: true, Out: onWrite(cancel), Remarks: io.Discard, Version: "test"})
	require.NoError(t, err)
}

func TestInterruptWhileStartingStopsWhatHasStarted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Up(ctx, Options{Shape: DefaultShape(4), Dir: t.TempDir(), Out: io.Discard, Remarks: onWrite(cancel), Version: "test"})
	require.ErrorIs(t, err, context.Canceled)
}

// The audit must be able to fail: it is shown a block that differs on one disk, a
// payment that nobody decided, and a vote log with two votes in a view.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	o := Options{Shape: DefaultShape(2), Dir: dir, For: time.Second, JSON: true, Out: io.Discard, Remarks: io.Discard, Version: "test"}
	_, err := Up(t.Context(), o)
	require.NoError(t, err)
	l, err := Prepare(dir, DefaultShape(2))
	require.NoError(t, err)
	_, err = Audit(l, 2, nil)
	require.NoError(t, err)

	missing, err := Audit(l, 2, []hash.Hash{l.Genesis.ChainID()})
	require.ErrorIs(t, err, ErrAudit)
	require.Equal(t, 1, missing.Missing)

	other, err := Prepare(t.TempDir(), DefaultShape(2))
	require.NoError(t, err)
	require.NotEqual(t, l.Genesis.ChainID(), other.Genesis.ChainID())
	require.NoError(t, os.RemoveAll(filepath.Join(l.Home(1), "votes")))
	require.NoError(t, os.CopyFS(filepath.Join(l.Home(1), "votes"), os.DirFS(filepath.Join(l.Home(0), "votes"))))
	log, err := filepath.Glob(filepath.Join(l.Home(1), "votes", "*.journal"))
	require.NoError(t, err)
	flip(t, log[0])
	_, err = Audit(l, 2, nil)
	require.ErrorIs(t, err, ErrAudit)
	require.ErrorContains(t, err, "damaged")
}
