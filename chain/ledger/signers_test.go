package ledger

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
)

// seededKey is a key that can be one: the ledger parses those that are to sign.
func seededKey(t testing.TB, n byte) []byte {
	key, err := keys.FromSeed(keys.Ed25519, bytes.Repeat([]byte{n}, 32))
	require.NoError(t, err)
	return key.Public().Bytes()
}

func multiKey(t testing.TB, threshold int, members ...byte) []byte {
	var all []keys.PublicKey
	for _, m := range members {
		key, err := keys.ParsePublicKey(seededKey(t, m))
		require.NoError(t, err)
		all = append(all, key)
	}
	multi, err := keys.NewMulti(threshold, all...)
	require.NoError(t, err)
	return multi.Bytes()
}

// setSigners makes the transaction of an account that names a key.
func (n *testNet) setSigners(of string, key []byte, change ...func(*types.Header)) *types.Tx {
	h := n.pay(of, "nobody", 1, change...).Header
	tx, err := types.SignTx(h, &types.SetSigners{Key: key}, anySignature{})
	require.NoError(n.t, err)
	return tx
}

// by has a key sign for another's account.
func by(of string, key []byte) func(*types.Header) {
	return func(h *types.Header) {
		h.Key = key
		if h.Account = address(of); types.AddressOf(key) == h.Account {
			h.Account = types.Address{}
		}
	}
}

func (n *testNet) code(tx *types.Tx) Code { return n.run(tx).Receipts[0].Code }

func TestSignersAreChangedAndTheAddressStays(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000, "bob": 5000})
	first, board := seededKey(t, 1), multiKey(t, 2, 1, 2, 3)

	require.Equal(t, NotSigner, n.code(n.pay("alice", "bob", 10, by("alice", first))), "before she says so")
	require.Equal(t, Applied, n.code(n.setSigners("alice", first)))
	require.Equal(t, NotSigner, n.code(n.pay("alice", "bob", 10)), "her own key signs no more")
	require.Equal(t, Applied, n.code(n.pay("alice", "bob", 10, by("alice", first))))
	key, err := ReadSigners(n.state, address("alice"))
	require.NoError(t, err)
	require.Equal(t, first, key.Bytes())

	require.Equal(t, NotSigner, n.code(n.setSigners("alice", board)))
	require.Equal(t, Applied, n.code(n.setSigners("alice", board, by("alice", first))))
	require.Equal(t, NotSigner, n.code(n.pay("alice", "bob", 10, by("alice", first), fee(20))), "a member alone")
	require.Equal(t, FeeTooLow, n.code(n.pay("alice", "bob", 10, by("alice", board))), "two signatures, two fees")
	require.Equal(t, Applied, n.code(n.pay("alice", "bob", 10, by("alice", board), fee(20))))
	require.EqualValues(t, 5020, n.balance("bob"))
}

// An account whose own key is that of a group, as it was funded.
func TestAGroupHasAnAccountOfItsOwn(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000, "bob": 5000})
	board := multiKey(t, 2, 1, 2, 3)
	own := types.AddressOf(board)
	h := types.Header{Chain: n.ledger.Chain(), Key: typedKey("alice"), Fee: testMinFee, Expiry: 50}
	tx, err := types.SignTx(h, &types.Payment{To: own, Amount: 50_000}, anySignature{})
	require.NoError(t, err)
	require.Equal(t, Applied, n.code(tx))

	act := func(h types.Header, body types.Body) Code {
		h.Chain, h.Expiry, h.Fee = n.ledger.Chain(), 50, 2*testMinFee
		tx, err := types.SignTx(h, body, anySignature{})
		require.NoError(t, err)
		require.Equal(t, own, tx.Sender())
		return n.code(tx)
	}
	pay, single := &types.Payment{To: address("bob"), Amount: 500}, seededKey(t, 4)
	require.Equal(t, Applied, act(types.Header{Key: board}, pay))
	require.Equal(t, Applied, act(types.Header{Key: board, Sequence: 1}, &types.SetSigners{Key: single}))
	require.Equal(t, Applied, act(types.Header{Key: single, Account: own, Sequence: 2}, pay))
	require.Equal(t, Applied, act(types.Header{Key: single, Account: own, Sequence: 3}, &types.SetSigners{Key: board}), "back to its own")
	require.NotContains(t, n.state, string(types.SignersKey(own)))
	require.Equal(t, Applied, act(types.Header{Key: board, Sequence: 4}, pay))
	require.EqualValues(t, 6500, n.balance("bob"))
}

func TestSignersThatSignAlreadyCostTheFee(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000})
	first := seededKey(t, 1)
	require.Equal(t, Applied, n.code(n.setSigners("alice", first)))
	require.Equal(t, SameSigners, n.code(n.setSigners("alice", first, by("alice", first))))
	require.EqualValues(t, 99_980, n.balance("alice"))
}

func TestSignersWithoutAPossibleKeyCostTheFee(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000})
	looksLikeOne := append([]byte{byte(keys.Secp256k1)}, bytes.Repeat([]byte{9}, 33)...)
	require.Equal(t, BadKey, n.code(n.setSigners("alice", looksLikeOne)))
	require.Equal(t, Applied, n.code(n.pay("alice", "bob", 2000)))
}

// What a group decides for one of its accounts is nothing to the other.
func TestAKeyOfTwoAccountsSaysForWhich(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000, "bob": 50_000, "carol": 1000})
	shared := seededKey(t, 1)
	require.Equal(t, Applied, n.code(n.setSigners("alice", shared)))
	require.Equal(t, Applied, n.code(n.setSigners("bob", shared)))
	tx := n.pay("alice", "carol", 500, by("alice", shared))
	require.Equal(t, Applied, n.code(tx))
	require.Equal(t, SequencePast, n.code(tx))
	require.EqualValues(t, 49_990, n.balance("bob"))
	require.NotEqual(t, tx.ID(), n.pay("bob", "carol", 500, by("bob", shared)).ID())
}

func TestOldSignersMayNotSlipInBehindTheChange(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000, "bob": 5000})
	first := seededKey(t, 1)
	r := n.run(n.setSigners("alice", first), n.pay("alice", "bob", 10, sequence(1)), n.pay("alice", "bob", 10, sequence(1), by("alice", first)))
	require.Equal(t, []Code{Applied, NotSigner, Applied}, []Code{r.Receipts[0].Code, r.Receipts[1].Code, r.Receipts[2].Code})
}

func TestCheckRefusesAStranger(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000})
	account, err := ReadAccount(n.state, address("alice"))
	require.NoError(t, err)
	require.ErrorIs(t, n.ledger.Check(n.pay("alice", "bob", 2000, by("alice", seededKey(t, 1))), account, 0), ErrNotSigner)
}

func TestSignersAreOutOfReachOfOtherTransactions(t *testing.T) {
	for name, bug := range map[string]broken{
		"the sender's, unasked":   func(v *view, _ *types.Tx) { change(v, "alice", func(a *Account) { a.Signer[0] = 1 }) },
		"somebody else's":         func(v *view, _ *types.Tx) { change(v, "bob", func(a *Account) { a.Signer[0] = 1 }) },
		"a key beside an account": func(v *view, tx *types.Tx) { v.put(types.SignersKey(tx.Sender()), seededKey(t, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
			n.ledger.transactors[types.KindPayment] = bug
			tx := n.pay("alice", "bob", 100)
			tx.Body = &signing{*tx.Body.(*types.Payment)}
			r := n.run(tx)
			require.Equal(t, InvariantBroken, r.Receipts[0].Code)
			require.ErrorContains(t, r.Defects[0].Err, "signers:")
		})
	}
}

// signing is a payment that declares the sender's signers.
type signing struct{ types.Payment }

func (s *signing) Access() types.Access {
	a := s.Payment.Access()
	a.Signers = true
	return a
}

func TestSettingSignersDoesWhatItSays(t *testing.T) {
	first, second := seededKey(t, 1), seededKey(t, 2)
	for name, bug := range map[string]broken{
		"nothing":             func(*view, *types.Tx) {},
		"only the account":    func(v *view, _ *types.Tx) { change(v, "alice", func(a *Account) { a.Signer = types.AddressOf(first) }) },
		"only the key":        func(v *view, tx *types.Tx) { v.put(types.SignersKey(tx.Sender()), first) },
		"another for account": func(v *view, tx *types.Tx) { setBoth(v, tx, types.AddressOf(second), first) },
		"another key":         func(v *view, tx *types.Tx) { setBoth(v, tx, types.AddressOf(first), second) },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, map[string]types.Drops{"alice": 10_000})
			n.ledger.transactors[types.KindSetSigners] = bug
			r := n.run(n.setSigners("alice", first))
			require.Equal(t, InvariantBroken, r.Receipts[0].Code)
			require.ErrorContains(t, r.Defects[0].Err, "did not get the key")
		})
	}
}

func setBoth(v *view, tx *types.Tx, signer types.Address, key []byte) {
	change(v, "alice", func(a *Account) { a.Signer = signer })
	v.put(types.SignersKey(tx.Sender()), key)
}

func TestTheAuditComparesSignersWithTheirKeys(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000})
	require.Equal(t, Applied, n.code(n.setSigners("alice", seededKey(t, 1))))
	key := string(types.SignersKey(address("alice")))
	for name, spoil := range map[string]func(memory){
		"no key beside the account":      func(m memory) { delete(m, key) },
		"another key beside it":          func(m memory) { m[key] = seededKey(t, 2) },
		"a key where none was asked for": func(m memory) { m[string(types.SignersKey(address("bob")))] = seededKey(t, 2) },
		"no key at all":                  func(m memory) { m[key] = []byte{9} },
	} {
		t.Run(name, func(t *testing.T) {
			bad := n.snapshot()
			spoil(bad)
			_, err := n.ledger.Audit(bad.all)
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
	_, err := ReadSigners(memory{key: {9}}, address("alice"))
	require.ErrorIs(t, err, ErrCorrupt)
}
