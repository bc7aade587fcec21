package ledger

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
)

const (
	testReserve = types.Drops(1000)
	testMinFee  = types.Drops(10)
	testExpiry  = types.Height(100)
)

// memory is a state in a map.
type memory map[string][]byte

func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m memory) apply(changes []state.Change) {
	for _, c := range changes {
		if c.Value == nil {
			delete(m, string(c.Key))
		} else {
			m[string(c.Key)] = c.Value
		}
	}
}

func (m memory) all(yield func(key, value []byte) error) error {
	for k, v := range m { // any order: Audit must not care
		if err := yield([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

func typedKey(name string) []byte { return append([]byte{1}, name...) }

func address(name string) types.Address { return types.AddressOf(typedKey(name)) }

// anySignature stands for a signer: the ledger never looks at signatures.
type anySignature struct{}

func (anySignature) Sign([]byte) ([]byte, error) { return make([]byte, 64), nil }

// testNet is a ledger with its state.
type testNet struct {
	t      testing.TB
	ledger *Ledger
	state  memory
	height types.Height
}

// newNet makes a network whose accounts are named and funded as given.
func newNet(t testing.TB, balances map[string]types.Drops) *testNet {
	g := &types.Genesis{Network: "test", AddressPrefix: "t", Params: types.Params{
		MinFee: testMinFee, Reserve: testReserve, MaxExpiry: testExpiry,
	}}
	for name := range balances {
		g.Accounts = append(g.Accounts, types.GenesisAccount{Address: address(name).Format("t"), Balance: balances[name]})
	}
	n := &testNet{t: t, ledger: New(g), state: memory{}}
	changes, err := n.ledger.GenesisChanges()
	require.NoError(t, err)
	n.state.apply(changes)
	return n
}

// pay makes a payment with the least fee at the sender's next sequence.
func (n *testNet) pay(from, to string, amount types.Drops, change ...func(*types.Header)) *types.Tx {
	sequence := uint64(0)
	if a, err := ReadAccount(n.state, address(from)); err == nil {
		sequence = a.Sequence
	}
	h := types.Header{Chain: n.ledger.Chain(), Key: typedKey(from), Sequence: sequence, Fee: testMinFee, Expiry: n.height + 50}
	for _, f := range change {
		f(&h)
	}
	tx, err := types.SignTx(h, &types.Payment{To: address(to), Amount: amount}, anySignature{})
	require.NoError(n.t, err)
	return tx
}

// run executes a block, applies it and audits the whole state.
func (n *testNet) run(txs ...*types.Tx) Result {
	n.height++
	r, err := n.ledger.Execute(Block{Height: n.height, Txs: txs}, n.state)
	require.NoError(n.t, err)
	n.state.apply(r.Changes)
	totals, err := n.ledger.Audit(n.state.all)
	require.NoError(n.t, err)
	require.Equal(n.t, totals, r.Totals)
	return r
}

func (n *testNet) balance(name string) types.Drops {
	a, err := ReadAccount(n.state, address(name))
	if err != nil {
		require.ErrorIs(n.t, err, ErrNoAccount)
		return 0
	}
	return a.Balance
}

func (n *testNet) snapshot() memory { return maps.Clone(n.state) }

func fee(d types.Drops) func(*types.Header) { return func(h *types.Header) { h.Fee = d } }

func sequence(s uint64) func(*types.Header) { return func(h *types.Header) { h.Sequence = s } }

func expiry(at types.Height) func(*types.Header)       { return func(h *types.Header) { h.Expiry = at } }
func mutate(f func(*types.Header)) func(*types.Header) { return f }

func person(i int) string { return fmt.Sprintf("person-%d", i) }
