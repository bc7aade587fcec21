package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/light"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/node/api/apitest"
)

// proven is a network of one validator, with the proof of an account in its
// first state.
type proven struct {
	genesis string // file
	proof   []byte
}

func prove(t *testing.T, who types.Address) proven {
	t.Helper()
	secret, err := bls.KeyGen(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	possession := secret.Prove()
	g := &types.Genesis{
		Network: "testnet", AddressPrefix: apitest.Prefix, Created: apitest.Created, Engine: "hotstuff", Rule: "three-phase", Params: types.DefaultParams(),
		Validators: []types.Validator{{
			Name: "ada", Power: 1, Key: secret.Public().Bytes(), Possession: possession[:],
			Identity: "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA", // any Ed25519 peer id
		}},
		Accounts: []types.GenesisAccount{{Address: testAddress(t).Format(apitest.Prefix), Balance: 12_500_000}},
	}
	file, err := g.Encode()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "genesis.json")
	require.NoError(t, os.WriteFile(path, file, 0o600))

	db, err := state.OpenDB(t.TempDir(), state.DBOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	s, err := state.Open(db, state.Options{})
	require.NoError(t, err)
	changes, err := ledger.New(g).GenesisChanges()
	require.NoError(t, err)
	root, err := s.Commit(0, changes, nil)
	require.NoError(t, err)
	claim := types.StateClaim{Block: g.ChainID(), Root: root}
	message := claim.Message(g.ChainID())
	signature := secret.Sign(message[:])
	snapshot := s.Latest()
	defer snapshot.Close()
	proof, _, err := light.Prove(snapshot, who, &types.StateCert{StateClaim: claim, Signers: bls.Bitmap{1}, Signature: signature[:]})
	require.NoError(t, err)
	return proven{path, proof}
}

func (p proven) verify(t *testing.T, proof string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "proof")
	require.NoError(t, os.WriteFile(path, []byte(proof), 0o600))
	address := testAddress(t).Format(apitest.Prefix)
	return starling(t.Context(), "http://127.0.0.1:1", t.TempDir(), append([]string{"light", "verify", address, "--genesis", p.genesis, "--proof", path}, args...)...)
}

func TestLightVerifyNeedsOnlyGenesisAndProof(t *testing.T) {
	p := prove(t, testAddress(t))
	inHex := hex.EncodeToString(p.proof)
	for form, proof := range map[string]string{
		"bytes": string(p.proof), "digits": inHex + "\n",
		"answer": `{"balance":"999999","proof":"` + inHex + `"}`, // what the node claims beside the proof does not count
	} {
		out, errs, code := p.verify(t, proof)
		require.Zero(t, code, "%s: %s", form, errs)
		require.Contains(t, out, "12.5 coins, next sequence 0", form)
		require.Contains(t, out, "signed by  ada", form)
	}
	out, _, _ := p.verify(t, inHex, "--json")
	require.Contains(t, out, `"balance_drops": "12500000"`)
}

func TestLightVerifyRefusesWhatDoesNotConvince(t *testing.T) {
	p := prove(t, testAddress(t))
	flipped := bytes.Clone(p.proof)
	flipped[len(flipped)/2] ^= 1
	for name, proof := range map[string][]byte{
		"flipped bit":     flipped,
		"another account": prove(t, types.AddressOf([]byte("mallory"))).proof,
		"cut off":         p.proof[:len(p.proof)-1],
		"noise":           []byte("noise"),
	} {
		_, errs, code := p.verify(t, string(proof))
		require.Equal(t, exitFailure, code, name)
		require.Contains(t, errs, "the proof does not hold", name)
	}
}
