package light

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// fixture is a genesis of four validators whose secrets are known, and its state.
type fixture struct {
	genesis *types.Genesis
	secrets []*bls.SecretKey
	state   *state.State
	rich    types.Address
}

// trust is that of a client who has only the genesis.
func (f *fixture) trust(t testing.TB) *Trust {
	trust, err := Begin(f.genesis)
	require.NoError(t, err)
	return trust
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{rich: types.AddressOf([]byte{1}), genesis: &types.Genesis{
		Network: "light", AddressPrefix: "tstar", Engine: "hotstuff", Rule: "three-phase", Params: types.DefaultParams(),
	}}
	for i := range 4 {
		secret, err := bls.Generate(rand.Reader)
		require.NoError(t, err)
		identity, _, err := crypto.GenerateEd25519Key(rand.Reader)
		require.NoError(t, err)
		id, err := peer.IDFromPrivateKey(identity)
		require.NoError(t, err)
		proof := secret.Prove()
		f.secrets = append(f.secrets, secret)
		f.genesis.Validators = append(f.genesis.Validators, types.Validator{
			Name: string(rune('a' + i)), Power: 1, Key: secret.Public().Bytes(), Possession: proof[:], Identity: id.String(),
		})
	}
	f.genesis.Accounts = []types.GenesisAccount{{Address: f.rich.Format("tstar"), Balance: 500}}
	require.NoError(t, f.genesis.Validate())
	db, err := state.OpenDB(t.TempDir(), state.DBOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	f.state, err = state.Open(db, state.Options{Chain: []byte("light")})
	require.NoError(t, err)
	changes, err := ledger.New(f.genesis).GenesisChanges()
	require.NoError(t, err)
	_, err = f.state.Commit(0, changes, nil)
	require.NoError(t, err)
	return f
}

// certify has validators attest a root for a chain.
func (f *fixture) certify(t *testing.T, chain, root hash.Hash, who ...int) *types.StateCert {
	cert := &types.StateCert{StateClaim: types.StateClaim{Height: 7, Block: hash.Sum("block"), Root: root}, Signers: bls.NewBitmap(4)}
	message := cert.Message(chain)
	var sigs []bls.Signature
	for _, i := range who {
		sigs = append(sigs, f.secrets[i].Sign(message[:]))
		cert.Signers.Set(i)
	}
	agg, err := bls.Aggregate(sigs)
	require.NoError(t, err)
	cert.Signature = agg[:]
	return cert
}

func (f *fixture) prove(t *testing.T, a types.Address, cert *types.StateCert) []byte {
	snapshot := f.state.Latest()
	defer snapshot.Close()
	raw, _, err := Prove(snapshot, a, cert)
	require.NoError(t, err)
	return raw
}

func TestAccountAndItsAbsenceAreProven(t *testing.T) {
	f := newFixture(t)
	cert := f.certify(t, f.genesis.ChainID(), f.state.Root(), 0, 2, 3)
	p, err := Decode(f.prove(t, f.rich, cert))
	require.NoError(t, err)
	v, err := f.trust(t).Verify(p)
	require.NoError(t, err)
	require.Equal(t, Verified{Address: f.rich, Exists: true, Account: ledger.Account{Balance: 500}, Height: 7, Signers: []string{"a", "c", "d"}}, v)

	p, err = Decode(f.prove(t, types.AddressOf([]byte{2}), cert))
	require.NoError(t, err)
	v, err = f.trust(t).Verify(p)
	require.NoError(t, err)
	require.False(t, v.Exists)
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	f := newFixture(t)
	good := f.prove(t, f.rich, f.certify(t, f.genesis.ChainID(), f.state.Root(), 0, 1, 2))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		p, err := Decode(bad)
		if err == nil {
			_, err = f.trust(t).Verify(p)
		}
		require.ErrorIs(t, err, ErrProof, "byte %d", i)
	}
}

func TestAbsenceHasOneForm(t *testing.T) {
	f := newFixture(t)
	raw := f.prove(t, types.AddressOf([]byte{2}), f.certify(t, f.genesis.ChainID(), f.state.Root(), 0, 1, 2))
	p, err := Decode(raw)
	require.NoError(t, err)
	p.Account = nil // null in CBOR, where the proof has an empty byte string
	_, err = Decode(canon.MustMarshal(p))
	require.ErrorIs(t, err, ErrProof)
}

func TestOnlyAQuorumOfThisGenesisConvinces(t *testing.T) {
	f := newFixture(t)
	chain, root := f.genesis.ChainID(), f.state.Root()
	for name, cert := range map[string]*types.StateCert{
		"two of four":   f.certify(t, chain, root, 0, 1),
		"another chain": f.certify(t, hash.Sum("other"), root, 0, 1, 2),
		"another root":  f.certify(t, chain, hash.Sum("root"), 0, 1, 2),
	} {
		p, err := Decode(f.prove(t, f.rich, cert))
		require.NoError(t, err, name)
		_, err = f.trust(t).Verify(p)
		require.ErrorIs(t, err, ErrProof, name)
	}
	claimed := f.certify(t, chain, root, 0, 1)
	claimed.Signers.Set(2) // who did not sign
	p, err := Decode(f.prove(t, f.rich, claimed))
	require.NoError(t, err)
	_, err = f.trust(t).Verify(p)
	require.ErrorIs(t, err, consensus.ErrStateCert)
}

func TestProofIsOfOneAddressAndOneBalance(t *testing.T) {
	f := newFixture(t)
	p, err := Decode(f.prove(t, f.rich, f.certify(t, f.genesis.ChainID(), f.state.Root(), 0, 1, 2)))
	require.NoError(t, err)
	other := *p
	other.Address = types.AddressOf([]byte{2})
	_, err = f.trust(t).Verify(&other)
	require.ErrorIs(t, err, ErrProof)
	richer := *p
	richer.Account = ledger.Account{Balance: 501}.Encode()
	_, err = f.trust(t).Verify(&richer)
	require.ErrorIs(t, err, ErrProof)
	denied := *p
	denied.Account = []byte{}
	_, err = f.trust(t).Verify(&denied)
	require.ErrorIs(t, err, ErrProof)
}

func FuzzDecode(f *testing.F) {
	f.Add(canon.MustMarshal(Proof{Account: []byte{1}, Path: []byte{2}, Cert: types.StateCert{Signers: []byte{7}, Signature: []byte{1}}}))
	f.Add([]byte{})
	trust := newFixture(f).trust(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Decode(raw)
		if err != nil {
			return
		}
		require.Equal(t, raw, canon.MustMarshal(p))
		_, err = trust.Verify(p)
		require.Error(t, err)
	})
}
