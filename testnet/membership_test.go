package testnet

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/starlingmesh/starling/chain/consensus/rpca"
	"github.com/starlingmesh/starling/chain/light"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/config"
)

// act has an account do something by way of node 0, and waits until it is executed.
func (l *lab) act(a Account, sequence uint64, body types.Body) {
	l.Helper()
	key, err := a.Key()
	require.NoError(l, err)
	require.NoError(l, l.submit(key, sequence, body))
}

func (l *lab) submit(key keys.PrivateKey, sequence uint64, body types.Body) error {
	g := l.layout.Genesis
	tx, err := types.SignTx(types.Header{
		Chain: g.ChainID(), Key: key.Public().Bytes(), Sequence: sequence, Fee: g.Params.MinFee, Expiry: 90_000,
	}, body, key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.Context(), 40*time.Second)
	defer cancel()
	id, err := l.nodes[0].Backend().Submit(ctx, tx.Raw())
	if err != nil {
		return err
	}
	rec, err := l.nodes[0].Backend().Wait(ctx, id)
	if err != nil {
		return err
	}
	if rec.Status != api.TxDecided || !rec.Result.Success {
		return fmt.Errorf("transaction %s: %s %s", id.Short(), rec.Status, rec.Result.Code)
	}
	return nil
}

// pay has a loader pay, one payment after another, until ctx ends.
func (l *lab) pay(ctx context.Context, from, to Account) error {
	key, err := from.Key()
	if err != nil {
		return err
	}
	address, err := types.ParseAddress(to.Address, AddressPrefix)
	if err != nil {
		return err
	}
	for seq := uint64(0); ctx.Err() == nil; seq++ {
		if err := l.submit(key, seq, &types.Payment{To: address, Amount: 1}); err != nil {
			return err
		}
	}
	return nil
}

// validates waits until the set of the present epoch has a validator, or has not.
func (l *lab) validates(identity string, wanted bool) {
	l.Helper()
	require.Eventually(l, func() bool {
		for _, v := range l.nodes[0].Backend().Validators() {
			if v.Identity == identity {
				return wanted
			}
		}
		return !wanted
	}, 60*time.Second, 10*time.Millisecond)
}

func TestValidatorJoinsByBondingAndLeavesByUnbondingUnderLoad(t *testing.T) {
	shape := DefaultShape(4)
	shape.EpochBlocks = 10
	l := newLab(t, shape)
	for i := range l.members {
		l.start(i)
	}
	l.reach(0, 1)
	paying, stop := context.WithCancel(t.Context())
	defer stop()
	var load errgroup.Group
	for i, a := range l.layout.Loaders()[:8] {
		load.Go(func() error { return l.pay(paying, a, l.layout.Loaders()[8+i]) })
	}
	newcomer := l.join("newcomer")
	l.start(newcomer)
	made, err := node.LoadKeys(l.members[newcomer].config.Home)
	require.NoError(t, err)
	v, err := made.Validator("newcomer", 1)
	require.NoError(t, err)
	person := l.layout.People()[0]
	l.act(person, 0, &types.Bond{
		Amount: bondedCoins * types.DropsPerCoin,
		Keys:   &types.ValidatorKeys{Name: v.Name, Key: v.Key, Possession: v.Possession, Identity: v.Identity},
	})
	l.validates(v.Identity, true)
	l.validates(l.layout.Genesis.Validators[0].Identity, true)
	epoch, err := l.nodes[0].Backend().Epoch(t.Context())
	require.NoError(t, err)
	// With five equal validators and one of the old ones gone, the newcomer's votes are
	// needed: an epoch that passes shows that it casts them.
	l.stop(3)
	l.reach(0, l.layout.Genesis.Params.LastOf(epoch.Epoch+1)+1)
	l.start(3)
	l.act(person, 1, &types.Unbond{})
	l.validates(v.Identity, false)
	stop()
	require.NoError(t, load.Wait(), "every payment was decided")
	l.follow(epoch.Epoch + 2)
}

// join makes the home of a node that the genesis does not name, which knows node 0.
func (l *lab) join(name string) int {
	taken := map[int]bool{}
	apiPort, err := freePort(0, taken)
	require.NoError(l, err)
	meshPort, err := freePort(0, taken)
	require.NoError(l, err)
	cfg := l.members[0].config
	cfg.Home = filepath.Join(l.layout.Dir, name)
	cfg.P2P = config.P2P{
		Listen:   []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", meshPort), fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", meshPort)},
		Announce: []string{}, Bootstrap: []string{l.members[0].address}, MaxPeers: 20,
	}
	cfg.API.Listen = fmt.Sprintf("127.0.0.1:%d", apiPort)
	_, err = node.CreateKeys(cfg.Home)
	require.NoError(l, err)
	l.members = append(l.members, &member{name: name, config: cfg})
	l.nodes = append(l.nodes, nil)
	return len(l.members) - 1
}

// follow checks the chain of validator sets as a light client does, from the genesis.
func (l *lab) follow(to types.Epoch) {
	trust, err := light.Begin(l.layout.Genesis)
	require.NoError(l, err)
	for trust.Epoch() < to {
		var raw []byte
		require.Eventually(l, func() bool {
			var err error
			raw, err = l.nodes[0].Backend().EpochEnd(l.Context(), trust.Epoch())
			return err == nil
		}, 40*time.Second, 20*time.Millisecond, "end of epoch %d", trust.Epoch())
		end, err := light.DecodeEnd(raw)
		require.NoError(l, err)
		require.NoError(l, trust.Advance(end))
	}
}

func TestPublishedListsAreKeptOverARestart(t *testing.T) {
	shape := DefaultShape(4)
	shape.Engine = types.EngineRPCA
	l := newLab(t, shape)
	for i := range l.members {
		l.start(i)
	}
	l.reach(0, 3)
	for i := range l.members {
		l.stop(i)
	}
	o := l.options(0)
	o.Config.Consensus.Trusted = []string{"node0", "node1"}
	_, err := node.New(o)
	require.ErrorIs(t, err, rpca.ErrOverlap, "nobody else runs, and it knows all the same")
	o.Config.Consensus.AllowOverlap = true
	n, err := node.New(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, n.Run(ctx))
}
