package consensus

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/fec"
)

// signedSet is a validator's statement about the first set of a proposal in a view.
func signedSet(t *testing.T, c *Committee, domain hash.Hash, view uint64, payload string) fec.Signed {
	codes := fec.NewCodes()
	var out fec.Signed
	encoder, err := fec.NewEncoder(fec.EncoderConfig{
		Chain: domain, Sender: 7, Shape: fec.Shape{Data: 2, Parity: 2}, Codes: codes,
		Sign: func(m []byte) ([]byte, error) { return c.SignBlock(hash.Hash(m)) },
	})
	require.NoError(t, err)
	require.NoError(t, encoder.Cut(fec.Stream{Channel: 1, Sender: 7, Slot: view}, fec.Plain, []byte(payload), func(s *fec.Set) error {
		shred, err := fec.Parse(s.Shreds[0])
		out = fec.Signed{Statement: s.Statement, Signature: append([]byte{}, shred.Signature()...)}
		return err
	}))
	return out
}

func TestTwoSetsAtOnePlaceAreAnOffence(t *testing.T) {
	all := committees(t)
	authority := &Authority{Chain: testChain, Validators: all[0].Set(), Scheme: all[0]}
	domain := authority.Domain()
	one, two := signedSet(t, all[2], domain, 5, "one"), signedSet(t, all[2], domain, 5, "two")
	for _, e := range []fec.Equivocation{{One: one, Two: two}, {One: two, Two: one}} {
		ev := EvidenceOfSets(0, 2, &e)
		place, err := authority.CheckEvidence(&ev)
		require.NoError(t, err)
		require.EqualValues(t, 5, place)
	}
	for name, c := range map[string]struct {
		culprit types.ValidatorIndex
		one     fec.Signed
		two     fec.Signed
	}{
		"of somebody else":       {1, one, two},
		"of two validators":      {2, one, signedSet(t, all[1], domain, 5, "two")},
		"of another network":     {2, one, signedSet(t, all[2], hash.Sum("elsewhere"), 5, "two")},
		"of two views":           {2, one, signedSet(t, all[2], domain, 6, "two")},
		"the same one twice":     {2, one, one},
		"with a false signature": {2, one, fec.Signed{Statement: two.Statement, Signature: one.Signature}},
	} {
		ev := EvidenceOfSets(0, c.culprit, &fec.Equivocation{One: c.one, Two: c.two})
		_, err := authority.CheckEvidence(&ev)
		require.ErrorIs(t, err, types.ErrEvidence, name)
	}
	ev := EvidenceOfSets(0, 2, &fec.Equivocation{One: one, Two: two})
	ev.Second = ev.Second[:len(ev.Second)-1]
	_, err := authority.CheckEvidence(&ev)
	require.ErrorIs(t, err, types.ErrEvidence)
}
