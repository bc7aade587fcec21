package sim

import (
	"slices"

	"github.com/starlingmesh/starling/chain/consensus/consensustest"
	"github.com/starlingmesh/starling/chain/consensus/hotstuff"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// forge sends a lie about certificates: within a timeout, or as a proposal.
func (l *liar) forge(v types.View) {
	if l.chance(2) {
		l.forgeTimeout(v)
		return
	}
	if tc := l.forgedTC(v); tc != nil && l.chance(2) {
		l.proposeOn(tc.View+1, tc.High, tc, everybody)
	} else if qc, ok := l.forgedQC(v); ok {
		l.proposeOn(qc.View+1, qc, nil, everybody)
	}
}

// forgeTimeout gives up a view with a true statement and false attachments.
func (l *liar) forgeTimeout(v types.View) {
	t := types.Timeout{Epoch: l.core.Epoch(), View: v + types.View(l.w.rand.IntN(3)), Voter: l.self, High: l.core.High()}
	switch l.w.rand.IntN(3) {
	case 0:
		t.Last = l.forgedTC(v)
	case 1:
		if qc, ok := l.forgedQC(v); ok {
			t.High = qc
		}
	case 2: // hides the higher ones
		t.High = types.GenesisQC(l.w.chain)
		if l.chance(2) {
			t.High = l.qcs[l.w.rand.IntN(len(l.qcs))]
		}
	}
	t.Signature = l.sign(l.self, types.TimeoutMessage(l.domain(), t.View, t.High.View))
	l.w.toAll(l.replica, hotstuff.TimeoutIn{Timeout: t})
}

// accomplices are the validators whose keys the liar has.
func (l *liar) accomplices() (all bls.Bitmap) {
	all = bls.NewBitmap(l.w.size())
	for i, member := range l.w.members(l.core.Epoch()) {
		if l.w.faulty(member) {
			all.Set(i)
		}
	}
	return all
}

// together aggregates what the accomplices sign.
func (l *liar) together(message hash.Hash) []byte {
	var sigs [][]byte
	for i := range l.accomplices().All() {
		sigs = append(sigs, l.sign(types.ValidatorIndex(i), message))
	}
	return l.merge(sigs)
}

func (l *liar) merge(sigs [][]byte) []byte {
	sum, err := consensustest.Scheme{}.Merge(sigs)
	if err != nil {
		panic(err) // the stand-in scheme merges everything
	}
	return sum
}

// forgedQC certifies a block that the liar knows, a proposal that it heard or an
// old certificate's, with no quorum behind it.
func (l *liar) forgedQC(v types.View) (types.QC, bool) {
	b := l.known()
	if b == nil {
		return types.QC{}, false
	}
	qc := types.QC{View: b.View, Block: b.Hash(), Signers: l.accomplices()}
	switch l.w.rand.IntN(4) {
	case 0: // too few signers
	case 1: // signers who did not sign
		for i := range l.w.size() {
			qc.Signers.Set(i)
		}
	case 2: // another view than was signed
		if n := len(l.qcs); n > 1 {
			qc = l.qcs[n-1]
			qc.View = v
			return qc, true
		}
	case 3: // another block than was signed
		if n := len(l.qcs); n > 1 {
			qc.Signers, qc.Signature = l.qcs[n-1].Signers, l.qcs[n-1].Signature
			return qc, true
		}
	}
	qc.Signature = l.together(types.VoteMessage(l.domain(), qc.View, qc.Block))
	return qc, true
}

// known is a block heard of, one of the latest rather.
func (l *liar) known() *types.Block {
	for range 4 {
		if len(l.heard) == 0 {
			return nil
		}
		if p, ok := l.heard[l.w.rand.IntN(len(l.heard))].(hotstuff.Proposal); ok {
			return p.Block
		}
	}
	return nil
}

// forgedTC is a timeout certificate of a view, or of an earlier one passed off as
// its, with no quorum behind it.
func (l *liar) forgedTC(v types.View) *types.TC {
	n := len(l.tcs)
	kind := l.w.rand.IntN(5)
	if kind >= 2 && n == 0 {
		kind -= 3
	}
	switch kind {
	case 2: // one of an earlier view, as it is
		return l.tcs[l.w.rand.IntN(n)]
	case 3: // another view than was signed
		tc := *l.tcs[n-1]
		tc.View = v
		return &tc
	case 4: // a lower highest certificate than was signed
		tc := *l.tcs[n-1]
		tc.High = types.GenesisQC(l.w.chain)
		return &tc
	case 1:
		return l.crowdOfOne(v)
	}
	high := l.core.High()
	tc := &types.TC{View: max(v, high.View+1), High: high, Groups: []types.TCGroup{{High: high.View, Signers: l.accomplices()}}}
	tc.Signature = l.together(types.TimeoutMessage(l.domain(), tc.View, high.View))
	return tc
}

// crowdOfOne counts the accomplices many times, once with each certificate.
func (l *liar) crowdOfOne(v types.View) *types.TC {
	highs := l.qcs[max(0, len(l.qcs)-l.w.size()):]
	tc := &types.TC{View: max(v, highs[len(highs)-1].View+1), High: highs[len(highs)-1]}
	var sigs [][]byte
	for _, qc := range highs {
		tc.Groups = append(tc.Groups, types.TCGroup{High: qc.View, Signers: l.accomplices()})
		sigs = append(sigs, l.together(types.TimeoutMessage(l.domain(), tc.View, qc.View)))
	}
	tc.Signature = l.merge(sigs)
	return tc
}

// backdate gives up a view with a certificate of view 0 for the latest block.
func (l *liar) backdate(v types.View) {
	b := l.known()
	if b == nil {
		return
	}
	high := types.QC{Block: b.Hash(), Signers: bls.NewBitmap(l.w.size()), Signature: make([]byte, 8)}
	t := types.Timeout{Epoch: l.core.Epoch(), View: v, Voter: l.self, High: high}
	t.Signature = l.sign(l.self, types.TimeoutMessage(l.domain(), v, 0))
	l.w.toAll(l.replica, hotstuff.TimeoutIn{Timeout: t})
}

// tamper sends an honest replica's timeout on with attachments of the liar's.
func (l *liar) tamper(t types.Timeout) {
	switch l.w.rand.IntN(3) {
	case 0:
		t.Last = l.forgedTC(t.View)
	case 1:
		t.High.Signature = slices.Clone(t.High.Signature)
		for i := range t.High.Signature {
			t.High.Signature[i] ^= 1
		}
	case 2:
		t.Vote = &types.Vote{Epoch: t.Epoch, View: t.View, Voter: t.Voter, Signature: make([]byte, 8)}
		if b := l.known(); b != nil {
			t.Vote.View, t.Vote.Block = b.View, b.Hash()
		}
	}
	l.w.toAll(l.replica, hotstuff.TimeoutIn{Timeout: t})
}
