package types

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrGenesis is wrapped by every refusal of a genesis file.
var ErrGenesis = errors.New("genesis")

// HexBytes is written as hexadecimal in JSON.
type HexBytes []byte

// MarshalText implements [encoding.TextMarshaler].
func (h HexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *HexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// Genesis is the agreement that makes a network: who validates, who holds the
// first coins, and the rules. Everything a node or a light client trusts follows
// from it; its hash is the chain id.
type Genesis struct {
	_             struct{}         `cbor:",toarray"`
	Network       string           `json:"network"`        // shown to people, and part of topic and protocol names
	AddressPrefix string           `json:"address_prefix"` // of bech32m addresses
	Created       int64            `json:"created_ms"`     // milliseconds since 1970
	Engine        string           `json:"engine"`         // consensus engine: EngineHotStuff or EngineRPCA
	Rule          string           `json:"rule"`           // of hotstuff: "three-phase" or "two-phase"; empty for others
	Params        Params           `json:"params"`
	Validators    []Validator      `json:"validators"`
	Accounts      []GenesisAccount `json:"accounts"`
}

// The engines that a genesis may name.
const (
	EngineHotStuff = "hotstuff"
	EngineRPCA     = "rpca"
)

// Params are the rules that every node must apply alike.
type Params struct {
	_             struct{} `cbor:",toarray"`
	MinFee        Drops    `json:"min_fee_drops"`   // a transaction paying less is refused
	Reserve       Drops    `json:"reserve_drops"`   // the least balance that an account is created with
	MaxBlockBytes uint64   `json:"max_block_bytes"` // sum of the transactions in a block
	MaxBlockTxs   uint64   `json:"max_block_txs"`   // transactions in a block
	MaxExpiry     Height   `json:"max_expiry"`      // how far ahead of the tip a transaction may expire, in blocks
	MaxClockDrift int64    `json:"max_clock_ms"`    // how far ahead of the voter's clock a block's time may be
	// EpochBlocks is how many blocks one validator set decides; 0 if the set
	// never changes, and there is no staking.
	EpochBlocks uint64  `json:"epoch_blocks"`
	Staking     Staking `json:"staking"`
	// Lanes has every validator ship batches of its own, which blocks order by their
	// certificates. Only hotstuff has them.
	Lanes bool `json:"lanes"`
}

// DefaultParams suit a network of 4 to 100 validators.
func DefaultParams() Params {
	return Params{
		MinFee: 10, Reserve: 1 * DropsPerCoin,
		MaxBlockBytes: 1 << 20, MaxBlockTxs: 4096,
		MaxExpiry: 100_000, MaxClockDrift: 15_000, Staking: DefaultStaking(), Lanes: true,
	}
}

// GenesisAccount is an account that exists from the start.
type GenesisAccount struct {
	_       struct{} `cbor:",toarray"`
	Address string   `json:"address"` // bech32m with the network's prefix
	Balance Drops    `json:"balance_drops"`
}

// ChainID is the hash of the genesis in canonical encoding.
func (g *Genesis) ChainID() hash.Hash { return hash.Sum("starling/genesis", canon.MustMarshal(g)) }

// Block is the block of height 0.
func (g *Genesis) Block() *Block { return GenesisBlock(g.ChainID(), g.Created) }

// Set returns the validators as a set. The genesis must be valid.
func (g *Genesis) Set() (*ValidatorSet, error) { return NewValidatorSet(g.Validators) }

// ReadGenesis reads and validates a genesis file.
func ReadGenesis(path string) (*Genesis, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %w file: %w (is --genesis right? `starling init` writes one)", ErrGenesis, err)
	}
	g, err := DecodeGenesis(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return g, nil
}

// DecodeGenesis decodes the JSON form, refusing fields that it does not know,
// and validates it.
func DecodeGenesis(data []byte) (*Genesis, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var g Genesis
	if err := d.Decode(&g); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: something follows the closing brace", ErrGenesis)
	}
	if err := g.Validate(); err != nil {
		return nil, err
	}
	return &g, nil
}

// Encode writes the JSON form that [DecodeGenesis] reads.
func (g *Genesis) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(g, "", "  ")
	return append(b, '\n'), err
}

// Phases is how many certificates a decision takes by the genesis' rule.
func (g *Genesis) Phases() int {
	if g.Rule == "two-phase" {
		return 2
	}
	return 3
}

// Supply is the sum of the first balances and bonds. The genesis must be valid.
func (g *Genesis) Supply() Drops {
	var sum Drops
	for _, a := range g.Accounts {
		sum += a.Balance
	}
	for _, v := range g.Validators {
		sum += v.Bond
	}
	return sum
}

// Validate reports everything that is wrong with the genesis, at once.
func (g *Genesis) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrGenesis}, args...)...))
	}
	if len(g.Network) == 0 || len(g.Network) > 32 || !ValidPrefix(g.Network[:min(1, len(g.Network))]) {
		fault("network %q: want 1 to 32 characters, beginning with a letter", g.Network)
	}
	if !ValidPrefix(g.AddressPrefix) {
		fault("address_prefix %q: want 1 to 16 lower-case letters or digits, beginning with a letter", g.AddressPrefix)
	}
	switch g.Engine {
	case EngineHotStuff:
		if g.Rule != "three-phase" && g.Rule != "two-phase" {
			fault("rule %q is not known: use \"three-phase\" or \"two-phase\"", g.Rule)
		}
	case EngineRPCA:
		if g.Rule != "" || g.Params.EpochBlocks != 0 {
			fault("engine rpca has no rule and no epochs: leave rule empty and params.epoch_blocks 0")
		}
	default:
		fault("engine %q is not known: use %q or %q", g.Engine, EngineHotStuff, EngineRPCA)
	}
	faults = append(faults, g.Params.validate()...)
	faults = append(faults, g.validateAccounts()...)
	faults = append(faults, validateValidators(g.Validators)...)
	if g.Params.EpochBlocks > 0 {
		faults = append(faults, g.validateStakes()...)
	}
	return errors.Join(faults...)
}

func (p Params) validate() (faults []error) {
	for _, c := range []struct {
		name          string
		value, lo, hi uint64
	}{
		{"min_fee_drops", uint64(p.MinFee), 0, uint64(MaxSupply)},
		{"reserve_drops", uint64(p.Reserve), 0, uint64(MaxSupply)},
		{"max_block_bytes", p.MaxBlockBytes, MaxTxBytes, 128 << 20},
		{"max_block_txs", p.MaxBlockTxs, 1, 1 << 16},
		{"max_expiry", uint64(p.MaxExpiry), 10, 1 << 32},
		{"max_clock_ms", uint64(p.MaxClockDrift), 100, 3_600_000},
		{"epoch_blocks", p.EpochBlocks, 0, 1 << 32},
		{"staking.min_bond_drops", uint64(p.Staking.MinBond), uint64(DropsPerCoin), uint64(MaxSupply)},
		{"staking.max_validators", p.Staking.MaxValidators, 1, MaxValidators},
		{"staking.min_validators", p.Staking.MinValidators, 1, p.Staking.MaxValidators},
		{"staking.max_share_percent", p.Staking.MaxShare, 1, 100},
		{"staking.unbond_epochs", p.Staking.UnbondEpochs, 1, 1 << 16},
		{"staking.jail_epochs", p.Staking.JailEpochs, 1, 1 << 16},
		{"staking.slash_double_permille", p.Staking.SlashDouble, 0, 1000},
		{"staking.slash_invalid_permille", p.Staking.SlashInvalid, 0, 1000},
	} {
		if c.value < c.lo || c.value > c.hi {
			faults = append(faults, fmt.Errorf("%w: params.%s is %d: want %d to %d", ErrGenesis, c.name, c.value, c.lo, c.hi))
		}
	}
	return faults
}

func (g *Genesis) validateAccounts() (faults []error) {
	seen := map[Address]bool{}
	var sum Drops
	for _, a := range g.Accounts {
		addr, err := ParseAddress(a.Address, g.AddressPrefix)
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: accounts: %w", ErrGenesis, err))
			continue
		}
		if seen[addr] {
			faults = append(faults, fmt.Errorf("%w: accounts: %s stands twice", ErrGenesis, a.Address))
		}
		seen[addr] = true
		if a.Balance > MaxSupply-sum {
			return append(faults, fmt.Errorf("%w: accounts: together they hold more than %s coins", ErrGenesis, MaxSupply))
		}
		sum += a.Balance
	}
	return faults
}

// minEpochBlocks is the shortest epoch: the set of an epoch is made one epoch ahead,
// and execution must have come so far by then.
const minEpochBlocks = 10

func (g *Genesis) validateStakes() (faults []error) {
	if g.Params.EpochBlocks < minEpochBlocks {
		faults = append(faults, fmt.Errorf("%w: params.epoch_blocks is %d: want 0 or at least %d", ErrGenesis, g.Params.EpochBlocks, minEpochBlocks))
	}
	if n := uint64(len(g.Validators)); n > g.Params.Staking.MaxValidators {
		faults = append(faults, fmt.Errorf("%w: %d validators, but params.staking.max_validators is %d", ErrGenesis, n, g.Params.Staking.MaxValidators))
	}
	operators := map[Address]bool{}
	powers := make([]uint64, len(g.Validators))
	sum := Drops(0)
	for _, a := range g.Accounts {
		sum += min(a.Balance, MaxSupply-sum)
	}
	for i, v := range g.Validators {
		operator, err := ParseAddress(v.Operator, g.AddressPrefix)
		if err != nil || operators[operator] {
			faults = append(faults, fmt.Errorf("%w: validator %s: operator %q: want the address of an account, another one for each validator", ErrGenesis, v.Name, v.Operator))
		}
		operators[operator] = true
		if v.Bond < g.Params.Staking.MinBond || v.Bond > MaxSupply-sum {
			faults = append(faults, fmt.Errorf("%w: validator %s: bond %s: want at least %s, and at most %s coins in all", ErrGenesis, v.Name, v.Bond, g.Params.Staking.MinBond, MaxSupply))
			continue
		}
		sum += v.Bond
		powers[i] = PowerOf(v.Bond)
	}
	CapPowers(powers, g.Params.Staking.MaxShare)
	for i, v := range g.Validators {
		if v.Power != powers[i] {
			faults = append(faults, fmt.Errorf("%w: validator %s: power %d: its bond gives %d", ErrGenesis, v.Name, v.Power, powers[i]))
		}
	}
	return faults
}

func validateValidators(members []Validator) (faults []error) {
	if _, err := NewValidatorSet(members); err != nil {
		faults = append(faults, fmt.Errorf("%w: %w", ErrGenesis, err))
	}
	owners := map[string]string{} // key, identity or name -> who has it
	claim := func(what, value, name string) {
		if other, taken := owners[what+value]; taken {
			faults = append(faults, fmt.Errorf("%w: validators %s and %s share the %s %.20s…: every validator needs its own", ErrGenesis, other, name, what, value))
		}
		owners[what+value] = name
	}
	for _, v := range members {
		claim("name", v.Name, v.Name)
		claim("key", hex.EncodeToString(v.Key), v.Name)
		claim("identity", v.Identity, v.Name)
		if err := v.checkKeys(); err != nil {
			faults = append(faults, fmt.Errorf("%w: %w", ErrGenesis, err))
		}
	}
	return faults
}

func (v Validator) checkKeys() error {
	key, err := bls.ParsePublicKey(v.Key)
	if err != nil {
		return fmt.Errorf("validator %s: key: %w", v.Name, err)
	}
	proof, err := bls.ParseSignature(v.Possession)
	if err != nil || !bls.VerifyPossession(key, proof) {
		return fmt.Errorf("validator %s: the proof of possession does not belong to the key", v.Name)
	}
	_, err = v.IdentityKey()
	return err
}

// IdentityKey is the Ed25519 key inside Identity.
func (v Validator) IdentityKey() (crypto.PubKey, error) {
	id, err := peer.Decode(v.Identity)
	if err != nil {
		return nil, fmt.Errorf("validator %s: identity %q: %w", v.Name, v.Identity, err)
	}
	key, err := id.ExtractPublicKey()
	if err != nil || key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("validator %s: identity %q is not the peer id of an Ed25519 key", v.Name, v.Identity)
	}
	return key, nil
}

// MeshName is what protocols, topics and signatures of the mesh are named after: two networks
// with one name but different genesis files never talk.
func MeshName(network string, chain hash.Hash) string { return network + "-" + chain.Short() }
