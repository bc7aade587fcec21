package hotstuff

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
)

// The log is a copy from before the replica voted in view 3. It must not vote there
// again, whatever it is shown, and it must come back once the network has moved on.
func TestReplicaRestoredFromAnOldCopyContradictsNothing(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b1 := b.block(1, b.genesis, "1")
	b2 := b.block(2, b1, "2")
	b.step(Proposal{b1})
	old := append([]Record{}, b.records...)
	b.step(Proposal{b2})
	b3 := b.block(3, b2, "3")
	b.step(Proposal{b3})
	require.Equal(t, b3.Hash(), b.core.lastVote.Block)

	core, err := New(b.cfg, Restored{Root: b.genesis, Cert: types.GenesisQC(testChain), Records: old, Doubtful: true})
	require.NoError(t, err)
	b.core = core
	b.step(Start{})
	silent := func(effects []Effect) {
		for _, e := range effects {
			switch e.(type) {
			case Persist, SendVote, Broadcast, BroadcastTimeout:
				require.Failf(t, "it signs", "%T", e)
			}
		}
	}
	silent(b.step(TimerFired{View: b.core.View()}))
	silent(b.step(Proposal{b.block(2, b1, "another")})) // from validator 2
	silent(b.step(Proposal{b2}))
	silent(b.step(Proposal{b.block(3, b2, "another")})) // from validator 3: view 3 again
	silent(b.step(TimerFired{View: 3}))
	for voter := types.ValidatorIndex(1); voter <= 3; voter++ { // now everybody is heard
		silent(b.step(TimeoutIn{b.timeout(3, voter, b.qc(b2), nil)}))
	}
	// View 3 is given up: the highest view in which it may have signed is 4.
	require.Equal(t, types.View(4), b.core.View())
	silent(b.step(TimerFired{View: 4}))
	for voter := types.ValidatorIndex(1); voter <= 3; voter++ {
		b.step(TimeoutIn{b.timeout(4, voter, b.qc(b2), nil)})
	}
	require.Equal(t, types.View(5), b.core.View())
	require.Len(t, votes(b.step(Proposal{b.block(5, b2, "5")})), 1)
}

func TestReplicaWithTheNewestLogIsNotHeldBack(t *testing.T) {
	b := newBench(t, ThreePhase{})
	b.step(Proposal{b.block(1, b.genesis, "1")})
	b.restart()
	require.True(t, has[BroadcastTimeout](b.step(TimerFired{View: b.core.View()})))
}
