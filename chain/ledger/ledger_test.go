package ledger

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
)

// The table is the specification of a payment.
func TestPaymentOutcome(t *testing.T) {
	for _, c := range []struct {
		name     string
		balance  types.Drops // of alice, the sender; bob holds 5000
		to       string
		amount   types.Drops
		change   func(*types.Header)
		want     Code
		burned   types.Drops
		received types.Drops
	}{
		{"a plain payment is applied", 10_000, "bob", 500, nil, Applied, 10, 500},
		{"one drop can be paid to an account that exists", 10_000, "bob", 1, nil, Applied, 10, 1},
		{"the declared fee is burned, not the least", 10_000, "bob", 500, fee(77), Applied, 77, 500},
		{"the fee may dig into the reserve", 1500, "bob", 500, nil, Applied, 10, 500},
		{"the amount may not", 1500, "bob", 501, nil, Underfunded, 10, 0},
		{"a fee above the reserve must be covered beside the amount", 3000, "bob", 1000, fee(2000), Applied, 2000, 1000},
		{"and is not if it is not", 3000, "bob", 1001, fee(2000), Underfunded, 2000, 0},
		{"an amount beyond the balance", 10_000, "bob", 20_000, nil, Underfunded, 10, 0},
		{"an amount beyond every balance", 10_000, "bob", types.MaxSupply, nil, Underfunded, 10, 0},
		{"the reserve creates an account", 10_000, "nobody", 1000, nil, Applied, 10, 1000},
		{"less does not", 10_000, "nobody", 999, nil, DestinationBelowReserve, 10, 0},
		{"to oneself", 10_000, "alice", 500, nil, SelfPayment, 10, 0},
		{"an account below the reserve pays its fee", 500, "bob", 1, nil, Underfunded, 10, 0},
		{"a balance of exactly the fee pays it", 10, "bob", 1, nil, Underfunded, 10, 0},
		{"a balance below the fee cannot", 9, "bob", 1, nil, CannotPayFee, 0, 0},
		{"another network's", 10_000, "bob", 500, mutate(func(h *types.Header) { h.Chain = hash.Hash{1} }), WrongChain, 0, 0},
		{"below the least fee", 10_000, "bob", 500, fee(9), FeeTooLow, 0, 0},
		{"at its expiry height it is applied", 10_000, "bob", 500, expiry(1), Applied, 10, 500},
		{"after it, it is not", 10_000, "bob", 500, expiry(0), Expired, 0, 0},
		{"the furthest expiry is allowed", 10_000, "bob", 500, expiry(testExpiry), Applied, 10, 500},
		{"one further is not", 10_000, "bob", 500, expiry(testExpiry + 1), ExpiryTooFar, 0, 0},
		{"an expiry at the end of time is too far", 10_000, "bob", 500, expiry(^types.Height(0)), ExpiryTooFar, 0, 0},
		{"ahead of its turn", 10_000, "bob", 500, sequence(1), SequenceFuture, 0, 0},
		{"ahead without the fee is first of all ahead", 1, "bob", 500, sequence(1), SequenceFuture, 0, 0},
		{"nobody's", 10_000, "bob", 500, mutate(func(h *types.Header) { h.Key = typedKey("nobody") }), NoAccount, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNet(t, map[string]types.Drops{"alice": c.balance, "bob": 5000})
			change := mutate(func(*types.Header) {})
			if c.change != nil {
				change = c.change
			}
			before, toBefore := n.snapshot(), n.balance(c.to)
			tx := n.pay("alice", c.to, c.amount, change)
			r := n.run(tx)

			require.Equal(t, []Receipt{{Tx: tx.ID(), Code: c.want, Fee: c.burned}}, r.Receipts)
			require.Empty(t, r.Defects)
			require.Equal(t, c.burned, r.Totals.Burned)
			if !c.want.Final() {
				require.Equal(t, before, n.state, "what is not applied leaves no trace")
				require.Empty(t, r.Changes)
				return
			}
			alice, err := ReadAccount(n.state, address("alice"))
			require.NoError(t, err)
			require.Equal(t, Account{Balance: c.balance - c.burned - c.received, Sequence: 1}, alice)
			if c.to != "alice" {
				require.Equal(t, toBefore+c.received, n.balance(c.to))
			}
		})
	}
}

func TestTransactionIsAppliedAtMostOnce(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
	tx := n.pay("alice", "bob", 100)
	r := n.run(tx, tx)
	require.Equal(t, Applied, r.Receipts[0].Code)
	require.Equal(t, SequencePast, r.Receipts[1].Code)
	require.Equal(t, SequencePast, n.run(tx).Receipts[0].Code)
	require.EqualValues(t, 5100, n.balance("bob"))
}

func TestUnappliedTransactionMayComeAgain(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
	first, second := n.pay("alice", "bob", 100), n.pay("alice", "bob", 200, sequence(1))
	r := n.run(second, first)
	require.Equal(t, SequenceFuture, r.Receipts[0].Code)
	require.Equal(t, Applied, r.Receipts[1].Code)
	require.Equal(t, Applied, n.run(second).Receipts[0].Code)
}

func TestTransactionsOfABlockSeeEachOther(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000})
	create := n.pay("alice", "carol", 50_000)
	spend := n.pay("carol", "dave", 20_000)
	r := n.run(create, spend)
	require.Equal(t, Applied, r.Receipts[0].Code)
	require.Equal(t, Applied, r.Receipts[1].Code)
	require.EqualValues(t, 29_990, n.balance("carol"))
	require.EqualValues(t, 20_000, n.balance("dave"))
	require.EqualValues(t, 99_980, r.Totals.Supply)
}

func TestEmptyBlockChangesNothing(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 100_000})
	r := n.run()
	require.Empty(t, r.Changes)
	require.Equal(t, Totals{Supply: 100_000}, r.Totals)
}

// undeclared touches an account that the transaction did not declare.
type undeclared struct{ write bool }

func (u undeclared) apply(v *view, tx *types.Tx) Code {
	if u.write {
		v.setAccount(address("carol"), Account{Balance: 1 << 40})
	} else if _, exists := v.account(address("carol")); exists {
		return Underfunded // must be overruled
	}
	return Applied
}

func TestUndeclaredAccessCostsTheFee(t *testing.T) {
	for _, write := range []bool{false, true} {
		n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000, "carol": 7000})
		n.ledger.transactors[types.KindPayment] = undeclared{write}
		r := n.run(n.pay("alice", "bob", 100))
		require.Equal(t, AccessViolation, r.Receipts[0].Code)
		require.EqualValues(t, 9990, n.balance("alice"))
		require.EqualValues(t, 7000, n.balance("carol"))
	}
}

func (undeclared) outlay(*types.Tx, types.Drops) types.Drops { return 0 }

type brokenReader struct{ memory }

var errDisk = errors.New("disk on fire")

func (b brokenReader) Get(key []byte) ([]byte, error) {
	if string(key) == string(types.AccountKey(address("bob"))) {
		return nil, errDisk
	}
	return b.memory.Get(key)
}

func TestUnreadableStateStopsTheBlock(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
	block := Block{Height: 1, Txs: []*types.Tx{n.pay("alice", "bob", 100)}}
	_, err := n.ledger.Execute(block, brokenReader{n.state})
	require.ErrorIs(t, err, errDisk)
}

func TestCorruptStateStopsTheBlock(t *testing.T) {
	for _, key := range []string{string(types.AccountKey(address("bob"))), string(types.AccountKey(address("alice"))), "m/supply", "m/burned"} {
		n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
		block := Block{Height: 1, Txs: []*types.Tx{n.pay("alice", "bob", 100)}}
		n.state[key] = []byte{0xff}
		_, err := n.ledger.Execute(block, n.state)
		require.ErrorIs(t, err, ErrCorrupt, "%q", key)
	}
}

func TestAuditFindsEveryTamperedEntry(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000})
	n.run(n.pay("alice", "bob", 100))
	for key, value := range n.snapshot() {
		for _, forged := range [][]byte{nil, {0x00}, Account{Balance: 1}.Encode(), encodeDrops(1), append([]byte{0}, value...)} {
			tampered := n.snapshot()
			tampered[key] = forged
			_, err := n.ledger.Audit(tampered.all)
			require.ErrorIs(t, err, ErrCorrupt, "%q = %x", key, forged)
		}
	}
	n.state["x/stray"] = []byte{0}
	_, err := n.ledger.Audit(n.state.all)
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestResultAccountsAreThoseThatChanged(t *testing.T) {
	n := newNet(t, map[string]types.Drops{"alice": 10_000, "bob": 5000, "carol": 1})
	r := n.run(n.pay("alice", "bob", 100))
	require.Equal(t, map[types.Address]Account{
		address("alice"): {Balance: 9890, Sequence: 1}, address("bob"): {Balance: 5100},
	}, r.Accounts())
}
