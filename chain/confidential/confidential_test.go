package confidential

import (
	"encoding/binary"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bulletproof"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/pedersen"
	"github.com/starlingmesh/starling/crypto/ring"
)

// Coins go from an account through three wallets to another account. Nothing in any block tells
// how many they are, or from whom to whom they go.
func TestCoinsTravelUnseen(t *testing.T) {
	c := newChain(t, map[string]types.Drops{"anna": 10_000_000, "crowd": 10_000_000})
	anna, berta, carla, dora := newWallet(t, "anna"), newWallet(t, "berta"), newWallet(t, "carla"), newWallet(t, "dora")
	crowd := newWallet(t, "crowd")
	const amount = types.Drops(3_141_592)
	require.Equal(t, []ledger.Code{ledger.Applied, ledger.Applied}, c.run(c.shield("anna", anna, amount), c.shield("crowd", crowd, 77_777)))
	var crowded []*types.Tx
	for range 3 {
		c.scan(crowd)
		crowded = append(crowded, c.shield("crowd", crowd, 99_999))
		c.run(crowded[len(crowded)-1])
	}
	require.Equal(t, 10_000_000-amount-confFee, c.account("anna"))
	c.age()

	paid := []types.Drops{2_718_281, 1_618_033, 1_414_213}
	hops := []*wallet{anna, berta, carla, dora}
	for i, pays := range paid {
		c.scan(hops...)
		require.Equal(t, []ledger.Code{ledger.Applied}, c.run(c.transfer(hops[i], 5, to(hops[i+1], pays))))
		c.scan(hops...)
		require.Equal(t, pays, hops[i+1].sum())
		c.age()
	}
	require.Equal(t, amount-paid[0]-confFee, anna.sum())
	require.Equal(t, paid[0]-paid[1]-confFee, berta.sum())
	require.Equal(t, paid[1]-paid[2]-confFee, carla.sum())

	tx, err := Unshield(c.plan(dora, confFee), []Input{c.hide(dora.oldest(), 5)}, address("dora"), 1_000_000)
	require.NoError(t, err)
	require.Equal(t, []ledger.Code{ledger.Applied}, c.run(tx))
	require.EqualValues(t, 1_000_000, c.account("dora"))
	c.scan(dora)
	require.Equal(t, paid[2]-1_000_000-confFee, dora.sum())

	require.True(t, c.contains(binary.BigEndian.AppendUint32(nil, uint32(amount))), "what was shielded stands there")
	for _, pays := range paid {
		for _, enc := range [][]byte{binary.BigEndian.AppendUint32(nil, uint32(pays)), binary.LittleEndian.AppendUint32(nil, uint32(pays))} {
			require.False(t, c.contains(enc), "an amount")
		}
	}
	for _, w := range hops {
		for n := range uint32(3) {
			a := w.keys.Address(n)
			spend, view := a.Spend.Bytes(), a.View.Bytes()
			require.False(t, c.contains(spend[1:]) || c.contains(view[1:]), "an address")
		}
	}
	for _, raw := range c.bodies[5 : len(c.bodies)-1] { // the transfers
		for _, name := range []string{"anna", "berta", "carla", "dora"} {
			a := address(name)
			require.NotContains(t, string(raw), string(a[:]))
			require.NotContains(t, string(raw), name)
		}
	}
}

// mint is a network with coins to spend: two wallets with some outputs each.
func mint(tb testing.TB) (*chain, *wallet, *wallet) {
	c := newChain(tb, map[string]types.Drops{"anna": 1_000_000_000, "berta": 1_000_000_000})
	anna, berta := newWallet(tb, "anna"), newWallet(tb, "berta")
	for i := range types.Drops(3) {
		c.run(c.shield("anna", anna, 100_000+i), c.shield("berta", berta, 200_000+i))
	}
	c.age()
	c.scan(anna, berta)
	return c, anna, berta
}

// rewrite makes a transaction of a changed body, as an attacker does who sends it.
func rewrite(tb testing.TB, tx *types.Tx, change func(*types.Transfer)) (*types.Tx, error) {
	copied, err := types.DecodeTx(slices.Clone(tx.Raw()))
	require.NoError(tb, err)
	change(copied.Body.(*types.Transfer))
	return types.NewAnonymousTx(copied.Header, copied.Body.(types.Anonymous))
}

// Each way to cheat is refused: by the decoder, or by the proofs, the batch and the single one.
func TestForgedTransfersAreRefused(t *testing.T) {
	c, anna, berta := mint(t)
	good := c.transfer(anna, 4, to(berta, 5000))
	other := c.transfer(berta, 4, to(anna, 7000))
	theirs := other.Body.(*types.Transfer)
	require.NoError(t, One(c.state, good, c.height+1))
	together := []*types.Tx{good}
	for name, change := range map[string]func(b *types.Transfer){
		"more comes out":                    func(b *types.Transfer) { b.Outputs[0].Commitment = b.Outputs[0].Commitment.Add(pedersen.H) },
		"outputs of one, proofs of another": func(b *types.Transfer) { b.Outputs[0].Proof = theirs.Outputs[0].Proof },
		"proofs exchanged": func(b *types.Transfer) {
			b.Outputs[0].Proof, b.Outputs[1].Proof = b.Outputs[1].Proof, b.Outputs[0].Proof
		},
		"no proof":                              func(b *types.Transfer) { b.Outputs[0].Proof = make([]byte, bulletproof.Size) },
		"another recipient":                     func(b *types.Transfer) { b.Outputs[0].Key = theirs.Outputs[0].Key },
		"another note to the recipient":         func(b *types.Transfer) { b.Outputs[0].Sealed[9] ^= 1 },
		"another ephemeral key":                 func(b *types.Transfer) { b.Outputs[0].Ephemeral = theirs.Outputs[0].Ephemeral },
		"another view tag":                      func(b *types.Transfer) { b.Outputs[0].Tag ^= 1 },
		"outputs in another order":              func(b *types.Transfer) { b.Outputs[0], b.Outputs[1] = b.Outputs[1], b.Outputs[0] },
		"one output more":                       func(b *types.Transfer) { b.Outputs = append(b.Outputs, theirs.Outputs[0]) },
		"another ring":                          func(b *types.Transfer) { b.Inputs[0].Ring[3]++ },
		"a ring of what is not there":           func(b *types.Transfer) { b.Inputs[0].Ring[3] = 1 << 40 },
		"the image of another key":              func(b *types.Transfer) { b.Inputs[0].Image = theirs.Inputs[0].Image },
		"the image negated":                     func(b *types.Transfer) { b.Inputs[0].Image = b.Inputs[0].Image.Neg() },
		"another pseudo-output":                 func(b *types.Transfer) { b.Inputs[0].Pseudo = theirs.Inputs[0].Pseudo },
		"a pseudo-output of more, balanced":     func(b *types.Transfer) { raise(b, pedersen.H) },
		"a pseudo-output blinded, balanced":     func(b *types.Transfer) { raise(b, curve.Generator) },
		"the signature of another":              func(b *types.Transfer) { b.Inputs[0].Signature = theirs.Inputs[0].Signature },
		"a signature with a scalar beyond n":    func(b *types.Transfer) { copy(b.Inputs[0].Signature[33:], bytesOf(255, 32)) },
		"a signature with a point at infinity":  func(b *types.Transfer) { copy(b.Inputs[0].Signature, bytesOf(0, 33)) },
		"an input of another, with its outputs": func(b *types.Transfer) { b.Inputs = append(b.Inputs, theirs.Inputs[0]); sortInputs(b.Inputs) },
	} {
		forged, err := rewrite(t, good, change)
		if err != nil {
			require.ErrorIs(t, err, types.ErrTx, name)
			continue
		}
		require.Error(t, One(c.state, forged, c.height+1), name)
		bad, err := c.verifier.Verify(t.Context(), c.state, []*types.Tx{good, forged, other}, c.height+1)
		require.NoError(t, err)
		require.Len(t, bad, 1, name)
		require.Error(t, bad[forged.ID()], name)
		require.Equal(t, []ledger.Code{ledger.ProofInvalid}, c.run(forged), name)
		together = append(together, forged)
	}
	together = append(together, other)
	unseen, err := NewVerifier()
	require.NoError(t, err)
	bad, err := unseen.Verify(t.Context(), c.state, together, c.height+1)
	require.NoError(t, err)
	require.Len(t, bad, len(together)-2, "of a block in which all stand, the first and the last hold")
	require.NotContains(t, bad, good.ID())
	require.NotContains(t, bad, other.ID())
	require.Equal(t, []ledger.Code{ledger.Applied}, c.run(good))
}

func bytesOf(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

// raise adds a point to both sides of the balance.
func raise(b *types.Transfer, p curve.Point) {
	b.Inputs[0].Pseudo = b.Inputs[0].Pseudo.Add(p)
	b.Outputs[0].Commitment = b.Outputs[0].Commitment.Add(p)
}

func sortInputs(in []types.ConfidentialInput) {
	slices.SortFunc(in, func(a, b types.ConfidentialInput) int {
		x, y := a.Image.Bytes(), b.Image.Bytes()
		return slices.Compare(x[:], y[:])
	})
}

// What does not even decode.
func TestMalformedTransfersDoNotDecode(t *testing.T) {
	c, anna, berta := mint(t)
	good := c.transfer(anna, 4, to(berta, 5000))
	for name, change := range map[string]func(b *types.Transfer){
		"a member twice":           func(b *types.Transfer) { b.Inputs[0].Ring[1] = b.Inputs[0].Ring[0] },
		"a ring out of order":      func(b *types.Transfer) { slices.Reverse(b.Inputs[0].Ring) },
		"a ring of one":            func(b *types.Transfer) { b.Inputs[0].Ring = b.Inputs[0].Ring[:1] },
		"no inputs":                func(b *types.Transfer) { b.Inputs = b.Inputs[:0] },
		"one output":               func(b *types.Transfer) { b.Outputs = b.Outputs[:1] },
		"an image twice":           func(b *types.Transfer) { b.Inputs = append(b.Inputs, b.Inputs[0]) },
		"an image at infinity":     func(b *types.Transfer) { b.Inputs[0].Image = curve.Point{} },
		"a commitment at infinity": func(b *types.Transfer) { b.Outputs[0].Commitment = curve.Point{} },
		"another version":          func(b *types.Transfer) { b.Version = 2 },
		"a short signature":        func(b *types.Transfer) { b.Inputs[0].Signature = b.Inputs[0].Signature[1:] },
		"a short proof":            func(b *types.Transfer) { b.Outputs[0].Proof = b.Outputs[0].Proof[1:] },
		"a long note":              func(b *types.Transfer) { b.Outputs[0].Sealed = append(b.Outputs[0].Sealed, 0) },
	} {
		_, err := rewrite(t, good, change)
		require.Error(t, err, name)
	}
	for name, change := range map[string]func(h *types.Header){
		"a fee less":      func(h *types.Header) { h.Fee-- },
		"a later expiry":  func(h *types.Header) { h.Expiry++ },
		"another network": func(h *types.Header) { h.Chain[0] ^= 1 },
	} {
		h := good.Header
		change(&h)
		tx, err := types.NewAnonymousTx(h, good.Body.(types.Anonymous))
		require.NoError(t, err)
		require.Error(t, One(c.state, tx, c.height+1), name)
	}
}

// An output is spent once: in a block, across blocks, and again where a block was taken back.
func TestNothingIsSpentTwice(t *testing.T) {
	c, anna, berta := mint(t)
	coin := anna.oldest()
	first, err := Transfer(c.plan(anna, confFee, to(berta, 1000)), []Input{c.hide(coin, 3)})
	require.NoError(t, err)
	second, err := Transfer(c.plan(anna, confFee, to(berta, 2000)), []Input{c.hide(coin, 5)})
	require.NoError(t, err)
	require.Equal(t, first.Sender(), second.Sender(), "they wait in one place")
	before := c.fork()
	require.Equal(t, []ledger.Code{ledger.Applied, ledger.ImageWasSpent}, c.run(first, second))
	require.Equal(t, []ledger.Code{ledger.ImageWasSpent}, c.run(second))
	_, err = ledger.AccountOf(c.state, second)
	require.ErrorIs(t, err, ledger.ErrImageSpent)

	c = before // the blocks were taken back
	require.Equal(t, []ledger.Code{ledger.Applied}, c.run(second))
	require.Equal(t, []ledger.Code{ledger.ImageWasSpent}, c.run(first))
}

func TestYoungOutputsAreNotSpent(t *testing.T) {
	c, anna, berta := mint(t)
	c.run(c.shield("anna", anna, 50_000))
	pool, err := ledger.ReadPool(c.state)
	require.NoError(t, err)
	c.scan(anna)
	in := c.hide(anna.oldest(), 3)
	young := c.hide(Coin{Number: pool.Outputs - 1}, 2)
	in.Ring, in.Members = append(in.Ring, young.Number), append(in.Members, young.Members[len(young.Members)-1])
	tx, err := Transfer(c.plan(anna, confFee, to(berta, 10)), []Input{in})
	require.NoError(t, err)
	require.ErrorIs(t, One(c.state, tx, c.height+1), ledger.ErrRing)
	require.Equal(t, []ledger.Code{ledger.ProofInvalid}, c.run(tx))
	for range ledger.RingAge - 1 {
		require.ErrorIs(t, One(c.state, tx, c.height), ledger.ErrRing)
		c.run()
	}
	require.Equal(t, []ledger.Code{ledger.Applied}, c.run(tx), "the same, when it is old enough: nothing wrong is remembered")
}

// Where the outputs that a ring names become others, as when blocks are taken back, what was
// verified before does not count.
func TestWhatWasVerifiedIsTiedToTheRing(t *testing.T) {
	c, anna, berta := mint(t)
	tx := c.transfer(anna, 3, to(berta, 10))
	bad, err := c.verifier.Verify(t.Context(), c.state, []*types.Tx{tx}, c.height+1)
	require.NoError(t, err)
	require.Empty(t, bad)
	var youngest uint64
	for _, n := range tx.Body.(*types.Transfer).Inputs[0].Ring {
		youngest = max(youngest, n)
	}
	o, err := ledger.ReadOutput(c.state, youngest)
	require.NoError(t, err)
	bad, err = c.verifier.Verify(t.Context(), c.state, []*types.Tx{tx}, o.Height+ledger.RingAge-1)
	require.NoError(t, err)
	require.ErrorIs(t, bad[tx.ID()], ledger.ErrRing, "too early")

	first := tx.Body.(*types.Transfer).Inputs[0].Ring[0]
	c.state[string(types.OutputKey(first))] = c.state[string(types.OutputKey(first+5))]
	bad, err = c.verifier.Verify(t.Context(), c.state, []*types.Tx{tx}, c.height+1)
	require.NoError(t, err)
	require.ErrorIs(t, bad[tx.ID()], ledger.ErrProof)
}

func TestShieldsHoldWhatTheyShow(t *testing.T) {
	c := newChain(t, map[string]types.Drops{"anna": 1_000_000})
	anna := newWallet(t, "anna")
	good := c.shield("anna", anna, 50_000)
	require.NoError(t, One(c.state, good, 1))
	for name, change := range map[string]func(s *types.Shield){
		"less is taken":  func(s *types.Shield) { s.Amount -= 10_000 },
		"another excess": func(s *types.Shield) { s.Excess = s.Excess.Add(curve.ScalarOf(1)) },
		"outputs that overflow together": func(s *types.Shield) {
			s.Outputs[0].Commitment = s.Outputs[0].Commitment.Add(pedersen.H)
			s.Outputs[1].Commitment = s.Outputs[1].Commitment.Sub(pedersen.H)
		},
	} {
		copied, err := types.DecodeTx(slices.Clone(good.Raw()))
		require.NoError(t, err)
		change(copied.Body.(*types.Shield))
		forged, err := types.SignTx(copied.Header, copied.Body, anySignature{})
		require.NoError(t, err)
		require.ErrorIs(t, One(c.state, forged, 1), ledger.ErrProof, name)
		before := c.account("anna")
		forged, err = types.SignTx(types.Header{Chain: c.ledger.Chain(), Key: typedKey("anna"), Sequence: sequenceOf(t, c), Fee: confFee, Expiry: c.height + 50}, copied.Body, anySignature{})
		require.NoError(t, err)
		require.Equal(t, []ledger.Code{ledger.BadProof}, c.run(forged), name)
		require.Equal(t, before-confFee, c.account("anna"), "it costs the fee")
	}
	require.Equal(t, []ledger.Code{ledger.Underfunded}, c.run(c.shield("anna", anna, 999_000)))
}

func sequenceOf(t *testing.T, c *chain) uint64 {
	a, err := ledger.ReadAccount(c.state, address("anna"))
	require.NoError(t, err)
	return a.Sequence
}

func TestUnshieldsCreateAccountsOfAtLeastTheReserve(t *testing.T) {
	c, anna, _ := mint(t)
	in := []Input{c.hide(anna.oldest(), 3)}
	tx, err := Unshield(c.plan(anna, confFee), in, address("new"), 999)
	require.NoError(t, err)
	require.Equal(t, []ledger.Code{ledger.UnshieldBelowReserve}, c.run(tx))
	tx, err = Unshield(c.plan(anna, confFee), in, address("new"), 1000)
	require.NoError(t, err)
	require.Equal(t, []ledger.Code{ledger.Applied}, c.run(tx))
	require.EqualValues(t, 1000, c.account("new"))
}

func TestWhatCannotBeBuilt(t *testing.T) {
	c, anna, berta := mint(t)
	in := c.hide(anna.oldest(), 3)
	_, err := Transfer(c.plan(anna, confFee, to(berta, in.Amount)), []Input{in})
	require.ErrorIs(t, err, ErrBuild, "nothing is left for the fee")
	_, err = Transfer(c.plan(anna, in.Amount+1), []Input{in})
	require.ErrorIs(t, err, ErrBuild)
	wrong := in
	wrong.Secret = wrong.Secret.Add(curve.ScalarOf(1))
	_, err = Transfer(c.plan(anna, confFee), []Input{wrong})
	require.ErrorIs(t, err, ring.ErrSecret)
	wrong = in
	wrong.Number = 1 << 30
	_, err = Transfer(c.plan(anna, confFee), []Input{wrong})
	require.ErrorIs(t, err, ErrBuild)
	_, err = Transfer(c.plan(anna, confFee, slices.Repeat(slices.Clone(c.plan(anna, 0, to(berta, 1)).Payments), types.MaxOutputs)...), []Input{in})
	require.ErrorIs(t, err, ErrBuild)
}

// Random wallets pay each other, shield and unshield; now and then somebody cheats. Coins of
// accounts, in the pool and burned are the first supply after each block (run audits that), the
// wallets hold together exactly the pool, and single and batch verification agree.
func TestRandomPaymentsKeepTheSupply(t *testing.T) {
	minted, anna, berta := mint(t)
	for seed := range uint64(8) { // proofs take too long for a hundred
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := minted.fork()
			c.tb = t
			c.scan(anna, berta)
			r := mrand.New(mrand.NewPCG(seed, 7))
			for range 1 + r.IntN(3) {
				c.payAtRandom(t, r, []*wallet{anna, berta})
			}
		})
	}
}

// payAtRandom runs a block in which each wallet does something.
func (c *chain) payAtRandom(t *testing.T, r *mrand.Rand, wallets []*wallet) {
	var txs []*types.Tx
	for _, w := range wallets {
		peer, coin := wallets[r.IntN(2)], w.oldest()
		if coin.Amount <= confFee {
			continue
		}
		amount := types.Drops(r.Uint64N(uint64(coin.Amount - confFee + 1)))
		in := []Input{c.hide(coin, 2+r.IntN(5))}
		var tx *types.Tx
		var err error
		switch r.IntN(3) {
		case 0:
			tx, err = Transfer(c.plan(w, confFee, to(peer, amount)), in)
		case 1:
			tx, err = Unshield(c.plan(w, confFee), in, address(w.name), max(amount, 1))
		case 2:
			tx = c.shield(w.name, peer, amount+1)
		}
		require.NoError(t, err)
		if tx.Body.Kind() == types.KindTransfer && r.IntN(4) == 0 {
			tx, err = rewrite(t, tx, func(b *types.Transfer) { raise(b, pedersen.H) })
			require.NoError(t, err)
		}
		txs = append(txs, tx)
	}
	bad, err := c.verifier.Verify(t.Context(), c.state, txs, c.height+1)
	require.NoError(t, err)
	for _, tx := range txs {
		require.Equal(t, One(c.state, tx, c.height+1) == nil, bad[tx.ID()] == nil)
	}
	c.run(txs...)
	c.age()
	c.scan(wallets...)
	pool, err := ledger.ReadPool(c.state)
	require.NoError(t, err)
	require.Equal(t, pool.Shielded, wallets[0].sum()+wallets[1].sum())
	require.EqualValues(t, pool.Outputs, outputsIn(c))
}

func outputsIn(c *chain) (n int) {
	for k := range c.state {
		if k[:2] == "o/" {
			n++
		}
	}
	return n
}
