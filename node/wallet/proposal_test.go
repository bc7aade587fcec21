package wallet

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node/api/client"
)

func multi(t testing.TB, threshold int, names ...string) keys.PublicKey {
	t.Helper()
	var members []keys.PublicKey
	for _, name := range names {
		members = append(members, key(t, name).Public())
	}
	k, err := keys.NewMulti(threshold, members...)
	require.NoError(t, err)
	return k
}

// treasury is an account of 2 of anna, berta and carla, with 500 coins.
func treasury(t testing.TB, node *client.Client) keys.PublicKey {
	t.Helper()
	k := multi(t, 2, "anna", "berta", "carla")
	_, err := NewSender(node, hash.Hash{}, "").Send(t.Context(), key(t, "alice"), Pay(types.AddressOf(k.Bytes()), 500_000_000), true)
	require.NoError(t, err)
	return k
}

func propose(t testing.TB, node *client.Client, k keys.PublicKey, o Order) *Proposal {
	t.Helper()
	p, err := NewSender(node, hash.Hash{}, "").Propose(t.Context(), k, o)
	require.NoError(t, err)
	return p
}

// signature is a member's, made of the proposal's text as on another machine.
func signature(t testing.TB, p *Proposal, member string) string {
	t.Helper()
	copied, err := ParseProposal(p.Text())
	require.NoError(t, err)
	text, err := copied.Sign(key(t, member))
	require.NoError(t, err)
	return text
}

func TestMembersSignApartAndThePaymentArrives(t *testing.T) {
	_, node := network(t)
	k := treasury(t, node)
	bob := address(key(t, "bob"))
	p := propose(t, node, k, Order{Body: pay(bob, 12_000_000), Memo: "rent"})
	require.Equal(t, types.Drops(20), p.Tx().Fee, "two signatures")
	status, err := node.Status(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, status.Height+status.MaxExpiry, p.Tx().Expiry, "members take their time")

	_, err = p.Signed()
	require.ErrorIs(t, err, keys.ErrSignatures)
	require.NoError(t, p.Add(signature(t, p, "carla")))
	require.False(t, p.Complete())
	require.NoError(t, p.Add(signature(t, p, "carla")), "again is harmless")
	_, err = p.Signed()
	require.ErrorIs(t, err, keys.ErrSignatures)
	require.NoError(t, p.Add(signature(t, p, "anna")))
	require.True(t, p.Complete())
	threshold, members, signed := p.Members()
	require.Equal(t, 2, threshold)
	require.Equal(t, []bool{true, false, true}, []bool{
		signed[slices.Index(members, key(t, "anna").Public())], signed[slices.Index(members, key(t, "berta").Public())],
		signed[slices.Index(members, key(t, "carla").Public())],
	})
	tx, err := p.Signed()
	require.NoError(t, err)
	final, err := node.Submit(t.Context(), tx.Raw(), true)
	require.NoError(t, err)
	require.True(t, *final.Success)
	require.Equal(t, 2, final.SignedBy.Threshold)
	require.Len(t, final.SignedBy.Members, 3)
	account, err := node.Balance(t.Context(), bob.Format("tst"))
	require.NoError(t, err)
	require.Equal(t, "12", account.Balance)
}

// From hand to hand, the proposal carries what was signed.
func TestAProposalGoesRound(t *testing.T) {
	_, node := network(t)
	p := propose(t, node, treasury(t, node), Pay(address(key(t, "bob")), 1_000_000))
	for _, member := range []string{"berta", "anna", "carla"} { // one more than needed
		next, err := ParseProposal(strings.ToUpper(p.Text())) // as a QR code has it
		require.NoError(t, err)
		_, err = next.Sign(key(t, member))
		require.NoError(t, err)
		p = next
	}
	tx, err := p.Signed()
	require.NoError(t, err)
	id := tx.ID()
	require.True(t, p.key.Verify(id[:], tx.Signature))

	// Copies that two signed at the same time are put together.
	a := propose(t, node, p.key, Pay(address(key(t, "bob")), 2_000_000))
	b, err := ParseProposal(a.Text())
	require.NoError(t, err)
	_, err = a.Sign(key(t, "anna"))
	require.NoError(t, err)
	_, err = b.Sign(key(t, "berta"))
	require.NoError(t, err)
	require.NoError(t, a.Add(b.Text()))
	require.True(t, a.Complete())
}

func TestSignaturesThatDoNotBelongAreRefused(t *testing.T) {
	_, node := network(t)
	k := treasury(t, node)
	p := propose(t, node, k, Pay(address(key(t, "bob")), 1_000_000))
	other := propose(t, node, k, Pay(address(key(t, "bob")), 2_000_000))
	_, err := p.Sign(key(t, "alice"))
	require.ErrorIs(t, err, ErrMember, "no member")
	require.ErrorIs(t, p.Add(signature(t, other, "anna")), ErrMember, "of another transaction")
	require.ErrorIs(t, p.Add(other.Text()), ErrMember)

	// A relay that bends a signature, or gives it to another member, and fixes the checksum.
	raw, err := ParseText(signature(t, p, "anna"), "tsts")
	require.NoError(t, err)
	for at := 32; at < len(raw); at += 13 {
		bent := slices.Clone(raw)
		bent[at] ^= 1
		require.ErrorIs(t, p.Add(FormatText(bent, "tsts")), ErrMember, "byte %d", at)
	}
	require.ErrorIs(t, p.Add(FormatText(raw[:32], "tsts")), ErrMember)
	require.ErrorIs(t, p.Add(FormatText(raw[:20], "tsts")), ErrMember)

	whole, err := ParseText(p.Text(), "tstm")
	require.NoError(t, err)
	forged := append(slices.Clone(whole), 66, 0)
	_, err = ParseProposal(FormatText(append(forged, make([]byte, 65)...), "tstm"))
	require.ErrorIs(t, err, ErrMember, "a signature that does not hold")
	for name, text := range map[string]string{
		"mistyped":          p.Text()[:40] + "q" + p.Text()[41:],
		"a signature":       signature(t, p, "anna"),
		"an address":        address(key(t, "bob")).Format("tst"),
		"cut off":           FormatText(whole[:len(whole)-5], "tstm"),
		"cut off in a part": FormatText(append(slices.Clone(whole), 66, 0), "tstm"),
		"nothing":           "",
	} {
		_, err := ParseProposal(text)
		require.ErrorIs(t, err, ErrText, name)
	}
	_, err = ParseProposal(FormatText([]byte{1, 2}, "tstm"))
	require.ErrorIs(t, err, types.ErrTx, "no transaction")
	require.Empty(t, p.signatures)
}

func TestSignersOfAnAccountAreChangedByTheFormer(t *testing.T) {
	_, node := network(t)
	ctx := t.Context()
	s := NewSender(node, hash.Hash{}, "")
	alice, bob := key(t, "alice"), address(key(t, "bob"))
	board := multi(t, 2, "anna", "berta")
	_, err := s.Send(ctx, alice, Order{Body: &types.SetSigners{Key: board.Bytes()}}, true)
	require.NoError(t, err)

	account, err := node.Balance(ctx, address(alice).Format("tst"))
	require.NoError(t, err)
	signers, err := Signers(account, alice.Public())
	require.NoError(t, err)
	require.Equal(t, board, signers)
	_, err = s.Send(ctx, alice, Pay(bob, 1_000_000), true)
	require.ErrorContains(t, err, "does not sign for the account")

	p := propose(t, node, board, Order{From: address(alice), Body: &types.SetSigners{Key: key(t, "carla").Public().Bytes()}})
	require.Equal(t, address(alice), p.Tx().Sender())
	for _, member := range []string{"anna", "berta"} {
		require.NoError(t, p.Add(signature(t, p, member)))
	}
	tx, err := p.Signed()
	require.NoError(t, err)
	final, err := node.Submit(ctx, tx.Raw(), true)
	require.NoError(t, err)
	require.True(t, *final.Success)
	require.Equal(t, []string{final.Signers.Key}, final.Signers.Members)

	final, err = s.Send(ctx, key(t, "carla"), Order{From: address(alice), Body: pay(bob, 1_000_000)}, true)
	require.NoError(t, err)
	require.True(t, *final.Success)
	require.Equal(t, address(alice).Format("tst"), final.Sender)
	require.Equal(t, 1, final.SignedBy.Threshold)
}

func TestProposalsCanWaitSideBySide(t *testing.T) {
	_, node := network(t)
	k := treasury(t, node)
	first := propose(t, node, k, Pay(address(key(t, "bob")), 1_000_000))
	second := propose(t, node, k, Order{Body: pay(address(key(t, "bob")), 1_000_000), Sequence: 1})
	for _, p := range []*Proposal{first, second} {
		for _, member := range []string{"anna", "berta"} {
			_, err := p.Sign(key(t, member))
			require.NoError(t, err)
		}
		tx, err := p.Signed()
		require.NoError(t, err)
		final, err := node.Submit(t.Context(), tx.Raw(), true)
		require.NoError(t, err)
		require.True(t, *final.Success)
	}
}

func TestAccountsOfSeveralKeys(t *testing.T) {
	w := Open(t.TempDir(), fast)
	k := multi(t, 2, "anna", "berta")
	acc, err := w.NewMulti("treasury", k)
	require.NoError(t, err)
	require.Equal(t, k, acc.Public)
	require.Equal(t, types.AddressOf(k.Bytes()), acc.Address())
	_, err = w.New("treasury", keys.Secp256k1, secret)
	require.ErrorIs(t, err, ErrExists)
	_, err = w.New("alice", keys.Secp256k1, secret)
	require.NoError(t, err)
	_, err = w.NewMulti("alice", k)
	require.ErrorIs(t, err, ErrExists)
	_, err = w.NewMulti("single", key(t, "anna").Public())
	require.ErrorContains(t, err, "not a key of several members")

	all, err := w.List()
	require.NoError(t, err)
	require.Equal(t, []string{"alice", "treasury"}, []string{all[0].Name, all[1].Name})
	_, err = w.Unlock("treasury", secret)
	require.ErrorIs(t, err, ErrMulti)

	file, err := w.Export("treasury")
	require.NoError(t, err)
	again, err := Open(t.TempDir(), fast).ImportFile("kasse", file)
	require.NoError(t, err)
	require.Equal(t, k, again.Public)
	_, err = w.ImportFile("treasury", file)
	require.ErrorIs(t, err, ErrExists)
	broken := strings.Replace(string(file), `"key": "05`, `"key": "06`, 1)
	_, err = w.ImportFile("broken", []byte(broken))
	require.ErrorIs(t, err, keys.ErrPublicKey)
}

func FuzzParseProposal(f *testing.F) {
	h := types.Header{Key: multi(f, 2, "anna", "berta").Bytes(), Fee: 20, Expiry: 5}
	payload, _, err := types.Unsigned(h, pay(address(key(f, "bob")), 5))
	require.NoError(f, err)
	p, err := NewProposal(payload, "tst")
	require.NoError(f, err)
	f.Add([]byte{})
	add := func() {
		raw, err := ParseText(p.Text(), "tstm")
		require.NoError(f, err)
		f.Add(raw)
	}
	add()
	_, err = p.Sign(key(f, "anna"))
	require.NoError(f, err)
	add()
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParseProposal(FormatText(raw, "tstm"))
		if err != nil {
			return
		}
		again, err := ParseProposal(p.Text())
		require.NoError(t, err)
		require.Equal(t, p.signatures, again.signatures)
		require.Equal(t, p.tx.ID(), again.tx.ID())
		if p.Complete() {
			_, err := p.Signed()
			require.NoError(t, err)
		}
	})
}
