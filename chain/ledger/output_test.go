package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/stealth"
)

func anOutput() *Output {
	return &Output{
		Height: 77, Context: hash.Hash{1}, Number: 3, Ephemeral: curve.Generator, Key: curve.BaseMulVarTime(curve.ScalarOf(2)),
		Commitment: curve.BaseMulVarTime(curve.ScalarOf(3)), Tag: 9, Sealed: make([]byte, stealth.SealedSize), Images: []curve.Point{curve.Generator},
	}
}

// What is decoded is encoded to the same bytes again, and a wallet's quick look sees the same as
// all of it.
func FuzzDecodeOutput(f *testing.F) {
	f.Add(canon.MustMarshal(anOutput()))
	f.Add([]byte{})
	f.Add([]byte{0x89, 0x00})
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := DecodeOutput(raw)
		if err != nil {
			require.ErrorIs(t, err, ErrEncoding)
			_, _ = DecodeSighting(raw)
			return
		}
		require.Equal(t, raw, canon.MustMarshal(o))
		s, err := DecodeSighting(raw)
		require.NoError(t, err)
		out, at := o.Stealth()
		require.Equal(t, stealth.Candidate{Place: at, Ephemeral: out.Ephemeral.Bytes(), Tag: out.Tag}, s.Candidate)
		require.Equal(t, o.Height, s.Height)
		require.Len(t, s.Images, len(o.Images))
		for i, image := range o.Images {
			enc := image.Bytes()
			require.Equal(t, enc[:], s.Images[i])
		}
	})
}
