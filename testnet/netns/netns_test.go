package netns

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLinksThatCannotBeAreRefused(t *testing.T) {
	for name, l := range map[string]Link{
		"negative delay": {Delay: -1}, "jitter above delay": {Delay: time.Millisecond, Jitter: 2 * time.Millisecond},
		"loss": {Loss: 0.6}, "rate": {Rate: 1},
	} {
		require.Error(t, l.Validate(), name)
	}
	_, err := New(t.Context(), MaxNodes+1, Link{})
	require.ErrorContains(t, err, "want 1 to 200")
}

func TestLinkInWordsOfTC(t *testing.T) {
	l := Link{Delay: 40 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.025, Rate: 48_000_000}
	require.Equal(t, "limit 1200 delay 40000us 5000us loss 2.5% rate 48000000bit", strings.Join(l.netem(), " "))
	require.Equal(t, "limit 20000", strings.Join(Link{}.netem(), " "))
}

// reach has one namespace open a connection to the other, which refuses it: it has been
// there and back.
func reach(n *Net, from, to int) error {
	out, err := n.Command(from, "bash", "-c", "exec 3<>/dev/tcp/"+n.Address(to)+"/9").CombinedOutput()
	if strings.Contains(string(out), "refused") {
		return nil
	}
	return fmt.Errorf("%w: %s", errors.Join(errors.New("no answer"), err), out)
}

// With loss, which every Linux kernel with nftables or netem has.
func TestLossyLinksLoseSomeAndNotAll(t *testing.T) {
	n, err := New(t.Context(), 3, Link{Loss: 0.3, Rate: 100_000_000})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, n.Close()) }()
	require.NoError(t, reach(n, 0, 1), "TCP comes through")
	require.NoError(t, reach(n, 2, 0))
}

// Where the machine allows it: two namespaces reach each other, no sooner than their links
// let them, and leave nothing behind.
func TestNamespacesReachEachOther(t *testing.T) {
	const delay = 30 * time.Millisecond
	n, err := New(t.Context(), 2, Link{Delay: delay})
	if errors.Is(err, ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	began := time.Now()
	require.NoError(t, reach(n, 0, 1))
	require.GreaterOrEqual(t, time.Since(began), 2*delay)
	require.NoError(t, n.Close())
	require.NoError(t, n.Close(), "twice is once")
	require.Error(t, run(t.Context(), "ip", "netns", "exec", n.Name(0), "true"))
}
