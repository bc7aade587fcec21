package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
)

// everybody is all replicas.
const everybody = ^Side(0)

// branch leads a view: as the round's moves say, or with one or two proposals on the
// last certificate or, if a lost view gives the excuse, on one of the last few.
func (l *liar) branch(v types.View) {
	if moves := l.moves(v); moves != nil {
		l.move(v, moves)
		return
	}
	for range 1 + l.w.rand.IntN(5)/4 {
		tc, back := l.lastTC(v), 1
		if tc != nil || l.chance(16) {
			back += l.w.rand.IntN(min(6, len(l.qcs)))
		}
		if len(l.tcs) > 0 && l.chance(16) {
			tc = l.tcs[l.w.rand.IntN(len(l.tcs))]
		}
		to := everybody
		if l.chance(4) {
			to &^= 1 << l.someone().id
			to &^= 1 << l.someone().id
		}
		l.proposeOn(v, l.qcs[len(l.qcs)-back], tc, to)
	}
}

func (l *liar) moves(v types.View) []Move {
	if v < 1 || v > types.View(len(l.w.Rounds)) {
		return nil
	}
	return l.w.Rounds[v-1].Moves
}

// move makes the moves that the liar has the certificates for, and the rest later.
func (l *liar) move(v types.View, moves []Move) {
	for i, m := range moves {
		tc := l.lastTC(v)
		at := slices.IndexFunc(l.qcs, func(qc types.QC) bool { return qc.View == m.On })
		if at < 0 || tc == nil && m.On+1 != v {
			l.w.at(l.w.now+10*time.Millisecond, func() {
				if !l.w.calm {
					l.move(v, moves[i:])
				}
			})
			return
		}
		l.proposeOn(v, l.qcs[at], tc, m.To)
	}
}

// collectTimeout makes timeout certificates.
func (l *liar) collectTimeout(t types.Timeout) {
	if t.Epoch != l.core.Epoch() {
		return
	}
	voters := l.gaveUp[t.View]
	if voters == nil {
		voters = map[types.ValidatorIndex]types.Timeout{}
		l.gaveUp[t.View] = voters
	}
	voters[t.Voter] = t
	tc := &types.TC{View: t.View, High: types.GenesisQC(l.w.chain)}
	groups := map[types.View]bls.Bitmap{}
	var sigs [][]byte
	for _, i := range slices.Sorted(maps.Keys(voters)) {
		t := voters[i]
		if groups[t.High.View] == nil {
			groups[t.High.View] = bls.NewBitmap(l.w.size())
		}
		groups[t.High.View].Set(int(i))
		sigs = append(sigs, t.Signature)
		if t.High.View > tc.High.View {
			tc.High = t.High
		}
	}
	for _, high := range slices.Sorted(maps.Keys(groups)) {
		tc.Groups = append(tc.Groups, types.TCGroup{High: high, Signers: groups[high]})
	}
	if tc.Signature = l.merge(sigs); l.w.validTC(t.Epoch, 0, tc) {
		l.learn(tc.High, tc)
	}
}

// lastTC finds the timeout certificate that lets view v begin without the one
// before.
func (l *liar) lastTC(v types.View) *types.TC {
	for _, tc := range l.tcs {
		if tc.View+1 == v {
			return tc
		}
	}
	return nil
}

// proposeOn shows a proposal with the given certificates, if the liar knows the
// certified block.
func (l *liar) proposeOn(v types.View, qc types.QC, tc *types.TC, to Side) {
	parent, known := l.blocks[qc.Block]
	if !known || v == 0 || l.core == nil || !l.seated() {
		return
	}
	if qc.View+1 == v {
		tc = nil
	}
	b := l.build(types.BlockHeader{
		Chain: l.w.chain, Epoch: l.core.Epoch(), Height: parent.Height + 1, View: v, Proposer: l.self,
		Time: max(l.clock().UnixMilli(), parent.Time+1), Justify: qc, Timeouts: tc,
	}, [][]byte{{byte(l.w.rand.IntN(256))}})
	l.blocks[b.Hash()] = b
	for _, r := range l.w.replicas {
		if to.Has(r.id) {
			l.w.send(l.replica, r, hotstuff.Proposal{Block: b})
		}
	}
	l.voteFor(b)
}
