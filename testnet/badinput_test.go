package testnet

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/journal"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/testnet/netns"
)

// flip flips one bit in the middle of a file.
func flip(t *testing.T, path string) {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[len(data)/2] ^= 4
	require.NoError(t, os.WriteFile(path, data, 0o600))
}

func TestNodeRefusesToStartOnDamage(t *testing.T) {
	l := newLab(t, DefaultShape(1))
	l.start(0)
	l.reach(0, 3)
	l.stop(0)
	home := l.members[0].config.Home
	votes, err := filepath.Glob(filepath.Join(home, "votes", "*.journal"))
	require.NoError(t, err)
	for what, path := range map[string]string{
		"vote log":      votes[0],
		"identity":      filepath.Join(home, "identity.key"),
		"validator key": filepath.Join(home, "validator.key"),
	} {
		good, err := os.ReadFile(path)
		require.NoError(t, err)
		flip(t, path)
		keys, err := node.LoadKeys(home)
		if err == nil {
			o := node.Options{Config: l.members[0].config, Genesis: l.layout.Genesis, Keys: keys, Log: l.quiet()}
			_, err = node.New(o)
		}
		require.ErrorContains(t, err, "damaged", what)
		require.NoError(t, os.WriteFile(path, good, 0o600))
	}
	l.start(0)
	l.reach(0, 5) // nothing was lost by the attempts
}

func TestStoreOfAnotherChainIsRefused(t *testing.T) {
	l := newLab(t, DefaultShape(1))
	l.start(0)
	l.reach(0, 1)
	l.stop(0)
	other := *l.layout.Genesis
	other.Created++
	o := l.options(0)
	o.Genesis = &other
	_, err := node.New(o)
	require.ErrorIs(t, err, state.ErrForeignChain)
	require.NoError(t, os.RemoveAll(filepath.Join(l.members[0].config.Home, "chain")))
	_, err = node.New(o)
	require.ErrorIs(t, err, journal.ErrForeign)
}

func TestPortInUseNamesTheSetting(t *testing.T) {
	l := newLab(t, DefaultShape(1))
	taken, err := net.Listen("tcp", l.members[0].config.API.Listen)
	require.NoError(t, err)
	_, err = node.New(l.options(0))
	require.ErrorIs(t, err, api.ErrListen)
	require.ErrorContains(t, err, "api.listen")
	require.NoError(t, taken.Close())

	l.members[0].config.P2P.Listen = l.members[0].config.P2P.Listen[:1]
	mesh, err := net.Listen("tcp", "127.0.0.1:"+portOf(t, l.members[0].config.P2P.Listen[0]))
	require.NoError(t, err)
	_, err = node.New(l.options(0))
	require.ErrorContains(t, err, "p2p.listen")
	require.NoError(t, mesh.Close())
	l.start(0)
	l.reach(0, 1)
}

func TestHomeInUseIsRefused(t *testing.T) {
	l := newLab(t, DefaultShape(1))
	l.start(0)
	_, err := node.New(l.options(0))
	require.ErrorIs(t, err, state.ErrLocked)
}

func TestValidatorWithoutItsVoteKeyIsTold(t *testing.T) {
	l := newLab(t, DefaultShape(1))
	o := l.options(0)
	o.Keys.Vote = nil
	_, err := node.New(o)
	require.ErrorContains(t, err, "validator.key")
	o.Config.Consensus.Validate = false
	n, err := node.New(o)
	require.NoError(t, err)
	require.NoError(t, n.Close())
}

// Four validators, one clock 10 s ahead and one 10 s behind, decide all the same.
func TestClocksTenSecondsOffAreTolerated(t *testing.T) {
	l := newLab(t, DefaultShape(4))
	for i, offset := range []time.Duration{0, 10 * time.Second, 0, -10 * time.Second} {
		l.start(i, func(o *node.Options) { o.Clock = func() time.Time { return time.Now().Add(offset) } })
	}
	for i := range l.nodes {
		l.reach(i, 8) // every validator has led twice
	}
}

// A node that was down catches up with blocks it never heard of.
func TestNodeThatWasDownCatchesUp(t *testing.T) {
	l := newLab(t, DefaultShape(4))
	for i := range 3 {
		l.start(i)
	}
	l.reach(0, 6)
	l.start(3)
	height, _ := l.nodes[0].Executed()
	l.reach(3, height)
	l.stop(1)
	height, _ = l.nodes[0].Executed()
	l.reach(3, height+2) // the latecomer's votes count
}

func TestOtherShapeInTheSameDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	first, err := Prepare(dir, DefaultShape(2))
	require.NoError(t, err)
	require.False(t, first.Resumed)
	again, err := Prepare(dir, DefaultShape(2))
	require.NoError(t, err)
	require.True(t, again.Resumed)
	require.Equal(t, first.Genesis.ChainID(), again.Genesis.ChainID())
	_, err = Prepare(dir, DefaultShape(3))
	require.ErrorIs(t, err, ErrOtherNetwork)
	flip(t, first.GenesisPath())
	_, err = Prepare(dir, DefaultShape(2))
	require.Error(t, err)
}

func TestContradictoryOptionsAreRefusedAllAtOnce(t *testing.T) {
	err := Options{Shape: Shape{Nodes: 0, Engine: "paxos", Rule: "x"}, Load: -1, For: -time.Second}.Validate()
	for _, says := range []string{"--nodes", "--engine", "--rule", "--load", "--for"} {
		require.ErrorContains(t, err, says)
	}
	require.ErrorContains(t, Chaos{Options: Options{Shape: DefaultShape(3)}, Kills: 1}.Validate(), "fewer than 4")
	four := Options{Shape: DefaultShape(4)}
	require.NoError(t, Chaos{Options: four, Kills: 1, Together: 1, Down: time.Second}.Validate())
	require.ErrorContains(t, Chaos{Options: four, Kills: 1, Together: 2, Down: time.Second}.Validate(), "--together 2: want 1 to 1")
	require.ErrorContains(t, Chaos{Options: four, Kills: 1, Together: 1}.Validate(), "--down")
	require.ErrorContains(t, Options{Shape: DefaultShape(4), LoadBytes: 1 << 20}.Validate(), "--load-bytes")
	require.ErrorContains(t, Options{Shape: DefaultShape(4), Links: &netns.Link{}}.Validate(), "--processes")
}
