package wallet

import (
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/node/api"
)

func pay(to types.Address, amount types.Drops) *types.Payment {
	return &types.Payment{To: to, Amount: amount}
}

func TestPaymentArrives(t *testing.T) {
	chain, node := network(t)
	alice, bob := key(t, "alice"), address(key(t, "bob"))
	tx, err := NewSender(node, chain.Genesis().ChainID(), "").Send(t.Context(), alice, Order{Body: pay(bob, 12_500_000), Memo: "lunch"}, true)
	require.NoError(t, err)
	require.True(t, *tx.Success)
	require.Equal(t, "lunch", tx.Memo)
	require.Equal(t, "10", tx.FeeDrops)
	require.EqualValues(t, DefaultExpiry, tx.Expiry)

	account, err := node.Balance(t.Context(), bob.Format("tst"))
	require.NoError(t, err)
	require.Equal(t, "12.5", account.Balance)
	account, err = node.Balance(t.Context(), address(alice).Format("tst"))
	require.NoError(t, err)
	require.Equal(t, "987.49999", account.Balance)
	require.EqualValues(t, 1, account.NextSequence)
}

func TestSignatureVerifiesUnderTheSendersKey(t *testing.T) {
	_, node := network(t)
	alice := key(t, "alice")
	tx, err := NewSender(node, hash.Hash{}, "").Build(t.Context(), alice, Order{Body: pay(address(key(t, "bob")), 1_000_000), Fee: 55, Expiry: 7})
	require.NoError(t, err)
	id := tx.ID()
	require.True(t, alice.Public().Verify(id[:], tx.Signature))
	require.Equal(t, types.Drops(55), tx.Fee)
	require.Equal(t, types.Height(7), tx.Expiry)
}

func TestWaitingPaymentsAreCountedInTheSequence(t *testing.T) {
	chain, node := network(t)
	chain.Hold()
	s := NewSender(node, hash.Hash{}, "")
	for i := range uint64(3) {
		tx, err := s.Send(t.Context(), key(t, "alice"), Pay(address(key(t, "bob")), 1_000_000), false)
		require.NoError(t, err)
		require.Equal(t, api.TxPending, tx.Status)
		require.Equal(t, i, tx.Sequence)
	}
}

func TestConcurrentPaymentsFromOneAccountAllArrive(t *testing.T) {
	for name, c := range map[string]struct {
		lock string
		memo func(int) string
	}{
		"equal ones under one lock":     {filepath.Join(t.TempDir(), "alice.lock"), func(int) string { return "" }},
		"different ones without a lock": {"", strconv.Itoa},
	} {
		t.Run(name, func(t *testing.T) {
			_, node := network(t)
			alice, bob := key(t, "alice"), address(key(t, "bob"))
			senders := []*Sender{NewSender(node, hash.Hash{}, c.lock), NewSender(node, hash.Hash{}, c.lock)} // as two programs
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					tx, err := senders[i%2].Send(t.Context(), alice, Order{Body: pay(bob, 1_000_000), Memo: c.memo(i)}, true)
					if err != nil || !*tx.Success {
						t.Errorf("payment: %v %+v", err, tx)
					}
				})
			}
			wg.Wait()
			account, err := node.Balance(t.Context(), bob.Format("tst"))
			require.NoError(t, err)
			require.Equal(t, "20", account.Balance)
		})
	}
}

func TestHopelessPaymentIsNotSent(t *testing.T) {
	_, node := network(t)
	alice, bob := key(t, "alice"), address(key(t, "bob"))
	s := NewSender(node, hash.Hash{}, "")
	for name, c := range map[string]struct {
		from string
		o    Order
		want string
	}{
		"more than there is":  {"alice", Pay(bob, 1_000_000_001), "at most 999 can go"},
		"into the reserve":    {"alice", Pay(bob, 999_000_001), "at most 999 can go"},
		"from nothing":        {"bob", Pay(address(alice), 1), "holds nothing yet"},
		"to itself":           {"alice", Pay(address(alice), 1), "pay itself"},
		"less than a new one": {"alice", Pay(bob, 999_999), "reserve of 1 coins"},
		"memo of a book":      {"alice", Order{Body: pay(bob, 1_000_000), Memo: strings.Repeat("x", 257)}, "257 bytes"},
	} {
		_, err := s.Send(t.Context(), key(t, c.from), c.o, true)
		require.ErrorIs(t, err, ErrRefused, name)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := s.Send(t.Context(), alice, Pay(bob, 999_000_000), true)
	require.NoError(t, err, "all but the reserve")
}

func TestForeignNetworkGetsNoSignature(t *testing.T) {
	_, node := network(t)
	_, err := NewSender(node, hash.Sum("another"), "").Build(t.Context(), key(t, "alice"), Pay(address(key(t, "bob")), 1_000_000))
	require.ErrorIs(t, err, ErrChain)
}
