package rpca

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

func list(n int, who ...int) bls.Bitmap {
	b := bls.NewBitmap(n)
	for _, i := range who {
		b.Set(i)
	}
	return b
}

func TestOverlapBelowNinetyPercentIsRefused(t *testing.T) {
	own := Everyone(10)
	less := func(drop int) TrustedList {
		b := bls.NewBitmap(20)
		for i := range 10 {
			if i >= drop {
				b.Set(i)
			} else {
				b.Set(10 + i)
			}
		}
		return TrustedList{Validator: types.ValidatorIndex(drop), Members: b}
	}
	require.NoError(t, CheckOverlap(own, []TrustedList{less(0), less(1)}))
	err := CheckOverlap(own, []TrustedList{less(3), less(1), less(2)})
	var short *OverlapError
	require.ErrorAs(t, err, &short)
	require.ErrorIs(t, err, ErrOverlap)
	require.Equal(t, []Overlap{{2, 8, 10}, {3, 7, 10}}, short.Short)
	require.ErrorContains(t, err, "validator 2 (8 of 10), validator 3 (7 of 10)")
	require.Error(t, CheckOverlap(list(10, 0, 1, 2, 3), []TrustedList{{Members: list(10, 0, 1, 2, 3, 4)}}), "a longer list counts as long as it is")
	require.NoError(t, CheckOverlap(own, nil))
}

func TestOverlapIsSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) bls.Bitmap {
			return list(30, rapid.SliceOfN(rapid.IntRange(0, 29), 1, 30).Draw(t, name)...)
		}
		a, b := draw("a"), draw("b")
		require.Equal(t, OverlapOf(a, TrustedList{Members: b}), OverlapOf(b, TrustedList{Members: a}))
		require.True(t, OverlapOf(a, TrustedList{Members: a}).Enough())
	})
}

func TestSetIsNamedByEveryByteOfItsTransactions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		txs := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Byte(), 1, 8), 0, 8, func(b []byte) string { return string(b) }).Draw(t, "txs")
		s := NewTxSet(txs)
		shuffled := rapid.Permutation(txs).Draw(t, "shuffled")
		require.Equal(t, s.ID(), NewTxSet(append(shuffled, txs...)).ID())
		data, err := s.Encode()
		require.NoError(t, err)
		back, err := DecodeTxSet(data, len(data))
		require.NoError(t, err)
		require.Equal(t, s, back)
		_, err = DecodeTxSet(data, len(data)-1)
		require.ErrorIs(t, err, ErrMessage)
		if len(txs) > 0 {
			require.NotEqual(t, s.ID(), NewTxSet(txs[1:]).ID())
		}
	})
}

func TestSetsHaveOneEncoding(t *testing.T) {
	s := NewTxSet(raw("a", "b", "c"))
	for name, txs := range map[string][][]byte{
		"another order": {s.txs[1], s.txs[0], s.txs[2]},
		"a double":      {s.txs[0], s.txs[0], s.txs[1]},
		"an empty one":  {{}},
		"nothing":       nil,
	} {
		_, err := DecodeTxSet(canon.MustMarshal(txs), 1000)
		require.ErrorIs(t, err, ErrMessage, name)
	}
}

func TestSignedMessagesDifferInEveryField(t *testing.T) {
	p := Position{Parent: hash.Sum("p"), Height: 2, Seq: 3, Set: hash.Sum("s"), Close: 4}
	v := Validation{Height: 2, Block: hash.Sum("p"), Full: true}
	seen := map[hash.Hash]string{}
	for name, m := range map[string]hash.Hash{
		"position": p.Message(testChain), "other chain": p.Message(hash.Sum("x")),
		"parent":     Position{Height: 2, Seq: 3, Set: p.Set, Close: 4}.Message(testChain),
		"height":     Position{Parent: p.Parent, Height: 3, Seq: 3, Set: p.Set, Close: 4}.Message(testChain),
		"seq":        Position{Parent: p.Parent, Height: 2, Seq: 4, Set: p.Set, Close: 4}.Message(testChain),
		"set":        Position{Parent: p.Parent, Height: 2, Seq: 3, Close: 4}.Message(testChain),
		"close":      Position{Parent: p.Parent, Height: 2, Seq: 3, Set: p.Set}.Message(testChain),
		"validation": v.Message(testChain), "of another chain": v.Message(hash.Sum("x")),
		"of another height": Validation{Height: 3, Block: v.Block, Full: true}.Message(testChain),
		"of another block":  Validation{Height: 2, Full: true}.Message(testChain),
		"partial":           Validation{Height: 2, Block: v.Block, Seq: 1}.Message(testChain),
		"partial, later":    Validation{Height: 2, Block: v.Block, Seq: 2}.Message(testChain),
		"list":              TrustedList{Version: 2, Members: list(8, 1)}.Message(testChain),
		"another list":      TrustedList{Version: 2, Members: list(8, 2)}.Message(testChain),
		"vote":              types.VoteMessage(testChain, 2, v.Block),
	} {
		require.Empty(t, seen[m], name)
		seen[m] = name
	}
}

func FuzzDecodePosition(f *testing.F) {
	data, _ := Position{Height: 1, Seq: 2, Close: 3, Signature: []byte{1}}.Encode()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := DecodePosition(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMessage)
			return
		}
		again, err := p.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzDecodeValidation(f *testing.F) {
	for _, v := range []Validation{{Height: 1, Full: true}, {Height: 1, Seq: 1}, {Height: 1}, {Height: 1, Full: true, Seq: 1}} {
		data, _ := v.Encode()
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := DecodeValidation(data)
		if err != nil {
			require.ErrorIs(t, err, ErrMessage)
			return
		}
		require.Equal(t, v.Full, v.Seq == 0)
		again, err := v.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzDecodeTxSet(f *testing.F) {
	data, _ := NewTxSet(raw("a", "b")).Encode()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeTxSet(data, 1<<12)
		if err != nil {
			require.ErrorIs(t, err, ErrMessage)
			return
		}
		again, err := s.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzDecodeTrustedList(f *testing.F) {
	data, _ := TrustedList{Version: 1, Members: list(9, 1, 8), Signature: []byte{1}}.Encode()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := DecodeTrustedList(data, 9)
		if err != nil {
			require.ErrorIs(t, err, ErrMessage)
			return
		}
		require.Positive(t, l.Members.Count())
		again, err := l.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func FuzzDecodeRecord(f *testing.F) {
	block, err := types.NewBlock(types.BlockHeader{Height: 1, Justify: types.GenesisQC(testChain)}, nil, func(hash.Hash) ([]byte, error) { return nil, nil })
	require.NoError(f, err)
	for _, r := range []Record{
		{Position: &Position{Height: 1}},
		{Validation: &Validation{Height: 1, Block: block.Hash(), Full: true}, Block: block},
		{Validation: &Validation{Height: 1, Seq: 1}},
		{Validation: &Validation{Height: 1, Full: true}, Block: block},
		{},
	} {
		data, err := r.Encode()
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRecord(data)
		if err != nil {
			require.ErrorIs(t, err, ErrRecord)
			return
		}
		_ = r.Height()
		again, err := r.Encode()
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}
