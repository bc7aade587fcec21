package types

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// stamp is a signer for tests of encoding: what it makes is no signature.
type stamp struct{}

func (stamp) Sign(message []byte) ([]byte, error) { return append([]byte("signed:"), message...), nil }

func drawTx(t *rapid.T) *Tx {
	h := Header{
		Chain:    hash.Sum("chain", rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "chain")),
		Key:      rapid.SliceOfN(rapid.Byte(), 2, 40).Draw(t, "key"),
		Sequence: rapid.Uint64().Draw(t, "sequence"),
		Fee:      Drops(rapid.Uint64().Draw(t, "fee")),
		Expiry:   Height(rapid.Uint64().Draw(t, "expiry")),
		Memo:     rapid.SliceOfN(rapid.Byte(), 0, MaxMemo).Draw(t, "memo"),
	}
	if rapid.Bool().Draw(t, "for another account") {
		h.Account = AddressOf(append([]byte{0}, h.Key...))
	}
	body := &Payment{To: AddressOf(h.Key[1:]), Amount: Drops(rapid.Uint64Range(1, uint64(MaxSupply)).Draw(t, "amount"))}
	tx, err := SignTx(h, body, stamp{})
	require.NoError(t, err)
	return tx
}

func TestTransactionSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := drawTx(t)
		again, err := DecodeTx(tx.Raw())
		require.NoError(t, err)
		require.Equal(t, tx, again)
		require.Equal(t, AddressOf(tx.Key), tx.SignedBy())
		require.Equal(t, tx.Header.Sender(), tx.Sender())
		require.Equal(t, tx.Account == (Address{}), tx.Sender() == tx.SignedBy())
	})
}

func TestIdentifierCoversEverythingButTheSignature(t *testing.T) {
	h := Header{Key: []byte{1, 2, 3}, Fee: 10, Expiry: 9, Memo: []byte("m")}
	base, err := SignTx(h, &Payment{Amount: 5}, stamp{})
	require.NoError(t, err)
	changes := map[string]func(*Header, *Payment){
		"chain":    func(h *Header, _ *Payment) { h.Chain[0] = 1 },
		"key":      func(h *Header, _ *Payment) { h.Key = []byte{1, 2, 4} },
		"account":  func(h *Header, _ *Payment) { h.Account[0] = 1 },
		"sequence": func(h *Header, _ *Payment) { h.Sequence++ },
		"fee":      func(h *Header, _ *Payment) { h.Fee++ },
		"expiry":   func(h *Header, _ *Payment) { h.Expiry++ },
		"memo":     func(h *Header, _ *Payment) { h.Memo = []byte("n") },
		"to":       func(_ *Header, p *Payment) { p.To[31] = 1 },
		"amount":   func(_ *Header, p *Payment) { p.Amount++ },
	}
	for name, change := range changes {
		header, body := h, Payment{Amount: 5}
		change(&header, &body)
		tx, err := SignTx(header, &body, stamp{})
		require.NoError(t, err, name)
		require.NotEqual(t, base.ID(), tx.ID(), name)
	}
	other, err := canon.Marshal(envelope{Payload: mustPayload(t, base), Signature: []byte("another signature")})
	require.NoError(t, err)
	tx, err := DecodeTx(other)
	require.NoError(t, err)
	require.Equal(t, base.ID(), tx.ID(), "a second signature does not make a second transaction")
}

func mustPayload(t *testing.T, tx *Tx) []byte {
	p, _, err := Unsigned(tx.Header, tx.Body)
	require.NoError(t, err)
	return p
}

func TestMalformedTransactionsAreRefused(t *testing.T) {
	good := Header{Key: []byte{1, 2, 3}}
	for name, make := range map[string]func() (*Tx, error){
		"amount of nothing": func() (*Tx, error) { return SignTx(good, &Payment{}, stamp{}) },
		"more than exists":  func() (*Tx, error) { return SignTx(good, &Payment{Amount: MaxSupply + 1}, stamp{}) },
		"long memo": func() (*Tx, error) {
			return SignTx(Header{Key: []byte{1, 2}, Memo: bytes.Repeat([]byte{1}, MaxMemo+1)}, &Payment{Amount: 1}, stamp{})
		},
		"no key":    func() (*Tx, error) { return SignTx(Header{}, &Payment{Amount: 1}, stamp{}) },
		"oversized": func() (*Tx, error) { return DecodeTx(bytes.Repeat([]byte{0}, MaxTxBytes+1)) },
		"empty":     func() (*Tx, error) { return DecodeTx(nil) },
		"the key's own account named": func() (*Tx, error) {
			return SignTx(Header{Key: good.Key, Account: AddressOf(good.Key)}, &Payment{Amount: 1}, stamp{})
		},
		"an account of nothing but zeros": func() (*Tx, error) {
			body := canon.MustMarshal(&Payment{Amount: 1})
			p := canon.MustMarshal(payload{Key: good.Key, Account: make([]byte, 32), Memo: []byte{}, Kind: KindPayment, Body: body})
			return DecodeTx(canon.MustMarshal(envelope{Payload: p, Signature: []byte{1}}))
		},
		"an account that is too short": func() (*Tx, error) {
			body := canon.MustMarshal(&Payment{Amount: 1})
			p := canon.MustMarshal(payload{Key: good.Key, Account: []byte{1}, Memo: []byte{}, Kind: KindPayment, Body: body})
			return DecodeTx(canon.MustMarshal(envelope{Payload: p, Signature: []byte{1}}))
		},
		"signers that cannot be": func() (*Tx, error) { return SignTx(good, &SetSigners{Key: []byte{5, 2, 1}}, stamp{}) },
		"a signature too long": func() (*Tx, error) {
			p, _, err := Unsigned(good, &Payment{Amount: 1})
			require.NoError(t, err)
			return Seal(p, make([]byte, MaxSigBytes+1))
		},
		"unknown kind": func() (*Tx, error) {
			p := canon.MustMarshal(payload{Key: []byte{1, 2}, Account: []byte{}, Memo: []byte{}, Kind: 999, Body: canon.Raw{0x80}})
			return DecodeTx(canon.MustMarshal(envelope{Payload: p, Signature: []byte{1}}))
		},
	} {
		_, err := make()
		require.ErrorIs(t, err, ErrTx, name)
	}
}

func TestFlippedBitNeverPassesForTheSameTransaction(t *testing.T) {
	tx, err := SignTx(Header{Key: []byte{1, 2, 3}, Memo: []byte("hello")}, &Payment{Amount: 7}, stamp{})
	require.NoError(t, err)
	for i := range 8 * len(tx.Raw()) {
		raw := bytes.Clone(tx.Raw())
		raw[i/8] ^= 1 << (i % 8)
		if other, err := DecodeTx(raw); err == nil && other.ID() == tx.ID() {
			require.NotEqual(t, tx.Signature, other.Signature, "bit %d", i)
		}
	}
}

func testBlock(t testing.TB) *Block {
	b, err := NewBlock(BlockHeader{Chain: hash.Sum("c"), Height: 3, View: 4, Justify: GenesisQC(hash.Sum("c"))},
		[][]byte{{1, 2}, {3}}, func(h hash.Hash) ([]byte, error) { return h[:4], nil })
	require.NoError(t, err)
	return b
}

func TestBlockSurvivesItsEncoding(t *testing.T) {
	b := testBlock(t)
	again, err := DecodeBlock(b.Raw())
	require.NoError(t, err)
	require.Equal(t, b, again)
}

func TestFlippedBitInABlockIsSeen(t *testing.T) {
	b := testBlock(t)
	for i := range 8 * len(b.Raw()) {
		raw := bytes.Clone(b.Raw())
		raw[i/8] ^= 1 << (i % 8)
		other, err := DecodeBlock(raw)
		if err == nil && other.Hash() == b.Hash() {
			require.NotEqual(t, b.Signature, other.Signature, "bit %d changes nothing that is signed", i)
		}
	}
}

func TestAddressBelongsToItsNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := AddressOf(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "key"))
		s := a.Format("star")
		back, err := ParseAddress(s, "star")
		require.NoError(t, err)
		require.Equal(t, a, back)
		_, err = ParseAddress(s, "tstar")
		require.ErrorContains(t, err, "another network")
		i := rapid.IntRange(5, len(s)-1).Draw(t, "place")
		typo := s[:i] + string("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[(strings.IndexByte("qpzry9x8gf2tvdw0s3jn54khce6mua7l", s[i])+1)%32]) + s[i+1:]
		_, err = ParseAddress(typo, "star")
		require.Error(t, err, "one wrong letter")
	})
}

func TestAmountsAreExact(t *testing.T) {
	for text, want := range map[string]Drops{"0": 0, "1": 1_000_000, "0.000001": 1, "12.5": 12_500_000, "4611686018427.387904": MaxSupply} {
		d, err := ParseDrops(text)
		require.NoError(t, err, text)
		require.Equal(t, want, d)
		require.Equal(t, text, d.String())
	}
	for _, text := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1,000", "0.0000001", "4611686018427.387905", "99999999999999999999", "٣"} {
		_, err := ParseDrops(text)
		require.ErrorIs(t, err, ErrAmount, text)
	}
	_, fits := AddDrops(^Drops(0), 1)
	require.False(t, fits)
}

func testGenesis(t testing.TB, validators int) *Genesis {
	g := &Genesis{Network: "test", AddressPrefix: "tstar", Created: 1, Engine: "hotstuff", Rule: "three-phase", Params: DefaultParams()}
	for i := range validators {
		secret, err := bls.Generate(rand.Reader)
		require.NoError(t, err)
		_, identity, err := crypto.GenerateEd25519Key(rand.Reader)
		require.NoError(t, err)
		id, err := peer.IDFromPublicKey(identity)
		require.NoError(t, err)
		proof := secret.Prove()
		g.Validators = append(g.Validators, Validator{
			Name: string(rune('a' + i)), Power: 1, Key: secret.Public().Bytes(), Possession: proof[:], Identity: id.String(),
		})
	}
	g.Accounts = []GenesisAccount{{Address: AddressOf([]byte{1}).Format("tstar"), Balance: 100}}
	return g
}

func TestGenesisSurvivesItsEncoding(t *testing.T) {
	g := testGenesis(t, 2)
	data, err := g.Encode()
	require.NoError(t, err)
	again, err := DecodeGenesis(data)
	require.NoError(t, err)
	require.Equal(t, g.ChainID(), again.ChainID())
}

func TestBadGenesisSaysWhatIsWrong(t *testing.T) {
	for says, spoil := range map[string]func(*Genesis){
		"share the key": func(g *Genesis) {
			g.Validators[1].Key, g.Validators[1].Possession = g.Validators[0].Key, g.Validators[0].Possession
		},
		"share the identity":     func(g *Genesis) { g.Validators[1].Identity = g.Validators[0].Identity },
		"share the name":         func(g *Genesis) { g.Validators[1].Name = g.Validators[0].Name },
		"proof of possession":    func(g *Genesis) { g.Validators[1].Possession = g.Validators[0].Possession },
		"power 0":                func(g *Genesis) { g.Validators[0].Power = 0 },
		"0 members":              func(g *Genesis) { g.Validators = nil },
		"stands twice":           func(g *Genesis) { g.Accounts = append(g.Accounts, g.Accounts[0]) },
		"together they hold":     func(g *Genesis) { g.Accounts[0].Balance = MaxSupply + 1 },
		"another network":        func(g *Genesis) { g.AddressPrefix = "other" },
		"engine":                 func(g *Genesis) { g.Engine = "paxos" },
		"rule":                   func(g *Genesis) { g.Rule = "one-phase" },
		"params.max_block_bytes": func(g *Genesis) { g.Params.MaxBlockBytes = 1 },
		"network \"\"":           func(g *Genesis) { g.Network = "" },
	} {
		g := testGenesis(t, 2)
		spoil(g)
		err := g.Validate()
		require.ErrorIs(t, err, ErrGenesis, says)
		require.ErrorContains(t, err, says)
	}
	_, err := DecodeGenesis([]byte(`{"network":"x","colour":"blue"}`))
	require.ErrorContains(t, err, "colour")
}

func TestQuorumsShareMoreThanAThird(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		powers := rapid.SliceOfN(rapid.Uint64Range(1, 1<<40), 1, 40).Draw(t, "powers")
		members := make([]Validator, len(powers))
		var total uint64
		for i, p := range powers {
			members[i].Power = p
			total += p
		}
		s, err := NewValidatorSet(members)
		require.NoError(t, err)
		require.GreaterOrEqual(t, 2*s.Quorum(), total+s.Minority(), "two quorums overlap in a minority that is not all faulty")
		require.LessOrEqual(t, s.Quorum(), total)
	})
}

func FuzzDecodeTx(f *testing.F) {
	tx, _ := SignTx(Header{Key: []byte{1, 2, 3}}, &Payment{Amount: 7}, stamp{})
	f.Add(tx.Raw())
	f.Add([]byte{0x82, 0x40, 0x40})
	for _, raw := range encodedConfidential(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := DecodeTx(raw)
		if err != nil {
			return
		}
		p, id, err := Unsigned(tx.Header, tx.Body)
		require.NoError(t, err)
		require.Equal(t, tx.ID(), id)
		require.Equal(t, raw, canon.MustMarshal(envelope{Payload: p, Signature: tx.Signature}))
	})
}

func FuzzDecodeBlock(f *testing.F) {
	f.Add(testBlock(f).Raw())
	f.Add([]byte{0x83, 0x80, 0x80, 0x40})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := DecodeBlock(raw)
		if err != nil {
			return
		}
		again, err := NewBlock(b.BlockHeader, b.Txs, func(hash.Hash) ([]byte, error) { return b.Signature, nil })
		require.NoError(t, err)
		require.Equal(t, raw, again.Raw())
		require.Equal(t, b.Hash(), again.Hash())
	})
}

func FuzzDecodeGenesis(f *testing.F) {
	data, _ := testGenesis(f, 1).Encode()
	f.Add(data)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if g, err := DecodeGenesis(data); err == nil {
			require.NoError(t, g.Validate())
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add(AddressOf([]byte{1}).Format("star"))
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseAddress(s, "star"); err == nil {
			require.Equal(t, strings.ToLower(s), a.Format("star"))
		}
	})
}

func BenchmarkDecodeTx(b *testing.B) {
	tx, _ := SignTx(Header{Key: bytes.Repeat([]byte{2}, 34), Memo: bytes.Repeat([]byte{1}, 60)}, &Payment{Amount: 7}, stamp{})
	for b.Loop() {
		_, _ = DecodeTx(tx.Raw())
	}
}
