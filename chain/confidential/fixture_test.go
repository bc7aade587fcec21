package confidential

import (
	"bytes"
	"crypto/rand"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// memory is a state in a map.
type memory map[string][]byte

func (m memory) Get(key []byte) ([]byte, error) { return m[string(key)], nil }

func (m memory) apply(changes []state.Change) {
	for _, c := range changes {
		m[string(c.Key)] = c.Value
	}
}

func (m memory) all(yield func(key, value []byte) error) error {
	for k, v := range m {
		if err := yield([]byte(k), v); err != nil {
			return err
		}
	}
	return nil
}

type anySignature struct{}

func (anySignature) Sign([]byte) ([]byte, error) { return make([]byte, 64), nil }

func typedKey(name string) []byte       { return append([]byte{1}, name...) }
func address(name string) types.Address { return types.AddressOf(typedKey(name)) }
func seedOf(name string) hash.Hash      { return hash.Sum("test/seed", []byte(name)) }
func secret(label, n string) curve.Scalar {
	s := hash.Sum("test/"+label, []byte(n))
	return curve.ReduceScalar(s[:])
}

// wallet is somebody with a private address.
type wallet struct {
	name  string
	keys  *stealth.Keys
	coins map[uint64]Coin // unspent, by number
}

func newWallet(tb testing.TB, name string) *wallet {
	k, err := stealth.NewKeys(secret("view", name), secret("spend", name))
	require.NoError(tb, err)
	return &wallet{name: name, keys: k, coins: map[uint64]Coin{}}
}

// sum is what the wallet holds.
func (w *wallet) sum() (total types.Drops) {
	for _, c := range w.coins {
		total += c.Amount
	}
	return total
}

func (w *wallet) oldest() Coin {
	var numbers []uint64
	for n, c := range w.coins {
		if c.Amount > 0 {
			numbers = append(numbers, n)
		}
	}
	return w.coins[slices.Min(numbers)]
}

// chain is a ledger with its state and a verifier.
type chain struct {
	tb       testing.TB
	ledger   *ledger.Ledger
	state    memory
	height   types.Height
	verifier *Verifier
	bodies   [][]byte // all transactions there were
}

const minFee = types.Drops(10)

func newChain(tb testing.TB, balances map[string]types.Drops) *chain {
	g := &types.Genesis{Network: "test", AddressPrefix: "t", Params: types.Params{MinFee: minFee, Reserve: 1000, MaxExpiry: 1000}}
	for name, b := range balances {
		g.Accounts = append(g.Accounts, types.GenesisAccount{Address: address(name).Format("t"), Balance: b})
	}
	v, err := NewVerifier()
	require.NoError(tb, err)
	c := &chain{tb: tb, ledger: ledger.New(g), state: memory{}, verifier: v}
	changes, err := c.ledger.GenesisChanges()
	require.NoError(tb, err)
	c.state.apply(changes)
	return c
}

// fork is the chain as it is, going its own way.
func (c *chain) fork() *chain {
	f := *c
	f.state = maps.Clone(c.state)
	return &f
}

// run verifies and executes a block, and audits the state.
func (c *chain) run(txs ...*types.Tx) []ledger.Code {
	c.height++
	bad, err := c.verifier.Verify(c.tb.Context(), c.state, txs, c.height)
	require.NoError(c.tb, err)
	r, err := c.ledger.Execute(ledger.Block{Height: c.height, Txs: txs, Proven: func(tx *types.Tx) bool { return bad[tx.ID()] == nil }}, c.state)
	require.NoError(c.tb, err)
	require.Empty(c.tb, r.Defects)
	c.state.apply(r.Changes)
	totals, err := c.ledger.Audit(c.state.all)
	require.NoError(c.tb, err)
	require.Equal(c.tb, totals, r.Totals)
	var codes []ledger.Code
	for i, rec := range r.Receipts {
		codes = append(codes, rec.Code)
		c.bodies = append(c.bodies, txs[i].Raw())
	}
	return codes
}

// age lets blocks pass until what is there may be spent.
func (c *chain) age() {
	for range ledger.RingAge {
		c.run()
	}
}

// scan gives wallets what is theirs, and takes what was spent.
func (c *chain) scan(wallets ...*wallet) {
	pool, err := ledger.ReadPool(c.state)
	require.NoError(c.tb, err)
	for _, w := range wallets {
		w.coins = map[uint64]Coin{}
		scanner := stealth.NewScanner(&w.keys.ViewKeys, 3)
		for n := range pool.Outputs {
			o, err := ledger.ReadOutput(c.state, n)
			require.NoError(c.tb, err)
			seen, err := ledger.DecodeSighting(c.state[string(types.OutputKey(n))])
			require.NoError(c.tb, err)
			got, err := scanner.Scan([]stealth.Candidate{seen.Candidate}, func(int) (stealth.Output, error) {
				out, at := o.Stealth()
				require.Equal(c.tb, seen.Place, at)
				return out, nil
			})
			require.NoError(c.tb, err)
			r := got[0]
			if r == nil {
				continue
			}
			s := w.keys.Secret(*r)
			spent, err := ledger.ImageSpent(c.state, ring.Image(s))
			require.NoError(c.tb, err)
			if !spent {
				w.coins[n] = Coin{Number: n, Amount: types.Drops(r.Amount), Mask: r.Mask, Secret: s}
			}
		}
	}
}

// hide puts a coin into a ring of the first outputs.
func (c *chain) hide(coin Coin, size int) Input {
	in := Input{Coin: coin, Ring: []uint64{coin.Number}}
	for n := uint64(0); len(in.Ring) < size; n++ {
		if n != coin.Number {
			in.Ring = append(in.Ring, n)
		}
	}
	slices.Sort(in.Ring)
	c.fill(&in)
	return in
}

// fill reads the members of a ring.
func (c *chain) fill(in *Input) {
	for _, n := range in.Ring {
		o, err := ledger.ReadOutput(c.state, n)
		require.NoError(c.tb, err)
		require.NotNil(c.tb, o, "output %d", n)
		in.Members = append(in.Members, ring.Member{Key: o.Key, Commitment: o.Commitment})
	}
}

func (c *chain) plan(w *wallet, fee types.Drops, payments ...stealth.Payment) Plan {
	return Plan{
		Header: types.Header{Chain: c.ledger.Chain(), Fee: fee, Expiry: c.height + 50},
		Seed:   seedOf(w.name), Payments: payments, Change: w.keys.Address(0), Rand: rand.Reader,
	}
}

func to(w *wallet, amount types.Drops) stealth.Payment {
	return stealth.Payment{To: w.keys.Address(0), Amount: uint64(amount)}
}

const confFee = types.Drops(600)

// shield moves an amount of an account into a wallet.
func (c *chain) shield(account string, w *wallet, amount types.Drops) *types.Tx {
	p := c.plan(w, confFee)
	a, err := ledger.ReadAccount(c.state, address(account))
	require.NoError(c.tb, err)
	p.Header.Key, p.Header.Sequence = typedKey(account), a.Sequence
	body, err := Shield(p, amount)
	require.NoError(c.tb, err)
	tx, err := types.SignTx(p.Header, body, anySignature{})
	require.NoError(c.tb, err)
	return tx
}

func (c *chain) transfer(from *wallet, size int, payments ...stealth.Payment) *types.Tx {
	tx, err := Transfer(c.plan(from, confFee, payments...), []Input{c.hide(from.oldest(), size)})
	require.NoError(c.tb, err)
	return tx
}

func (c *chain) account(name string) types.Drops {
	a, err := ledger.ReadAccount(c.state, address(name))
	if err != nil {
		require.ErrorIs(c.tb, err, ledger.ErrNoAccount)
	}
	return a.Balance
}

// contains reports whether bytes stand anywhere in what was ever in a block.
func (c *chain) contains(b []byte) bool {
	return slices.ContainsFunc(c.bodies, func(raw []byte) bool { return bytes.Contains(raw, b) })
}
