package wallet

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/crypto/keystore"
	"github.com/starlingmesh/starling/node/api/apitest"
	"github.com/starlingmesh/starling/node/api/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fast makes key files that cost no time.
var fast = keystore.Params{MemoryKiB: 8, Passes: 1, Lanes: 1}

var secret = []byte("secret")

// key is always the same for a name.
func key(t testing.TB, name string) keys.PrivateKey {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := keys.FromSeed(keys.Secp256k1, seed[:])
	require.NoError(t, err)
	return k
}

func address(k keys.PrivateKey) types.Address { return types.AddressOf(k.Public().Bytes()) }

// network serves a chain on which alice holds 1,000 coins.
func network(t *testing.T) (*apitest.Chain, *client.Client) {
	t.Helper()
	chain := apitest.New(map[types.Address]types.Drops{address(key(t, "alice")): 1_000_000_000})
	c, err := client.New(chain.Serve(t))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return chain, c
}
