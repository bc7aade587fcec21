package keys

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	decred "github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/stretchr/testify/require"
)

// Wycheproof's vectors for ECDSA without malleability, as the file says where from. Their
// signatures are DER and do not say which point R is: they are brought into this package's form,
// and hold if one of the four ways to say it does.
func TestWycheproof(t *testing.T) {
	raw, err := os.ReadFile("testdata/wycheproof_ecdsa_secp256k1_sha256_bitcoin.json")
	require.NoError(t, err)
	var in struct {
		Groups []struct {
			Key   string
			Tests []struct {
				ID                        int
				Comment, Msg, Sig, Result string
			}
		}
	}
	require.NoError(t, json.Unmarshal(raw, &in))
	tests, valid := 0, 0
	for _, g := range in.Groups {
		rawKey, err := hex.DecodeString(g.Key)
		require.NoError(t, err)
		uncompressed, err := decred.ParsePubKey(rawKey)
		require.NoError(t, err)
		key, err := ParsePublicKey(append([]byte{byte(Secp256k1)}, uncompressed.SerializeCompressed()...))
		require.NoError(t, err)
		for _, c := range g.Tests {
			tests++
			msg, err := hex.DecodeString(c.Msg)
			require.NoError(t, err)
			der, err := hex.DecodeString(c.Sig)
			require.NoError(t, err)
			held := 0
			for _, sig := range inOurForm(der) {
				single := key.Verify(msg, sig)
				it := Item{key, msg, sig}
				require.Equal(t, single, BatchVerify([]Item{it, it, it}) == nil, "%d %s", c.ID, c.Comment)
				if single {
					held++
				}
			}
			want := 0
			if c.Result == "valid" {
				want, valid = 1, valid+1
			}
			require.Equal(t, want, held, "%d %s", c.ID, c.Comment)
		}
	}
	require.Equal(t, 463, tests)
	require.Positive(t, valid)
}

// inOurForm is a DER signature with each v; nothing if it is not strict DER.
func inOurForm(der []byte) (out [][]byte) {
	sig, err := ecdsa.ParseDERSignature(der)
	if err != nil {
		return nil
	}
	r, s := sig.R(), sig.S()
	rb, sb := r.Bytes(), s.Bytes()
	for v := range byte(4) {
		out = append(out, append(append(rb[:], sb[:]...), v))
	}
	return out
}
