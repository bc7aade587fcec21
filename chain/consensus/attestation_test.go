package consensus

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// attestation is validator i's signature under a claim.
func attestation(all []*Committee, i int, c types.StateClaim) types.Attestation {
	return types.Attestation{Claim: c, Voter: types.ValidatorIndex(i), Signature: all[i].Sign(c.Message(testChain))}
}

func TestOneForgerCannotHoldTheCertificateUp(t *testing.T) {
	all := committees(t)
	forged := []types.Attestation{
		{Signature: all[3].Sign(hash.Sum("something else"))},
		{Signature: []byte("short")},
		{},
	}
	a := attester(all, 0)
	for h := types.Height(1); h <= 3; h++ {
		c := claim(h, "r")
		require.NoError(t, a.Executed(c))
		a.Add(attestation(all, 1, c))
		a.Add(attestation(all, 2, c))
		f := forged[h-1]
		f.Claim, f.Voter = c, 3
		a.Add(f)
		cert := a.Best() // the forger repeats itself before each call
		require.NotNil(t, cert, "height %d", h)
		require.Equal(t, bitmap(0, 1, 2), cert.Signers)
		require.NoError(t, VerifyStateCert(testChain, all[2], all[2].Set(), cert))
	}
}

func TestSpamOfOneValidatorCrowdsOutNobodyElse(t *testing.T) {
	all := committees(t)
	a := attester(all, 0)
	c := claim(7, "r")
	require.NoError(t, a.Executed(c))
	spam := func() {
		for i := range types.Height(500) {
			a.Add(types.Attestation{Claim: claim(1_000_000+i, "spam"), Voter: 3})
			a.Add(types.Attestation{Claim: claim(7, fmt.Sprint("spam", i)), Voter: 3})
		}
	}
	spam()
	a.Add(attestation(all, 1, c))
	spam()
	a.Add(attestation(all, 2, c))
	require.LessOrEqual(t, len(a.shares), 4*sharesKept)
	cert := a.Best()
	require.NotNil(t, cert)
	require.Equal(t, c, cert.StateClaim)
	for _, claims := range a.claims {
		require.LessOrEqual(t, len(claims), sharesKept)
		for _, c := range claims {
			require.Greater(t, c.Height, cert.Height, "what is of no more use is forgotten")
		}
	}
}

func TestValidatorThatClaimedNonsenseOnceIsHeardAgain(t *testing.T) {
	all := committees(t)
	a := attester(all, 0)
	for i := range types.Height(100) {
		a.Add(types.Attestation{Claim: claim(1_000_000+i, "r"), Voter: 1})
	}
	c := claim(7, "r")
	require.NoError(t, a.Executed(c))
	a.Add(attestation(all, 1, c))
	a.Add(attestation(all, 2, c))
	require.NotNil(t, a.Best())
}

func TestRepeatedAttestationsCountOnce(t *testing.T) {
	all := committees(t)
	a := attester(all, 0)
	c := claim(7, "r")
	for range 20 {
		require.NoError(t, a.Executed(c))
		a.Add(attestation(all, 1, c))
	}
	require.Nil(t, a.Best())
	require.Len(t, a.shares, 1)
	require.Len(t, a.claims[1], 1)
}

func TestObserverCertifiesButNeverAttests(t *testing.T) {
	all := committees(t)
	observer, err := NewCommittee(all[0].Set(), nil, nil)
	require.NoError(t, err)
	a := NewAttestations(testChain, seat{observer, nil})
	c := claim(5, "r")
	require.NoError(t, a.Executed(c))
	require.Empty(t, a.Own())
	for i := range 3 {
		a.Add(attestation(all, i, c))
	}
	require.NotNil(t, a.Best())
}

func TestOwnAttestationsAreTheNewestThatNoBlockCarries(t *testing.T) {
	all := committees(t)
	a := attester(all, 0)
	for h := types.Height(1); h <= 6; h++ {
		require.NoError(t, a.Executed(claim(h, "r")))
	}
	own := func() (out []types.Height) {
		for _, at := range a.Own() {
			require.True(t, all[1].Verify(0, at.Claim.Message(testChain), at.Signature))
			out = append(out, at.Claim.Height)
		}
		return out
	}
	require.Equal(t, []types.Height{3, 4, 5, 6}, own())
	a.Carried(&types.StateCert{StateClaim: claim(4, "r")})
	require.Equal(t, []types.Height{5, 6}, own())
	a.Carried(&types.StateCert{StateClaim: claim(2, "r")}) // decided late: nothing comes back
	require.Equal(t, []types.Height{5, 6}, own())
	require.Equal(t, types.Height(4), a.Covered())
}

func TestCertificateIsOfferedUntilABlockCarriesIt(t *testing.T) {
	all := committees(t)
	low, high := certify(t, all, claim(5, "r"), 0, 1, 2), certify(t, all, claim(9, "r"), 1, 2, 3)
	a := attester(all, 0)
	require.NoError(t, a.Check(low))
	require.Equal(t, low, a.Best())
	require.Equal(t, low, a.Best())
	require.NoError(t, a.Check(high))
	require.NoError(t, a.Check(low), "an older one is no news, but good")
	require.Equal(t, high, a.Best())
	a.Carried(high)
	require.Nil(t, a.Best())

	require.Nil(t, a.Provable(4))
	require.Equal(t, low, a.Provable(5))
	require.Equal(t, low, a.Provable(8))
	require.Equal(t, high, a.Provable(9))
	require.Equal(t, high, a.Provable(1000))
}

func TestDivergenceIsFoundBelowTheHighestCertificate(t *testing.T) {
	all := committees(t)
	low, high := certify(t, all, claim(5, "right"), 0, 1, 2), certify(t, all, claim(9, "right"), 0, 1, 2)
	certificatesFirst := attester(all, 3)
	require.NoError(t, certificatesFirst.Check(low))
	require.NoError(t, certificatesFirst.Check(high))
	require.ErrorIs(t, certificatesFirst.Executed(claim(5, "wrong")), ErrDiverged)
	require.Empty(t, certificatesFirst.Own(), "a wrong state is not attested")

	executionFirst := attester(all, 3)
	require.NoError(t, executionFirst.Executed(claim(5, "wrong")))
	require.NoError(t, executionFirst.Executed(claim(6, "wrong")))
	require.NoError(t, executionFirst.Check(high))
	require.ErrorIs(t, executionFirst.Check(low), ErrDiverged)
	require.ErrorIs(t, executionFirst.Check(low), ErrDiverged, "each time")
}

func TestInvalidCertificateTeachesNothing(t *testing.T) {
	all := committees(t)
	bad := *certify(t, all, claim(5, "r"), 0, 1, 2)
	bad.Root[0]++
	a := attester(all, 3)
	require.NoError(t, a.Executed(claim(5, "r")))
	require.ErrorIs(t, a.Check(&bad), ErrStateCert)
	require.NotErrorIs(t, a.Check(&bad), ErrDiverged, "nobody can stop a node by a forgery")
	require.Nil(t, a.Best())
}

func TestFlippedBitInvalidatesAStateCertificate(t *testing.T) {
	all := committees(t)
	cert := certify(t, all, claim(5, "r"), 0, 1, 2)
	for name, bytes := range map[string]func(*types.StateCert) []byte{
		"block":     func(c *types.StateCert) []byte { return c.Block[:] },
		"root":      func(c *types.StateCert) []byte { return c.Root[:] },
		"signers":   func(c *types.StateCert) []byte { return c.Signers },
		"signature": func(c *types.StateCert) []byte { return c.Signature },
	} {
		for bit := 0; bit < 8*len(bytes(cert)); bit += max(1, len(bytes(cert))) { // eight bits, in eight places
			bad := *cert
			bad.Signers, bad.Signature = append(bls.Bitmap{}, cert.Signers...), append([]byte{}, cert.Signature...)
			bytes(&bad)[bit/8] ^= 1 << (bit % 8)
			require.ErrorIs(t, VerifyStateCert(testChain, all[3], all[3].Set(), &bad), ErrStateCert, "%s, bit %d", name, bit)
		}
	}
	for _, height := range []types.Height{0, 4, 6} {
		bad := *cert
		bad.Height = height
		require.ErrorIs(t, VerifyStateCert(testChain, all[3], all[3].Set(), &bad), ErrStateCert)
	}
}
