package ledger

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
)

// broken is a transactor with a bug.
type broken func(v *view, tx *types.Tx)

func (b broken) apply(v *view, tx *types.Tx) Code {
	b(v, tx)
	return Applied
}

func (broken) outlay(*types.Tx, types.Drops) types.Drops { return 0 }

func change(v *view, name string, f func(*Account)) {
	a, _ := v.account(address(name))
	f(&a)
	v.setAccount(address(name), a)
}

// Each bug breaks one law; the law must speak, the body must be undone, and the
// fee must be all that is taken.
func TestBrokenInvariantCostsOnlyTheFee(t *testing.T) {
	for _, c := range []struct {
		name, says string
		to         string
		bug        broken
	}{
		{"coins out of nothing", "coins: accounts and stakes held", "bob", func(v *view, _ *types.Tx) {
			change(v, "bob", func(a *Account) { a.Balance++ })
		}},
		{"coins lost", "coins: accounts and stakes held", "bob", func(v *view, _ *types.Tx) {
			change(v, "alice", func(a *Account) { a.Balance-- })
		}},
		{"a sum that wraps around", "coins: accounts and stakes held", "bob", func(v *view, _ *types.Tx) {
			change(v, "alice", func(a *Account) { a.Balance -= 1 << 63 })
			change(v, "bob", func(a *Account) { a.Balance -= 1 << 63 })
		}},
		{"more burned than the fee", "fee: charged", "bob", func(v *view, _ *types.Tx) {
			change(v, "alice", func(a *Account) { a.Balance -= 5 })
			v.burn(5)
		}},
		{"fee given back", "fee: charged", "bob", func(v *view, tx *types.Tx) {
			change(v, "alice", func(a *Account) { a.Balance += tx.Fee })
			v.fee, v.burned = 0, 0
		}},
		{"more than declared", "fee: charged", "bob", func(v *view, tx *types.Tx) {
			change(v, "alice", func(a *Account) { a.Balance-- })
			v.fee++
			v.burn(1)
		}},
		{"more than there is", "of a supply of", "bob", func(v *view, _ *types.Tx) {
			change(v, "bob", func(a *Account) { a.Balance = 1 << 61 })
		}},
		{"a sequence that jumps", "sequence:", "bob", func(v *view, _ *types.Tx) {
			change(v, "alice", func(a *Account) { a.Sequence++ })
		}},
		{"a sequence that stays", "sequence:", "bob", func(v *view, _ *types.Tx) {
			change(v, "alice", func(a *Account) { a.Sequence-- })
		}},
		{"somebody else's sequence", "sequence:", "bob", func(v *view, _ *types.Tx) {
			change(v, "bob", func(a *Account) { a.Sequence++ })
		}},
		{"an account below the reserve", "less than the reserve", "carol", func(v *view, _ *types.Tx) {
			change(v, "alice", func(a *Account) { a.Balance -= 5 })
			change(v, "carol", func(a *Account) { a.Balance += 5 })
		}},
		{"an account that vanishes", "vanished", "bob", func(v *view, _ *types.Tx) {
			v.put(types.AccountKey(address("bob")), nil)
		}},
		{"money taken from somebody else", "did not sign", "bob", func(v *view, _ *types.Tx) {
			change(v, "alice", func(a *Account) { a.Balance += 100 })
			change(v, "bob", func(a *Account) { a.Balance -= 100 })
		}},
		{"an empty entry where there was none", "malformed", "carol", func(v *view, _ *types.Tx) {
			v.put(types.AccountKey(address("carol")), []byte{})
		}},
		{"an entry that does not decode", "malformed", "bob", func(v *view, _ *types.Tx) {
			v.put(types.AccountKey(address("bob")), []byte{1, 2, 3})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
			n.ledger.transactors[types.KindPayment] = c.bug
			r := n.run(n.pay("alice", c.to, 100))
			require.Equal(t, InvariantBroken, r.Receipts[0].Code)
			require.Equal(t, testMinFee, r.Receipts[0].Fee)
			require.Len(t, r.Defects, 1)
			require.ErrorIs(t, r.Defects[0].Err, ErrInvariant)
			require.ErrorContains(t, r.Defects[0].Err, c.says)
			require.EqualValues(t, 9990, n.balance("alice"))
			require.EqualValues(t, 5000, n.balance("bob"))
			require.Zero(t, n.balance("carol"))
		})
	}
}

// meddler declares and touches a key that belongs to no transaction.
type meddler struct{ types.Payment }

func (*meddler) Access() types.Access { return types.Access{Writes: [][]byte{supplyKey}} }

func TestTotalsAreOutOfReachOfTransactions(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
	for _, bug := range []broken{
		func(v *view, _ *types.Tx) { v.put(supplyKey, encodeDrops(1)) },
		func(v *view, _ *types.Tx) { v.get(supplyKey) },
	} {
		n.ledger.transactors[types.KindPayment] = bug
		tx := n.pay("alice", "bob", 100)
		tx.Body = &meddler{}
		r := n.run(tx)
		require.Equal(t, InvariantBroken, r.Receipts[0].Code)
		require.ErrorContains(t, r.Defects[0].Err, "no type that transactions may touch")
	}
}

func TestNothingIsAppliedIfTheFeeAloneBreaksAnInvariant(t *testing.T) {
	for _, amount := range []types.Drops{100, 1 << 40} { // applied otherwise; underfunded otherwise
		n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
		n.ledger.charge = func(v *view, tx *types.Tx) {
			chargeFee(v, tx)
			change(v, "alice", func(a *Account) { a.Balance += 1 })
		}
		before := n.snapshot()
		r := n.run(n.pay("alice", "bob", amount))
		require.Equal(t, FeeInvariantBroken, r.Receipts[0].Code)
		require.Zero(t, r.Receipts[0].Fee)
		require.NotEmpty(t, r.Defects)
		require.Equal(t, before, n.state)
	}
}

func TestAccountsAppearOnlyByPayment(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000})
	law := accountsFunded{reserve: 5}
	law.visit(types.AccountKey(address("carol")), nil, Account{Balance: 5}.Encode())
	tx := n.pay("alice", "carol", 5)
	require.NoError(t, law.finish(tx, outcome{code: Applied}))
	require.Error(t, law.finish(tx, outcome{code: Underfunded}), "an account made by a payment that was not applied")
	law.visit(types.AccountKey(address("dave")), nil, Account{Balance: 5}.Encode())
	require.Error(t, law.finish(tx, outcome{code: Applied}), "two accounts made by one payment")
}
