package private

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
	"github.com/starlingmesh/starling/node/api"
	"github.com/starlingmesh/starling/node/api/apitest"
	"github.com/starlingmesh/starling/node/api/client"
	"github.com/starlingmesh/starling/node/wallet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const coin = types.DropsPerCoin

func accountKey(t testing.TB, name string) keys.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	k, err := keys.FromSeed(keys.Secp256k1, seed[:])
	require.NoError(t, err)
	return k
}

func addressOf(k keys.PrivateKey) types.Address { return types.AddressOf(k.Public().Bytes()) }

// net is a chain on which alice holds 1,000 coins.
type net struct {
	t     *testing.T
	chain *apitest.Chain
	node  *client.Client
}

func newNet(t *testing.T) *net {
	chain := apitest.New(map[types.Address]types.Drops{addressOf(accountKey(t, "alice")): 1000 * coin})
	c, err := client.New(chain.Serve(t))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return &net{t, chain, c}
}

// open is somebody's wallet, in a file of its own.
func (n *net) open(name, path string) *Wallet {
	k, proofs, err := stealth.DeriveKeys([]byte("secret of " + name))
	require.NoError(n.t, err)
	w, err := Open(n.t.Context(), path, k.ViewKeys, k, proofs)
	require.NoError(n.t, err)
	n.t.Cleanup(func() { _ = w.Close() })
	return w
}

func (n *net) wallet(name string) *Wallet { return n.open(name, filepath.Join(n.t.TempDir(), name)) }

func (n *net) shield(w *Wallet, amount types.Drops) {
	o := wallet.Order{Body: Like(amount, 0), Make: w.Shield(amount)}
	tx, err := wallet.NewSender(n.node, hash.Hash{}, "").Send(n.t.Context(), accountKey(n.t, "alice"), o, true)
	require.NoError(n.t, err)
	require.True(n.t, *tx.Success, tx.Code)
}

func (n *net) scan(w *Wallet) Balance {
	require.NoError(n.t, w.Scan(n.t.Context(), n.node, nil))
	return w.Balance()
}

func pay(w *Wallet, address uint32, amount types.Drops, memo string) stealth.Payment {
	return stealth.Payment{To: w.Address(address), Amount: uint64(amount), Memo: []byte(memo)}
}

func TestCoinsGoRound(t *testing.T) {
	n := newNet(t)
	alice, bob := n.wallet("alice"), n.wallet("bob")
	for range 4 { // others to hide among
		n.shield(alice, 10*coin)
	}
	b := n.scan(alice)
	require.Equal(t, 40*coin, b.Total)
	require.Equal(t, 40*coin, b.Ready+b.Young)
	require.Positive(t, b.Young)
	n.chain.Age(ledger.RingAge)
	require.Equal(t, 40*coin, n.scan(alice).Ready)

	tx, err := alice.Send(t.Context(), n.node, Options{}, true, pay(bob, 3, 25*coin, "for the boat"))
	require.NoError(t, err)
	require.True(t, *tx.Success, tx.Code)
	require.Equal(t, 3, tx.Inputs, "it takes three coins to pay 25")
	require.Empty(t, tx.Sender)
	b = n.scan(bob)
	require.Equal(t, 25*coin, b.Total)
	require.Zero(t, b.Ready, "it must age")
	got := bob.Coins()[0]
	require.Equal(t, "for the boat", string(got.Memo))
	require.EqualValues(t, 3, got.Address)
	fee, err := types.ParseDrops(tx.Fee)
	require.NoError(t, err)
	require.Equal(t, 15*coin-fee, alice.Balance().Total)

	_, err = bob.Unshield(t.Context(), n.node, Options{}, true, Payout{addressOf(accountKey(t, "bob")), 5 * coin})
	require.ErrorIs(t, err, ErrFunds)
	require.ErrorContains(t, err, "must age")
	n.chain.Age(ledger.RingAge)
	tx, err = bob.Unshield(t.Context(), n.node, Options{}, true, Payout{addressOf(accountKey(t, "bob")), 5 * coin})
	require.NoError(t, err)
	require.True(t, *tx.Success, tx.Code)
	account, err := n.node.Balance(t.Context(), addressOf(accountKey(t, "bob")).Format(apitest.Prefix))
	require.NoError(t, err)
	require.Equal(t, "5", account.Balance)

	second := n.wallet("bob") // another device, from the same secret
	require.Equal(t, n.scan(bob), n.scan(second))
	forget := func(coins []Coin) []Coin { // what only the device knows that paid
		for i := range coins {
			coins[i].Reserved = 0
		}
		return coins
	}
	require.Equal(t, forget(bob.Coins()), second.Coins())

	_, err = bob.Send(t.Context(), n.node, Options{}, true, pay(alice, 0, 100*coin, ""))
	require.ErrorIs(t, err, ErrFunds)
}

func TestScansGoOnWhereTheyWere(t *testing.T) {
	n := newNet(t)
	path := filepath.Join(t.TempDir(), "alice")
	alice := n.open("alice", path)
	n.shield(alice, coin)
	n.scan(alice)
	require.NoError(t, alice.Close())
	again := n.open("alice", path)
	require.Equal(t, coin, again.Balance().Total, "before any scan")
	n.chain.Age(ledger.RingAge)
	_, err := again.Send(t.Context(), n.node, Options{}, true, pay(again, 1, coin/2, ""))
	require.NoError(t, err, "what was read is all that spending takes")
	require.NoError(t, again.Rescan(0))
	n.scan(again)
	n.shield(again, coin)
	var seen [][2]uint64
	require.NoError(t, again.Scan(t.Context(), n.node, func(done, total uint64) { seen = append(seen, [2]uint64{done, total}) }))
	require.Equal(t, [][2]uint64{{6, 6}}, seen)
	have := again.Balance().Total
	require.Greater(t, have, coin+coin/2)
	require.NoError(t, again.Rescan(0))
	require.Zero(t, again.Balance().Total)
	require.Equal(t, have, n.scan(again).Total)

	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "mask")
	require.NoError(t, again.Close())
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	k, proofs, err := stealth.DeriveKeys([]byte("secret of alice"))
	require.NoError(t, err)
	_, err = Open(t.Context(), path, k.ViewKeys, k, proofs)
	require.ErrorIs(t, err, ErrFile)
}

func TestScansBeginAtAnyHeight(t *testing.T) {
	n := newNet(t)
	alice := n.wallet("alice")
	n.shield(alice, 10*coin)
	n.chain.Age(ledger.RingAge)
	n.shield(alice, 5*coin)
	n.scan(alice)
	status, err := n.node.Status(t.Context())
	require.NoError(t, err)
	late := status.Height

	second := n.wallet("alice")
	require.NoError(t, second.Rescan(late))
	b := n.scan(second)
	require.Equal(t, 5*coin, b.Total, "what was before is passed over")
	require.Equal(t, late, b.From)
	require.Equal(t, alice.known.Heights, second.known.Heights, "and is there to hide among")
	n.chain.Age(ledger.RingAge)
	n.scan(second)
	tx, err := second.Send(t.Context(), n.node, Options{}, true, pay(second, 1, coin, ""))
	require.NoError(t, err)
	require.True(t, *tx.Success)
	have := n.scan(second).Total

	require.NoError(t, second.Rescan(late+1))
	require.Equal(t, late, second.known.From, "it did look there")
	require.Equal(t, have, n.scan(second).Total, "once more, with the coin below kept, and known to be spent")
	require.NoError(t, second.Rescan(0))
	require.Equal(t, 10*coin+have, n.scan(second).Total)
	require.Zero(t, second.Balance().From)
	require.Equal(t, n.scan(alice).Total, second.Balance().Total)
}

// backwards is a node whose outputs are not in the order of the chain.
type backwards struct{ *client.Client }

func (b backwards) Outputs(ctx context.Context, from uint64, limit int) (api.Outputs, error) {
	page, err := b.Client.Outputs(ctx, from, limit)
	slices.Reverse(page.Outputs)
	return page, err
}

// hasty is a node that gives outputs of blocks that it does not have.
type hasty struct{ *client.Client }

func (h hasty) Outputs(ctx context.Context, from uint64, limit int) (api.Outputs, error) {
	page, err := h.Client.Outputs(ctx, from, limit)
	page.Height = 0
	return page, err
}

func TestOutputsOfTheFutureAreRefused(t *testing.T) {
	n := newNet(t)
	alice := n.wallet("alice")
	n.shield(alice, coin)
	require.ErrorContains(t, alice.Scan(t.Context(), hasty{n.node}, nil), "has not got yet")
}

// bent is a node that gives outputs with keys that are no points.
type bent struct{ *client.Client }

func (b bent) Outputs(ctx context.Context, from uint64, limit int) (api.Outputs, error) {
	page, err := b.Client.Outputs(ctx, from, limit)
	for i, raw := range page.Outputs {
		o, wrong := ledger.DecodeOutput(raw)
		if wrong != nil {
			return page, wrong
		}
		key := o.Key.Bytes()
		page.Outputs[i] = bytes.Replace(raw, key[1:], bytes.Repeat([]byte{9}, 32), 1)
	}
	return page, err
}

// Where a scan stops it would tell the node which outputs have the right view tag.
func TestBentOutputsStopNoScan(t *testing.T) {
	n := newNet(t)
	alice := n.wallet("alice")
	n.shield(alice, coin)
	require.NoError(t, alice.Scan(t.Context(), bent{n.node}, nil))
	require.Zero(t, alice.Balance().Total)
	require.NoError(t, alice.Rescan(0))
	require.Equal(t, coin, n.scan(alice).Total, "from an honest node")
}

func TestOutputsOutOfOrderAreRefused(t *testing.T) {
	n := newNet(t)
	alice := n.wallet("alice")
	n.shield(alice, coin)
	n.chain.Age(ledger.RingAge)
	n.shield(alice, coin)
	require.ErrorContains(t, alice.Scan(t.Context(), backwards{n.node}, nil), "earlier block")
}

func TestWalletsRememberWhatTheyPaid(t *testing.T) {
	n := newNet(t)
	path := filepath.Join(t.TempDir(), "alice")
	alice, bob := n.open("alice", path), n.wallet("bob")
	n.shield(alice, 50*coin)
	n.shield(alice, 50*coin)
	n.chain.Age(ledger.RingAge)
	two := []stealth.Payment{pay(bob, 1, 7*coin, "rent"), pay(bob, 1, 7*coin, "rent")} // alike, and yet two
	_, err := alice.Send(t.Context(), n.node, Options{}, true, two...)
	require.NoError(t, err)
	n.chain.Hold()
	tx, err := alice.Send(t.Context(), n.node, Options{}, false, pay(bob, 2, coin, ""))
	require.NoError(t, err)
	require.NoError(t, alice.Close())

	alice = n.open("alice", path)
	paid := alice.Paid()
	require.Len(t, paid, 3)
	require.NotEqual(t, paid[0].Output, paid[1].Output)
	n.scan(bob)
	for i, c := range bob.Coins() {
		require.Equal(t, c.Amount, paid[i].Amount)
		require.Contains(t, []uint64{paid[0].Output, paid[1].Output}, c.Number)
		require.Equal(t, c.Height, paid[i].Height)
	}
	require.Zero(t, paid[2].Height, "it waits")
	require.Equal(t, tx.ID, paid[2].Tx)
	n.chain.Release()
	n.scan(alice)
	require.Positive(t, alice.Paid()[2].Height)
	again := alice.Paid()
	require.NoError(t, alice.Rescan(0))
	require.Zero(t, alice.Paid()[0].Height)
	n.scan(alice)
	require.Equal(t, again, alice.Paid())

	payment, err := again[0].Payment()
	require.NoError(t, err)
	proof, err := alice.Prove(t.Context(), n.node, again[0].Output, payment, "for the judge", apitest.Prefix)
	require.NoError(t, err)
	require.NoError(t, proof.Verify(t.Context(), n.node, apitest.Prefix))
	require.Empty(t, bob.Paid())
}

func TestRefusedPaymentsAreNotRemembered(t *testing.T) {
	n := newNet(t)
	alice := n.wallet("alice")
	n.shield(alice, 50*coin)
	n.chain.Age(ledger.RingAge)
	second := n.wallet("alice")
	n.scan(second)
	_, err := alice.Send(t.Context(), n.node, Options{}, true, pay(alice, 1, coin, ""))
	require.NoError(t, err)
	_, err = second.Send(t.Context(), stale{n.node, second.known}, Options{}, true, pay(alice, 1, coin, ""))
	require.ErrorContains(t, err, "spent")
	require.Empty(t, second.Paid())
}

// stale is a node that tells nothing new of outputs.
type stale struct {
	*client.Client
	as known
}

func (s stale) Outputs(_ context.Context, from uint64, _ int) (api.Outputs, error) {
	return api.Outputs{Height: s.as.Height, Total: s.as.Next, From: from}, nil
}

func TestOneProcessAtATimeUsesAWallet(t *testing.T) {
	n := newNet(t)
	path := filepath.Join(t.TempDir(), "alice")
	n.open("alice", path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k, proofs, err := stealth.DeriveKeys([]byte("secret of alice"))
	require.NoError(t, err)
	_, err = Open(ctx, path, k.ViewKeys, k, proofs)
	require.ErrorContains(t, err, "another program")
}

func TestWhatWaitsIsNotSpentAgain(t *testing.T) {
	n := newNet(t)
	alice := n.wallet("alice")
	n.shield(alice, 10*coin)
	n.chain.Age(ledger.RingAge)
	n.chain.Hold()
	_, err := alice.Send(t.Context(), n.node, Options{}, false, pay(alice, 1, coin, ""))
	require.NoError(t, err)
	require.Equal(t, 10*coin, alice.Balance().Reserved)
	_, err = alice.Send(t.Context(), n.node, Options{}, false, pay(alice, 1, coin, ""))
	require.ErrorIs(t, err, ErrFunds)
	require.ErrorContains(t, err, "wait in transactions")
	n.chain.Release()
	n.chain.Age(ledger.RingAge)
	b := n.scan(alice)
	require.Zero(t, b.Reserved)
	require.Equal(t, b.Total, b.Ready)
}

func TestAWalletThatSeesDoesNotSpend(t *testing.T) {
	n := newNet(t)
	alice := n.wallet("alice")
	n.shield(alice, 10*coin)
	n.chain.Age(ledger.RingAge)
	watcher, err := Open(t.Context(), filepath.Join(t.TempDir(), "w"), alice.view, nil, hash.Hash{})
	require.NoError(t, err)
	defer func() { _ = watcher.Close() }()
	require.Equal(t, 10*coin, n.scan(watcher).Total)
	require.Equal(t, alice.Address(5), watcher.Address(5))
	_, err = watcher.Send(t.Context(), n.node, Options{}, true, pay(alice, 0, coin, ""))
	require.ErrorIs(t, err, ErrViewOnly)
}

func TestTooFewToHideAmong(t *testing.T) {
	_, err := newChooser(heights{1, 1}, 5, 1).ring(0, Options{})
	require.ErrorIs(t, err, ErrDecoys)
	_, err = newChooser(heights{1, 30}, 20, 1).ring(0, Options{})
	require.ErrorIs(t, err, ErrDecoys, "alone is not hidden")
	got, err := newChooser(heights{1, 1, 30}, 20, 1).ring(1, Options{})
	require.NoError(t, err)
	require.Equal(t, []uint64{0, 1}, got, "the third is too young")
	_, err = newChooser(heights{1, 1, 30}, 20, 1).ring(1, Options{Ring: 3})
	require.ErrorIs(t, err, ErrDecoys, "who asks for three does not get two")
}

func TestRingsAreAscendingAndHoldTheRealOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h heights
		last := uint64(0)
		for range rapid.IntRange(2, 400).Draw(t, "outputs") {
			last += rapid.SampledFrom([]uint64{0, 0, 1, 100, 10_000}).Draw(t, "step")
			h = append(h, last)
		}
		tip := last + uint64(ledger.RingAge) + rapid.Uint64Range(0, 50).Draw(t, "age")
		real := rapid.IntRange(0, len(h)-1).Draw(t, "real")
		size := rapid.IntRange(2, 32).Draw(t, "size")
		r, err := newChooser(h, tip, 1).ring(uint64(real), Options{Ring: size})
		if size > len(h) {
			require.ErrorIs(t, err, ErrDecoys)
			size = min(ring.DefaultSize, len(h))
			r, err = newChooser(h, tip, 1).ring(uint64(real), Options{})
		}
		require.NoError(t, err)
		require.Len(t, r, size)
		require.Contains(t, r, uint64(real))
		require.True(t, slices.IsSorted(r))
		require.Len(t, slices.Compact(slices.Clone(r)), len(r))
		require.Less(t, r[len(r)-1], uint64(len(h)))

		raw, err := h.MarshalText()
		require.NoError(t, err)
		var back heights
		require.NoError(t, back.UnmarshalText(raw))
		require.Equal(t, h, back)
	})
}

// Decoys are as old as outputs are when they are spent, of which half are spent after a day and a
// half; on a chain of three months, with an output every block, a little sooner.
func TestDecoysAreAsOldAsSpends(t *testing.T) {
	for _, pace := range []float64{1, 6} { // seconds a block
		day := 86_400 / pace
		h := make(heights, int(90*day))
		for i := range h {
			h[i] = uint64(i)
		}
		c := newChooser(h, uint64(len(h))+uint64(ledger.RingAge), pace)
		ages := make([]float64, 4000)
		for i := range ages {
			ages[i] = float64(c.tip-h[c.draw()]) / day
		}
		slices.Sort(ages)
		require.InDelta(t, 1.1, ages[len(ages)/2], 0.3)
		require.Less(t, ages[len(ages)/10], 0.4)
		require.Greater(t, ages[len(ages)*9/10], 6.0)
	}
}

func TestThePaceOfANetworkIsMeasured(t *testing.T) {
	began := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		height uint64
		after  time.Duration
		want   float64
	}{
		{1000, 2000 * time.Second, 2},
		{0, 0, 0.02},
		{1, 1000 * time.Hour, 600},
		{1000, -time.Hour, 0.02}, // a node's nonsense
	} {
		require.InDelta(t, c.want, paceOf(api.Status{Created: began, HeadTime: began.Add(c.after), Height: c.height}), 1e-9)
	}
}
