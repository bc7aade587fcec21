package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/poh"
	"github.com/starlingmesh/starling/node/api"
)

func TestHistoryOfABlockIsComputedAnew(t *testing.T) {
	var b api.Block
	for _, lane := range []string{"ada", "bob"} {
		c := poh.New(hash.Sum(lane))
		for h := range uint64(3) {
			from := c
			root := hash.Sum(lane, []byte{byte(h)})
			c.Tick(10 * h)
			c.Mix(root)
			b.Batches = append(b.Batches, api.Batch{
				Lane: lane, Height: h + 1, FromTicks: from.Ticks, FromHistory: from.Value, TxRoot: root, Ticks: c.Ticks, History: c.Value,
			})
		}
	}
	v, err := verifyHistory(b)
	require.NoError(t, err)
	require.EqualValues(t, 2*33, v.Hashes)
	b.Batches[4].TxRoot[0]++
	_, err = verifyHistory(b)
	require.ErrorIs(t, err, poh.ErrHistory)
	b.Batches[0].FromTicks, b.Batches[0].FromHistory = 0, hash.Hash{}
	_, err = verifyHistory(b)
	require.ErrorContains(t, err, "no longer kept")
}
