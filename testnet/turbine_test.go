package testnet

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
	"github.com/starlingmesh/starling/net/dgram"
	"github.com/starlingmesh/starling/net/p2p"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/turbine"
	turbinedriver "github.com/starlingmesh/starling/turbine/driver"
)

// publish has accounts publish random data, one of the largest size each, and waits until
// all are executed.
func (l *lab) publish(through int, accounts []Account, sequence uint64) {
	l.Helper()
	g := l.layout.Genesis
	var all errgroup.Group
	for _, a := range accounts {
		key, err := a.Key()
		require.NoError(l, err)
		body := &types.Data{Content: make([]byte, types.MaxContent)}
		_, _ = rand.Read(body.Content)
		tx, err := types.SignTx(types.Header{
			Chain: g.ChainID(), Key: key.Public().Bytes(), Sequence: sequence, Fee: g.Params.LeastFee(body, key.Public().Bytes()), Expiry: 90_000,
		}, body, key)
		require.NoError(l, err)
		all.Go(func() error {
			id, err := l.nodes[through].Backend().Submit(l.Context(), tx.Raw())
			if err != nil {
				return err
			}
			rec, err := l.nodes[through].Backend().Wait(l.Context(), id)
			if err == nil {
				require.Equal(l, api.TxDecided, rec.Status)
			}
			return err
		})
	}
	require.NoError(l, all.Wait())
}

// received are the receipts of a channel's payloads that a node did not send itself.
func (l *lab) received(i int, channel string) (out []api.TurbineReceipt) {
	for _, r := range l.nodes[i].Backend().Turbine().Recent {
		if r.Channel == channel && !r.Own {
			out = append(out, r)
		}
	}
	return out
}

func TestLargePayloadsTravelByTurbineAndOthersFetchThem(t *testing.T) {
	for channel, lanes := range map[string]bool{"proposal": false, "batch": true} {
		t.Run(channel, func(t *testing.T) {
			shape := DefaultShape(4)
			shape.BlockBytes, shape.Lanes = 4<<20, lanes
			l := newLab(t, shape)
			follower := l.join("follower")
			for i := range l.members {
				l.members[i].config.Consensus.BlockInterval = 300 * time.Millisecond // so that much gathers
				l.members[i].config.Consensus.LaneAfter = 0
				l.start(i)
			}
			l.reach(0, 2)
			l.publish(0, l.layout.Loaders()[:40], 0) // 2.2 MiB at once
			height, _ := l.nodes[0].Executed()
			l.reach(follower, height)
			seen := 0
			for i := range shape.Nodes {
				for _, r := range l.received(i, channel) {
					require.GreaterOrEqual(t, int64(r.Bytes), l.members[i].config.Turbine.MinBytes)
					require.Positive(t, r.Tree)
					for _, whole := range l.nodes[i].Backend().TurbineSlot(r.Slot) { // of all lanes
						require.Equal(t, whole.Own, len(whole.Sets) == 0)
					}
					seen++
				}
				require.Zero(t, l.nodes[i].Backend().Turbine().Refused)
			}
			require.GreaterOrEqual(t, seen, 3, "three others had at least one")
			require.Empty(t, l.received(follower, channel))
		})
	}
}

// A validator that was away comes back to blocks that are too large for gossip.
func TestNodeThatWasAwayCatchesUpOnLargeBlocks(t *testing.T) {
	shape := DefaultShape(4)
	shape.BlockBytes, shape.Lanes = 16<<20, false
	l := newLab(t, shape)
	for i := range l.members {
		l.members[i].config.Consensus.BlockInterval = 300 * time.Millisecond // so that much gathers
		l.start(i)
	}
	l.reach(0, 2)
	l.stop(3)
	l.publish(0, l.layout.Loaders(), 0) // 3.5 MiB
	l.publish(1, l.layout.Loaders(), 1)
	height, _ := l.nodes[0].Executed()
	l.start(3)
	l.reach(3, height)
}

// twoFaced lets packets through to some peers only.
type twoFaced struct {
	turbinedriver.Packets
	to map[peer.ID]bool
}

func (f twoFaced) TrySend(to peer.ID, packet []byte, mayWait bool) bool {
	return f.to[to] && f.Packets.TrySend(to, packet, mayWait)
}

func (f twoFaced) Send(ctx context.Context, to peer.ID, packet []byte, mayWait bool) error {
	if !f.to[to] {
		return dgram.ErrNotConnected
	}
	return f.Packets.Send(ctx, to, packet, mayWait)
}

// liar is a validator that no node runs: the test speaks in its name.
type liar struct {
	*lab
	index int
	keys  node.Keys
	peers []peer.ID
	port  *dgram.Port
}

func (l *lab) lie(index int) *liar {
	out := &liar{lab: l, index: index}
	var err error
	out.keys, err = node.LoadKeys(l.members[index].config.Home)
	require.NoError(l, err)
	for _, v := range l.layout.Genesis.Validators {
		id, err := v.PeerID()
		require.NoError(l, err)
		out.peers = append(out.peers, id)
	}
	cfg := p2p.Loopback()
	cfg.Identity = out.keys.Identity
	host, err := p2p.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(l, err)
	network := "testnet-" + l.layout.Genesis.ChainID().Short()
	packets := dgram.New(host, protocol.ID("/starling/"+network+"/packets/1"), dgram.Config{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- packets.Run(ctx) }()
	l.Cleanup(func() {
		cancel()
		require.NoError(l, <-done)
		require.NoError(l, host.Close())
	})
	out.port = packets.Port(0) // of epoch 0
	for i, id := range out.peers {
		if i == index {
			continue
		}
		address, err := peer.AddrInfoFromString(l.members[i].address)
		require.NoError(l, err)
		require.Equal(l, id, address.ID)
		require.NoError(l, host.Connect(l.Context(), *address))
	}
	return out
}

// publish sends a payload as the proposal of a view, to some peers only.
func (l *liar) publish(view uint64, payload []byte, to ...int) {
	set, err := l.layout.Genesis.Set()
	require.NoError(l, err)
	committee, err := consensus.NewCommittee(set, l.keys.Vote, l.keys.Identity)
	require.NoError(l, err)
	group, err := turbinedriver.GroupOf(l.peers, slices.Collect(func(yield func(uint64) bool) {
		for _, v := range set.All() {
			if !yield(v.Power) {
				return
			}
		}
	}))
	require.NoError(l, err)
	chosen := map[peer.ID]bool{}
	for _, i := range to {
		chosen[l.peers[i]] = true
	}
	d := turbinedriver.New(turbinedriver.Config{
		Core: turbine.Config{
			Chain: types.EpochDomain(l.layout.Genesis.ChainID(), 0), Group: group, Self: turbine.Index(l.index), Codes: fec.NewCodes(),
		},
		Peers: l.peers, Packets: twoFaced{l.port, chosen}, Loss: 0.3, MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler),
		Sign:      func(m []byte) ([]byte, error) { return committee.SignBlock(hash.Hash(m)) },
		OnPayload: func(fec.Stream, []byte, turbine.Receipt) {},
	})
	d.Admit(1, view, view)
	require.NoError(l, d.Publish(l.Context(), 1, view, payload))
}

// A validator that shows two versions of a payload need not be seen to do so by anybody in
// one piece: two shreds are enough to prove it.
func TestValidatorThatSignsTwoSetsIsSlashed(t *testing.T) {
	shape := DefaultShape(5)
	shape.EpochBlocks = 100
	l := newLab(t, shape)
	for i := range 4 {
		l.start(i)
	}
	l.reach(0, 1)
	eve := l.lie(4)
	view := l.nodes[0].Backend().Status().View + 3
	one, two := make([]byte, 200_000), make([]byte, 200_000)
	_, _ = rand.Read(one)
	_, _ = rand.Read(two)
	eve.publish(view, one, 0, 1)
	eve.publish(view, two, 2, 3)
	operator, err := types.ParseAddress(l.layout.Genesis.Validators[4].Operator, AddressPrefix)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s, err := l.nodes[0].Backend().Stake(t.Context(), operator)
		return err == nil && s.Stake.Jailed
	}, 40*time.Second, 20*time.Millisecond)
	s, err := l.nodes[0].Backend().Stake(t.Context(), operator)
	require.NoError(t, err)
	require.Len(t, s.Stake.Punished, 1)
	require.EqualValues(t, 1<<types.DoubleSet, s.Stake.Punished[0].Offences)
	require.Less(t, s.Stake.Bond, l.layout.Genesis.Validators[4].Bond)
}
