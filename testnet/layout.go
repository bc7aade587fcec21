package testnet

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
	"github.com/starlingmesh/starling/node"
)

// AddressPrefix of local networks, unlike any public one's.
const AddressPrefix = "tstar"

const (
	genesisName  = "genesis.json"
	accountsName = "accounts.json"
	peopleCount  = 4  // funded accounts to play with
	loaderCount  = 64 // accounts of the load generator
	fundedCoins  = 1_000_000
	bondedCoins  = 100_000 // behind each validator
)

// ErrOtherNetwork means that a directory holds a network of another shape.
var ErrOtherNetwork = errors.New("the directory holds another network")

// Shape is what a network is laid out as, once.
type Shape struct {
	Nodes  int
	Engine string
	Rule   string
	// EpochBlocks is how many blocks a validator set decides; 0 if it never changes.
	EpochBlocks uint64
	// Lanes has every validator ship batches of its own.
	Lanes bool
	// BlockBytes is the sum of the transactions that a block may hold; 0 is the default.
	BlockBytes uint64
}

// String tells one network from another.
func (s Shape) String() string {
	lanes := "without lanes"
	if s.Lanes {
		lanes = "with lanes"
	}
	return fmt.Sprintf("%d nodes, engine %s %s, epochs of %d blocks of at most %d bytes, %s", s.Nodes, s.Engine, s.Rule, s.EpochBlocks, s.BlockBytes, lanes)
}

// Account is a funded account whose key everybody may know.
type Account struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Secret  string `json:"secret"` // typed private key, hexadecimal
}

// Key parses the secret.
func (a Account) Key() (keys.PrivateKey, error) {
	raw, err := hex.DecodeString(a.Secret)
	if err != nil {
		return keys.PrivateKey{}, fmt.Errorf("account %s: %w", a.Name, err)
	}
	return keys.ParsePrivateKey(raw)
}

// Layout is a network on disk.
type Layout struct {
	Dir      string
	Genesis  *types.Genesis
	Accounts []Account
	Resumed  bool // the directory held the network already
}

// Home is the home of one node.
func (l *Layout) Home(i int) string { return filepath.Join(l.Dir, NodeName(i)) }

// GenesisPath is the network's genesis file.
func (l *Layout) GenesisPath() string { return filepath.Join(l.Dir, genesisName) }

// NodeName names node i, counting from 0.
func NodeName(i int) string { return fmt.Sprintf("node%d", i) }

// Prepare lays a network out in dir, or takes up the one that is there; its
// shape must then be the wanted one.
func Prepare(dir string, want Shape) (*Layout, error) {
	if want.Engine == types.EngineRPCA {
		want.Rule, want.EpochBlocks, want.Lanes = "", 0, false
	}
	want.BlockBytes = cmp.Or(want.BlockBytes, types.DefaultParams().MaxBlockBytes)
	l := &Layout{Dir: dir}
	g, err := types.ReadGenesis(l.GenesisPath())
	switch {
	case err == nil:
		l.Genesis, l.Resumed = g, true
		return l, l.takeUp(want)
	case errors.Is(err, fs.ErrNotExist):
		return l, l.create(want)
	}
	return nil, err
}

func (l *Layout) takeUp(want Shape) error {
	have := Shape{Nodes: len(l.Genesis.Validators), Engine: l.Genesis.Engine, Rule: l.Genesis.Rule, EpochBlocks: l.Genesis.Params.EpochBlocks, Lanes: l.Genesis.Params.Lanes, BlockBytes: l.Genesis.Params.MaxBlockBytes}
	if have != want {
		return fmt.Errorf("%w: %s is a network of %s, not of %s: use the same flags, another --dir, or remove it to start afresh", ErrOtherNetwork, l.Dir, have, want)
	}
	data, err := os.ReadFile(filepath.Join(l.Dir, accountsName))
	if err != nil {
		return fmt.Errorf("read accounts of the network: %w", err)
	}
	if err := json.Unmarshal(data, &l.Accounts); err != nil {
		return fmt.Errorf("read accounts of the network %s: %w", l.Dir, err)
	}
	return nil
}

func (l *Layout) create(want Shape) error {
	g := &types.Genesis{
		Network: "testnet", AddressPrefix: AddressPrefix, Created: time.Now().UnixMilli(),
		Engine: want.Engine, Rule: want.Rule, Params: types.DefaultParams(),
	}
	g.Params.EpochBlocks, g.Params.Lanes, g.Params.MaxBlockBytes = want.EpochBlocks, want.Lanes, cmp.Or(want.BlockBytes, g.Params.MaxBlockBytes)
	for i := range want.Nodes {
		k, err := node.CreateKeys(l.Home(i))
		if err != nil {
			return fmt.Errorf("%s: %w", NodeName(i), err)
		}
		v, err := k.Validator(NodeName(i), 1)
		if err != nil {
			return err
		}
		g.Validators = append(g.Validators, v)
	}
	if err := l.fund(g); err != nil {
		return err
	}
	if want.EpochBlocks > 0 {
		l.stake(g)
	}
	if err := g.Validate(); err != nil {
		return err
	}
	l.Genesis = g
	// The genesis comes last: a layout that was interrupted is made anew.
	data, err := json.MarshalIndent(l.Accounts, "", "  ")
	if err == nil {
		err = renameio.WriteFile(filepath.Join(l.Dir, accountsName), append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("write accounts of the network: %w", err)
	}
	if data, err = g.Encode(); err == nil {
		err = renameio.WriteFile(l.GenesisPath(), data, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write genesis: %w", err)
	}
	return nil
}

// fund makes the accounts that exist from the start.
func (l *Layout) fund(g *types.Genesis) error {
	operators := len(g.Validators)
	for i := range peopleCount + operators + loaderCount {
		name := fmt.Sprintf("rich%d", i+1)
		if i >= peopleCount+operators {
			name = fmt.Sprintf("load%d", i-peopleCount-operators)
		} else if i >= peopleCount {
			name = fmt.Sprintf("operator%d", i-peopleCount)
		}
		key, err := keys.Generate(keys.Secp256k1, rand.Reader)
		if err != nil {
			return fmt.Errorf("make account: %w", err)
		}
		address := types.AddressOf(key.Public().Bytes()).Format(g.AddressPrefix)
		l.Accounts = append(l.Accounts, Account{Name: name, Address: address, Secret: hex.EncodeToString(key.Bytes())})
		g.Accounts = append(g.Accounts, types.GenesisAccount{Address: address, Balance: fundedCoins * types.DropsPerCoin})
	}
	return nil
}

// stake puts an operator and a bond behind every validator.
func (l *Layout) stake(g *types.Genesis) {
	powers := make([]uint64, len(g.Validators))
	for i := range g.Validators {
		powers[i] = types.PowerOf(bondedCoins * types.DropsPerCoin)
	}
	types.CapPowers(powers, g.Params.Staking.MaxShare)
	for i := range g.Validators {
		v := &g.Validators[i]
		v.Operator, v.Bond, v.Power = l.Accounts[peopleCount+i].Address, bondedCoins*types.DropsPerCoin, powers[i]
	}
}

// People are the accounts to play with.
func (l *Layout) People() []Account { return l.Accounts[:min(peopleCount, len(l.Accounts))] }

// Operators are the accounts that bonded the validators' stakes, in their order.
func (l *Layout) Operators() []Account {
	return l.Accounts[min(peopleCount, len(l.Accounts)):min(peopleCount+len(l.Genesis.Validators), len(l.Accounts))]
}

// Loaders are the accounts of the load generator.
func (l *Layout) Loaders() []Account {
	return l.Accounts[min(peopleCount+len(l.Genesis.Validators), len(l.Accounts)):]
}
