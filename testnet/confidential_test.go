package testnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keystore"
	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
	"github.com/starlingmesh/starling/node/wallet/private"
)

// holder is a person with a wallet of words, who asks a node of their own.
type holder struct {
	*private.Wallet
	account wallet.Account
	words   string
	node    *client.Client
}

func (l *lab) client(i int) *client.Client {
	c, err := client.New("http://" + l.nodes[i].APIAddr())
	require.NoError(l, err)
	l.Cleanup(c.Close)
	return c
}

// restore makes a wallet in a folder of its own, of words, or of new ones if there are none.
func (l *lab) restore(words string, node int) *holder {
	l.Helper()
	dir, secret := l.TempDir(), []byte("secret")
	w := wallet.Open(dir, keystore.Params{MemoryKiB: 8, Passes: 1, Lanes: 1})
	h := &holder{words: words, node: l.client(node)}
	var err error
	if words == "" {
		h.account, h.words, err = w.NewWords("me", 12, secret)
	} else {
		h.account, err = w.ImportWords("me", words, secret)
	}
	require.NoError(l, err)
	keys, proofs, err := w.Private("me", secret)
	require.NoError(l, err)
	h.Wallet, err = private.Open(l.Context(), filepath.Join(dir, "coins"), keys.ViewKeys, keys, proofs)
	require.NoError(l, err)
	l.Cleanup(func() { require.NoError(l, h.Close()) })
	return h
}

// sees waits until the holder's node shows an amount that may be spent.
func (l *lab) sees(h *holder, ready types.Drops) {
	l.Helper()
	var b private.Balance
	require.Eventually(l, func() bool {
		require.NoError(l, h.Scan(l.Context(), h.node, nil))
		b = h.Balance()
		return b.Ready == ready
	}, 40*time.Second, 20*time.Millisecond, "it never shows %s", ready)
	require.Equal(l, ready, b.Total)
}

// shield has an account of the genesis shield coins for a holder.
func (l *lab) shield(a Account, h *holder, amount types.Drops) {
	l.Helper()
	key, err := a.Key()
	require.NoError(l, err)
	tx, err := wallet.NewSender(h.node, hash.Hash{}, "").Send(l.Context(), key, wallet.Order{Body: private.Like(amount, 0), Make: h.Shield(amount)}, true)
	require.NoError(l, err)
	require.True(l, *tx.Success, tx.Code)
}

func feeOf(t *testing.T, tx api.Tx) types.Drops {
	t.Helper()
	require.True(t, *tx.Success, tx.Code)
	fee, err := types.ParseDrops(tx.Fee)
	require.NoError(t, err)
	return fee
}

// transactions are those of all blocks, as a node has them on disk, and the blocks themselves.
func (l *lab) transactions(node int) (txs []*types.Tx, all [][]byte) {
	tip, _ := l.nodes[node].Executed()
	for h := types.Height(1); h <= tip; h++ {
		rec, err := l.nodes[node].Backend().Block(l.Context(), api.BlockRef{Height: h})
		require.NoError(l, err)
		all = append(all, rec.Block.Raw())
		for _, raw := range rec.Txs {
			tx, err := types.DecodeTx(raw)
			require.NoError(l, err)
			txs, all = append(txs, tx), append(all, raw)
		}
	}
	return txs, all
}

// root is that of a node's state after a block.
func (l *lab) root(node int, height types.Height) hash.Hash {
	rec, err := l.nodes[node].Backend().Block(l.Context(), api.BlockRef{Height: height})
	require.NoError(l, err)
	require.NotZero(l, rec.StateRoot)
	return rec.StateRoot
}

// forms are how a number may be written.
func forms(d types.Drops) (out [][]byte) {
	out = append(out, binary.BigEndian.AppendUint64(nil, uint64(d)), binary.LittleEndian.AppendUint64(nil, uint64(d)),
		binary.BigEndian.AppendUint32(nil, uint32(d)), binary.LittleEndian.AppendUint32(nil, uint32(d)))
	return append(out, fmt.Append(nil, uint64(d)), []byte(d.String()))
}

// Coins are shielded, change hands three times between people who never had an account, and come
// out again, on a network of four nodes; nothing in any block tells of it.
func TestCoinsChangeHandsUnseen(t *testing.T) {
	l := newLab(t, DefaultShape(4))
	for i := range l.members {
		l.members[i].config.Consensus.BlockInterval = 20 * time.Millisecond
		l.members[i].config.Consensus.EmptyBlockInterval = 50 * time.Millisecond // coins must age
		l.start(i)
	}
	l.reach(0, 1)
	const amount = types.Drops(31_415_926)
	rich, crowd := l.layout.People()[0], l.layout.Loaders()[:3]
	hops := []*holder{l.restore("", 0), l.restore("", 1), l.restore("", 2), l.restore("", 3)}
	others := l.restore("", 1)
	for i, a := range crowd {
		l.shield(a, others, types.Drops(11_111_111*(i+1)))
	}
	l.shield(rich, hops[0], amount) // last: when it may be spent, they may be among

	holds := amount
	paid := []types.Drops{27_182_818, 16_180_339, 14_142_135}
	for i, pays := range paid {
		from, to := hops[i], hops[i+1]
		l.sees(from, holds)
		payment := stealth.Payment{To: to.Address(uint32(i)), Amount: uint64(pays), Memo: fmt.Appendf(nil, "memo of hop %d", i)}
		tx, err := from.Send(t.Context(), from.node, private.Options{Ring: 6}, true, payment)
		require.NoError(t, err)
		fee := feeOf(t, tx)
		l.sees(from, holds-pays-fee)
		l.sees(to, pays)
		require.Equal(t, payment.Memo, to.Coins()[0].Memo)
		holds = pays
	}

	late := l.join("late") // a node that was not there catches up, and serves as any other
	l.start(late)
	height, _ := l.nodes[0].Executed()
	l.reach(late, height)
	require.Equal(t, l.root(0, height), l.root(late, height))
	second := l.restore(hops[3].words, late) // another device
	l.sees(second, holds)
	require.Equal(t, hops[3].Coins(), second.Coins())
	tx, err := second.Unshield(t.Context(), second.node, private.Options{}, true, private.Payout{To: second.account.Address(), Amount: 5_000_000})
	require.NoError(t, err)
	l.sees(hops[3], holds-5_000_000-feeOf(t, tx))
	account, err := hops[0].node.Balance(t.Context(), second.account.Address().Format(AddressPrefix))
	require.NoError(t, err)
	require.Equal(t, "5", account.Balance)

	txs, all := l.transactions(2)
	var hidden [][]byte
	for _, d := range paid {
		hidden = append(hidden, forms(d)...)
	}
	for i, h := range hops {
		hidden = append(hidden, fmt.Appendf(nil, "memo of hop %d", i))
		for n := range uint32(4) {
			spend, view := h.Address(n).Spend.Bytes(), h.Address(n).View.Bytes()
			hidden = append(hidden, spend[1:], view[1:])
		}
		if address := h.account.Address(); i < 3 { // the last was paid out to
			hidden = append(hidden, address[:])
		}
	}
	for _, secret := range hidden {
		for _, raw := range all {
			require.False(t, bytes.Contains(raw, secret), "%x stands in a block", secret)
		}
	}
	require.True(t, contains(all, forms(amount)[2]), "what was shielded is seen: the search finds things")
	unlinked(t, txs)
}

func contains(all [][]byte, what []byte) bool {
	for _, raw := range all {
		if bytes.Contains(raw, what) {
			return true
		}
	}
	return false
}

// unlinked sees that no transaction shows which output of the ones before it spends: each input
// names several, and neither the key nor the commitment of any output stands in a later one.
func unlinked(t *testing.T, txs []*types.Tx) {
	t.Helper()
	var keys [][]byte
	spends := 0
	for _, tx := range txs {
		if a, ok := tx.Body.(types.Anonymous); ok {
			spends++
			for _, in := range a.Spends() {
				require.GreaterOrEqual(t, len(in.Ring), 6)
			}
		}
		for _, key := range keys {
			require.False(t, bytes.Contains(tx.Raw(), key), "an output is named by its key or commitment")
		}
		if c, ok := tx.Body.(types.Confidential); ok {
			for i := range c.Creates() {
				key, commitment := c.Creates()[i].Key.Bytes(), c.Creates()[i].Commitment.Bytes()
				keys = append(keys, key[1:], commitment[1:])
			}
		}
	}
	require.Equal(t, 4, spends)
}
