package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
)

// The table is the specification of published data.
func TestDataCostsItsSizeAndChangesNothingElse(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int
		balance types.Drops
		fee     types.Drops
		want    Code
	}{
		{"one byte costs two units", 1, 10_000, 20, Applied},
		{"not one", 1, 10_000, 19, FeeTooLow},
		{"a whole KiB costs the same", 1024, 10_000, 20, Applied},
		{"a byte more costs another", 1025, 10_000, 29, FeeTooLow},
		{"and with it is taken", 1025, 10_000, 30, Applied},
		{"the most", types.MaxContent, 10_000, 570, Applied},
		{"the fee may be the last drop", 1, 20, 20, Applied},
		{"but must be there", 1, 19, 20, CannotPayFee},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(t, map[string]types.Drops{"alice": c.balance, "bob": 5000})
			h := types.Header{Chain: n.ledger.Chain(), Key: typedKey("alice"), Fee: c.fee, Expiry: 50}
			tx, err := types.SignTx(h, &types.Data{Content: make([]byte, c.size)}, anySignature{})
			require.NoError(t, err)
			r := n.run(tx)
			require.Equal(t, c.want, r.Receipts[0].Code)
			paid := types.Drops(0)
			if c.want == Applied {
				paid = c.fee
			}
			require.Equal(t, c.balance-paid, n.balance("alice"))
			require.EqualValues(t, 5000, n.balance("bob"))
			require.Empty(t, r.Defects)
		})
	}
}

func TestDataOfABadSizeIsRefused(t *testing.T) {
	for _, size := range []int{0, types.MaxContent + 1} {
		_, err := types.SignTx(types.Header{Key: typedKey("alice")}, &types.Data{Content: make([]byte, size)}, anySignature{})
		require.ErrorIs(t, err, types.ErrTx)
	}
	dear := types.Params{MinFee: types.MaxSupply / 2}
	require.Equal(t, types.MaxSupply, dear.LeastFee(&types.Data{Content: make([]byte, 5000)}, nil))
}
