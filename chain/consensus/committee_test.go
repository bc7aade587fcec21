package consensus

import (
	"crypto/rand"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

var testChain = hash.Sum("committee test")

// committees makes four validators, each with its own view of the committee.
func committees(t *testing.T) []*Committee {
	var members []types.Validator
	var votes []*bls.SecretKey
	var identities []crypto.PrivKey
	for range 4 {
		vote, err := bls.Generate(rand.Reader)
		require.NoError(t, err)
		identity, _, err := crypto.GenerateEd25519Key(rand.Reader)
		require.NoError(t, err)
		id, err := peer.IDFromPrivateKey(identity)
		require.NoError(t, err)
		proof := vote.Prove()
		members = append(members, types.Validator{Power: 1, Key: vote.Public().Bytes(), Possession: proof[:], Identity: id.String()})
		votes, identities = append(votes, vote), append(identities, identity)
	}
	set, err := types.NewValidatorSet(members)
	require.NoError(t, err)
	out := make([]*Committee, 4)
	for i := range out {
		out[i], err = NewCommittee(set, votes[i], identities[i])
		require.NoError(t, err)
	}
	return out
}

func shares(all []*Committee, message hash.Hash, who ...int) (out []Share) {
	for _, i := range who {
		out = append(out, Share{Voter: types.ValidatorIndex(i), Signature: all[i].Sign(message)})
	}
	return out
}

func bitmap(who ...int) bls.Bitmap {
	b := bls.NewBitmap(4)
	for _, i := range who {
		b.Set(i)
	}
	return b
}

func TestCombineMakesAnAggregateOrNamesTheCulprits(t *testing.T) {
	all := committees(t)
	message := hash.Sum("m")
	aggregate, bad := all[0].Combine(message, shares(all, message, 0, 1, 3))
	require.Empty(t, bad)
	require.True(t, all[2].VerifyAggregate([]Signed{{message, bitmap(0, 1, 3)}}, aggregate))
	require.False(t, all[2].VerifyAggregate([]Signed{{message, bitmap(0, 1, 2)}}, aggregate))
	require.False(t, all[2].VerifyAggregate([]Signed{{hash.Sum("n"), bitmap(0, 1, 3)}}, aggregate))

	mixed := shares(all, message, 0, 1, 2, 3)
	mixed[1].Signature = all[1].Sign(hash.Sum("other"))
	mixed[3].Signature = []byte("short")
	_, bad = all[0].Combine(message, mixed)
	require.Contains(t, bad, types.ValidatorIndex(3))
	_, bad = all[0].Combine(message, mixed[:3])
	require.Equal(t, []types.ValidatorIndex{1}, bad)
}

func TestAggregateOverSeveralMessages(t *testing.T) {
	all := committees(t)
	low, high := types.TimeoutMessage(testChain, 9, 3), types.TimeoutMessage(testChain, 9, 7)
	aggregate, err := all[0].Merge([][]byte{all[0].Sign(low), all[1].Sign(low), all[2].Sign(high)})
	require.NoError(t, err)
	require.True(t, all[3].VerifyAggregate([]Signed{{low, bitmap(0, 1)}, {high, bitmap(2)}}, aggregate))
	require.False(t, all[3].VerifyAggregate([]Signed{{low, bitmap(0)}, {high, bitmap(1, 2)}}, aggregate))
	require.False(t, all[3].VerifyAggregate([]Signed{{low, bitmap(0, 1)}}, aggregate))
	require.False(t, all[3].VerifyAggregate([]Signed{{low, bitmap()}, {high, bitmap(0)}}, aggregate))
}

func TestVotesTimeoutsAndAttestationsDoNotStandForEachOther(t *testing.T) {
	claim := types.StateClaim{Height: 4, Block: hash.Sum("b"), Root: hash.Sum("r")}
	messages := []hash.Hash{
		types.VoteMessage(testChain, 4, claim.Block), types.TimeoutMessage(testChain, 4, 3), claim.Message(testChain),
		types.VoteMessage(hash.Sum("other chain"), 4, claim.Block),
	}
	seen := map[hash.Hash]bool{}
	for _, m := range messages {
		require.False(t, seen[m])
		seen[m] = true
	}
}

func TestProposalIsSignedByWhomItNames(t *testing.T) {
	all := committees(t)
	h := types.BlockHeader{Chain: testChain, Height: 1, View: 1, Proposer: 2, Justify: types.GenesisQC(testChain)}
	b, err := types.NewBlock(h, nil, all[2].SignBlock)
	require.NoError(t, err)
	require.True(t, all[0].VerifyProposer(b))
	forged, err := types.NewBlock(h, nil, all[1].SignBlock)
	require.NoError(t, err)
	require.False(t, all[0].VerifyProposer(forged))
	h.Proposer = 99
	stranger, err := types.NewBlock(h, nil, all[1].SignBlock)
	require.NoError(t, err)
	require.False(t, all[0].VerifyProposer(stranger))
}

func attester(all []*Committee, i int) *Attestations {
	self := types.ValidatorIndex(i)
	return NewAttestations(testChain, seat{all[i], &self})
}

// seat is one committee for all heights.
type seat struct {
	committee *Committee
	self      *types.ValidatorIndex
}

func (s seat) Seat(types.Height) (*Committee, *types.ValidatorIndex) { return s.committee, s.self }

func claim(height types.Height, root string) types.StateClaim {
	return types.StateClaim{Height: height, Block: hash.Sum("block", []byte{byte(height)}), Root: hash.Sum(root)}
}

// certify has validators who attest a claim, and returns the certificate that
// the first of them makes.
func certify(t *testing.T, all []*Committee, c types.StateClaim, who ...int) *types.StateCert {
	first := attester(all, who[0])
	require.NoError(t, first.Executed(c))
	for _, i := range who[1:] {
		other := attester(all, i)
		require.NoError(t, other.Executed(c))
		for _, at := range other.Own() {
			first.Add(at)
		}
	}
	return first.Best()
}

func TestAQuorumOfAttestationsMakesAStateCertificate(t *testing.T) {
	all := committees(t)
	require.Nil(t, certify(t, all, claim(5, "r"), 0, 1))
	cert := certify(t, all, claim(5, "r"), 0, 1, 3)
	require.NotNil(t, cert)
	require.NoError(t, VerifyStateCert(testChain, all[2], all[2].Set(), cert))
	for name, spoil := range map[string]func(*types.StateCert){
		"height":    func(c *types.StateCert) { c.Height++ },
		"block":     func(c *types.StateCert) { c.Block[0]++ },
		"root":      func(c *types.StateCert) { c.Root[0]++ },
		"signers":   func(c *types.StateCert) { c.Signers = bitmap(0, 1, 2) },
		"too few":   func(c *types.StateCert) { c.Signers = bitmap(0, 1) },
		"bitmap":    func(c *types.StateCert) { c.Signers = append(bitmap(0, 1, 3), 0) },
		"signature": func(c *types.StateCert) { c.Signature = []byte("no") },
	} {
		bad := *cert
		spoil(&bad)
		require.ErrorIs(t, VerifyStateCert(testChain, all[2], all[2].Set(), &bad), ErrStateCert, name)
	}
	require.ErrorIs(t, VerifyStateCert(hash.Sum("other"), all[2], all[2].Set(), cert), ErrStateCert)
}

func TestForgedAttestationDoesNotPreventTheCertificate(t *testing.T) {
	all := committees(t)
	a := attester(all, 0)
	require.NoError(t, a.Executed(claim(5, "r")))
	a.Add(types.Attestation{Claim: claim(5, "r"), Voter: 1, Signature: []byte("forged")})
	a.Add(types.Attestation{Claim: claim(5, "r"), Voter: 99})
	b := attester(all, 2)
	require.NoError(t, b.Executed(claim(5, "r")))
	a.Add(b.Own()[0])
	require.Nil(t, a.Best())
	c := attester(all, 3)
	require.NoError(t, c.Executed(claim(5, "r")))
	a.Add(c.Own()[0])
	require.NotNil(t, a.Best())
}

func TestNodeThatComputedAnotherStateFindsOut(t *testing.T) {
	all := committees(t)
	cert := certify(t, all, claim(5, "right"), 0, 1, 2)

	first := attester(all, 3)
	require.NoError(t, first.Executed(claim(5, "wrong")))
	require.ErrorIs(t, first.Check(cert), ErrDiverged)

	late := attester(all, 3)
	require.NoError(t, late.Check(cert))
	require.ErrorIs(t, late.Executed(claim(5, "wrong")), ErrDiverged)
	require.NoError(t, late.Executed(claim(6, "any")))
}

func TestAttestationsAreBounded(t *testing.T) {
	all := committees(t)
	a := attester(all, 0)
	for h := types.Height(1); h < 300; h++ {
		require.NoError(t, a.Executed(claim(h, "r")))
		a.Add(types.Attestation{Claim: claim(h+1000, "spam"), Voter: 1})
	}
	require.Len(t, a.Own(), attestations)
	require.LessOrEqual(t, len(a.shares), claimsKept)
	require.LessOrEqual(t, len(a.executed), claimsKept)
	a.Carried(&types.StateCert{StateClaim: claim(298, "r")})
	require.Len(t, a.Own(), 1)
	require.Nil(t, a.Provable(1000))
}
