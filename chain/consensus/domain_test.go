package consensus

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

func TestSignatureOfOneDomainIsWorthlessInEveryOther(t *testing.T) {
	all := committees(t)
	// The fields are alike where they can be, so that only the domains differ.
	var zero hash.Hash
	domains := map[string]hash.Hash{
		"vote":                   types.VoteMessage(testChain, 4, zero),
		"vote on another chain":  types.VoteMessage(hash.Sum("other"), 4, zero),
		"vote in another view":   types.VoteMessage(testChain, 5, zero),
		"timeout":                types.TimeoutMessage(testChain, 4, 0),
		"timeout on other chain": types.TimeoutMessage(hash.Sum("other"), 4, 0),
		"attestation":            types.StateClaim{Height: 4}.Message(testChain),
	}
	for signed, message := range domains {
		sig := all[0].Sign(message)
		for read, other := range domains {
			require.Equal(t, signed == read, all[1].Verify(0, other, sig), "%s as %s", signed, read)
		}
		require.False(t, all[1].Verify(1, message, sig), "another validator's")
		require.False(t, all[1].Verify(99, message, sig))
	}
}

func TestCombineNamesExactlyTheCulprits(t *testing.T) {
	all := committees(t)
	message := hash.Sum("m")
	spoils := map[string]func(*Share){
		"another message": func(s *Share) { s.Signature = all[s.Voter].Sign(hash.Sum("n")) },
		"another signer":  func(s *Share) { s.Signature = all[(s.Voter+1)%4].Sign(message) },
		"malformed":       func(s *Share) { s.Signature = s.Signature[1:] },
		"missing":         func(s *Share) { s.Signature = nil },
	}
	for name, spoil := range spoils {
		for _, who := range [][]int{{0}, {3}, {1, 2}, {0, 1, 2}} {
			mixed := shares(all, message, 0, 1, 2, 3)
			want := []types.ValidatorIndex{}
			for _, i := range who {
				spoil(&mixed[i])
				want = append(want, types.ValidatorIndex(i))
			}
			aggregate, bad := all[0].Combine(message, mixed)
			require.Nil(t, aggregate)
			require.ElementsMatch(t, want, bad, name)
		}
	}
	mixed := shares(all, message, 0, 1, 2, 3)
	spoils["malformed"](&mixed[0])
	spoils["another message"](&mixed[2])
	mixed = append(mixed, Share{Voter: 99, Signature: mixed[1].Signature})
	_, bad := all[0].Combine(message, mixed)
	require.ElementsMatch(t, []types.ValidatorIndex{0, 2, 99}, bad, "of all kinds at once")

	swapped := shares(all, message, 0, 1, 2)
	swapped[0].Signature, swapped[1].Signature = swapped[1].Signature, swapped[0].Signature
	aggregate, bad := all[0].Combine(message, swapped)
	require.Empty(t, bad, "only the sum counts, and it is what these three would make")
	require.True(t, all[3].VerifyAggregate([]Signed{{message, bitmap(0, 1, 2)}}, aggregate))
}

func TestDegenerateAggregatesAreRefused(t *testing.T) {
	all := committees(t)
	message := hash.Sum("m")
	infinity := make([]byte, bls.SignatureSize)
	infinity[0] = 0xc0
	for name, sig := range map[string][]byte{"infinity": infinity, "zeros": make([]byte, bls.SignatureSize), "nothing": nil} {
		require.False(t, all[0].VerifyAggregate(nil, sig), name)
		require.False(t, all[0].VerifyAggregate([]Signed{{message, bitmap()}}, sig), name)
		require.False(t, all[0].VerifyAggregate([]Signed{{message, bitmap(0)}}, sig), name)
		_, err := all[0].Merge([][]byte{sig})
		require.Error(t, err, name)
	}
	good := all[0].Sign(message)
	require.True(t, all[1].VerifyAggregate([]Signed{{message, bitmap(0)}}, good))
	require.False(t, all[1].VerifyAggregate(nil, good))
	require.False(t, all[1].VerifyAggregate([]Signed{{message, append(bitmap(0), 1)}}, good), "a bitmap of another set")
	_, err := all[0].Merge(nil)
	require.Error(t, err)
}

func TestEveryFieldOfAProposalIsSigned(t *testing.T) {
	all := committees(t)
	header := types.BlockHeader{Chain: testChain, Height: 1, View: 1, Proposer: 2, Time: 1, Justify: types.GenesisQC(testChain)}
	good, err := types.NewBlock(header, [][]byte{{1}}, all[2].SignBlock)
	require.NoError(t, err)
	old := func(hash.Hash) ([]byte, error) { return good.Signature, nil }
	for name, change := range map[string]func(*types.BlockHeader){
		"chain":    func(h *types.BlockHeader) { h.Chain[0]++ },
		"height":   func(h *types.BlockHeader) { h.Height++ },
		"view":     func(h *types.BlockHeader) { h.View++ },
		"proposer": func(h *types.BlockHeader) { h.Proposer++ },
		"time":     func(h *types.BlockHeader) { h.Time++ },
		"justify":  func(h *types.BlockHeader) { h.Justify.View++ },
	} {
		h := header
		change(&h)
		b, err := types.NewBlock(h, good.Txs, old)
		require.NoError(t, err)
		require.False(t, all[0].VerifyProposer(b), name)
	}
	b, err := types.NewBlock(header, [][]byte{{2}}, old)
	require.NoError(t, err)
	require.False(t, all[0].VerifyProposer(b), "transactions")
	require.True(t, all[0].VerifyProposer(good))
}

func TestCommitteeRefusesKeysThatAreNone(t *testing.T) {
	good := committees(t)[0].Set().At(0)
	for name, spoil := range map[string]func(*types.Validator){
		"vote key": func(v *types.Validator) { v.Key = append(types.HexBytes{}, v.Key[1:]...) },
		"infinity": func(v *types.Validator) { v.Key = append(types.HexBytes{0xc0}, make([]byte, bls.PublicKeySize-1)...) },
		"identity": func(v *types.Validator) { v.Identity = "nobody" },
	} {
		v := good
		spoil(&v)
		set, err := types.NewValidatorSet([]types.Validator{v})
		require.NoError(t, err)
		_, err = NewCommittee(set, nil, nil)
		require.Error(t, err, name)
	}
}
