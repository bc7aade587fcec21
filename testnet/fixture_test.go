package testnet

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/node"
)

// lab is a network under test whose nodes are started and stopped one by one.
type lab struct {
	*testing.T
	layout  *Layout
	members []*member
	nodes   []*running
}

type running struct {
	*node.Node
	cancel context.CancelFunc
	done   chan error
}

func newLab(t *testing.T, shape Shape) *lab {
	layout, err := Prepare(t.TempDir(), shape)
	require.NoError(t, err)
	members, err := layout.configure(tuning{})
	require.NoError(t, err)
	l := &lab{T: t, layout: layout, members: members, nodes: make([]*running, len(members))}
	t.Cleanup(func() {
		for i := range l.nodes {
			l.stop(i)
		}
	})
	return l
}

func (l *lab) options(i int) node.Options {
	keys, err := node.LoadKeys(l.members[i].config.Home)
	require.NoError(l, err)
	return node.Options{Config: l.members[i].config, Genesis: l.layout.Genesis, Keys: keys, Version: "test", Log: slog.New(slog.DiscardHandler)}
}

func (l *lab) start(i int, change ...func(*node.Options)) {
	o := l.options(i)
	for _, f := range change {
		f(&o)
	}
	n, err := node.New(o)
	require.NoError(l, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Node: n, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	l.nodes[i] = r
}

func (l *lab) stop(i int) {
	if r := l.nodes[i]; r != nil {
		r.cancel()
		require.NoError(l, <-r.done)
		l.nodes[i] = nil
	}
}

// reach waits until a node has executed a height.
func (l *lab) reach(i int, height types.Height) {
	l.Helper()
	require.Eventually(l, func() bool {
		have, _ := l.nodes[i].Executed()
		return have >= height
	}, 40*time.Second, 5*time.Millisecond, "node %d does not reach height %d", i, height)
}
