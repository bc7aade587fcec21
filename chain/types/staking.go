package types

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// The kinds of transactions by which stake decides who validates.
const (
	KindBond   Kind = 2 // puts coins behind a validator, new or known
	KindUnbond Kind = 3 // takes them back, after a delay
	KindRotate Kind = 4 // gives the validator other keys
	KindUnjail Kind = 5 // ends a validator's jail
)

// MaxValidatorName is the longest name of a validator in bytes.
const MaxValidatorName = 32

// Staking are the rules of stake. They matter only where [Params.EpochBlocks] is
// more than 0.
type Staking struct {
	_             struct{} `cbor:",toarray"`
	MinBond       Drops    `json:"min_bond_drops"`         // less does not validate
	MaxValidators uint64   `json:"max_validators"`         // in one set
	MinValidators uint64   `json:"min_validators"`         // a set never has fewer
	MaxShare      uint64   `json:"max_share_percent"`      // of the power for one validator, unless there are too few of them
	UnbondEpochs  uint64   `json:"unbond_epochs"`          // between unbonding and the release of the coins
	JailEpochs    uint64   `json:"jail_epochs"`            // after an offence
	SlashDouble   uint64   `json:"slash_double_permille"`  // of the bond, for contradicting oneself
	SlashInvalid  uint64   `json:"slash_invalid_permille"` // of the bond, for an invalid certificate
}

// DefaultStaking suits the default parameters.
func DefaultStaking() Staking {
	return Staking{
		MinBond: 1000 * DropsPerCoin, MaxValidators: 100, MinValidators: 4, MaxShare: 30,
		UnbondEpochs: 4, JailEpochs: 2, SlashDouble: 50, SlashInvalid: 10,
	}
}

// Share is the part of the bond that an offence costs, in permille.
func (s Staking) Share(o Offence) uint64 {
	if o == BadCertificate {
		return s.SlashInvalid
	}
	return s.SlashDouble
}

// PowerOf is the voting power that a bond gives before the cap: one a whole coin,
// rounded down.
func PowerOf(bond Drops) uint64 { return uint64(bond / DropsPerCoin) }

// CapPowers lowers the powers, in place, until none is above maxShare percent of
// their sum, or above an equal share where there are too few for that. Shares are
// rounded down. It is a function of the multiset alone.
func CapPowers(powers []uint64, maxShare uint64) {
	if len(powers) == 0 {
		return
	}
	for {
		var total, highest uint64
		for _, p := range powers {
			total += p // below 2^43: the supply in coins
			highest = max(highest, p)
		}
		n := uint64(len(powers))
		limit := max(total/100*maxShare+total%100*maxShare/100, (total+n-1)/n)
		if highest <= limit {
			return
		}
		for i := range powers {
			powers[i] = min(powers[i], limit)
		}
	}
}

// ValidatorKeys is what a validator is known by.
type ValidatorKeys struct {
	_          struct{} `cbor:",toarray"`
	Name       string
	Key        []byte // BLS key that votes, 96 bytes
	Possession []byte // proof that the sender has its secret half, 48 bytes
	Identity   string // libp2p peer id of the node, with an Ed25519 key
}

// Check verifies the proof of possession among other things: about a millisecond.
func (k *ValidatorKeys) Check() error {
	if len(k.Name) == 0 || len(k.Name) > MaxValidatorName || len(k.Identity) > 128 {
		return fmt.Errorf("validator name of %d bytes: want 1 to %d", len(k.Name), MaxValidatorName)
	}
	for _, c := range k.Name {
		if c < 0x20 || c > 0x7e {
			return fmt.Errorf("validator name %q: want printable ASCII", k.Name)
		}
	}
	if len(k.Key) != bls.PublicKeySize || len(k.Possession) != bls.SignatureSize {
		return errors.New("validator key or proof of possession has the wrong size")
	}
	return Validator{Name: k.Name, Key: k.Key, Possession: k.Possession, Identity: k.Identity}.checkKeys()
}

// Bond puts Amount behind the sender's validator. Keys are given if it has none yet.
type Bond struct {
	_      struct{} `cbor:",toarray"`
	Amount Drops
	Keys   *ValidatorKeys
}

// Unbond takes Amount back, or everything if it is 0.
type Unbond struct {
	_      struct{} `cbor:",toarray"`
	Amount Drops
}

// Rotate gives the sender's validator other keys, from the next set that is made on.
type Rotate struct {
	_    struct{} `cbor:",toarray"`
	Keys ValidatorKeys
}

// Unjail ends the jail of the sender's validator once its time is over.
type Unjail struct {
	_ struct{} `cbor:",toarray"`
}

// Kind implements [Body].
func (*Bond) Kind() Kind { return KindBond }

// Kind implements [Body].
func (*Unbond) Kind() Kind { return KindUnbond }

// Kind implements [Body].
func (*Rotate) Kind() Kind { return KindRotate }

// Kind implements [Body].
func (*Unjail) Kind() Kind { return KindUnjail }

// Check implements [Body].
func (b *Bond) Check() error {
	if b.Amount == 0 || b.Amount > MaxSupply {
		return fmt.Errorf("bond of %s: the amount must be more than 0 and at most %s", b.Amount, MaxSupply)
	}
	if b.Keys == nil {
		return nil
	}
	return b.Keys.Check()
}

// Check implements [Body].
func (u *Unbond) Check() error {
	if u.Amount > MaxSupply {
		return fmt.Errorf("unbond %s: at most %s", u.Amount, MaxSupply)
	}
	return nil
}

// Check implements [Body].
func (r *Rotate) Check() error { return r.Keys.Check() }

// Check implements [Body].
func (*Unjail) Check() error { return nil }

// Access implements [Body].
func (b *Bond) Access() Access {
	a := Access{Stake: true, Writes: [][]byte{StakersKey()}}
	if b.Keys != nil {
		a.Writes = append(a.Writes, b.Keys.claims()...)
	}
	return a
}

// Access implements [Body].
func (*Unbond) Access() Access { return Access{Stake: true} }

// Access implements [Body].
func (r *Rotate) Access() Access { return Access{Stake: true, Writes: r.Keys.claims()} }

// Access implements [Body].
func (*Unjail) Access() Access { return Access{Stake: true} }

// claims are the state keys that make sure that no two validators share a key.
func (k *ValidatorKeys) claims() [][]byte {
	return [][]byte{ClaimKey(k.Key), ClaimKey([]byte(k.Identity))}
}

// StakeKey is the state key of an account's stake.
func StakeKey(operator Address) []byte { return append([]byte("v/"), operator[:]...) }

// ClaimKey is the state key that says whose a voting key or identity is.
func ClaimKey(key []byte) []byte {
	h := hash.Sum("starling/claim", key)
	return append([]byte("k/"), h[:]...)
}

// StakersKey is the state key of the list of all accounts with a stake.
func StakersKey() []byte { return []byte("m/stakers") }

// SetKey is the state key of an epoch's validator set.
func SetKey(e Epoch) []byte { return binary.BigEndian.AppendUint64([]byte("s/"), uint64(e)) }
