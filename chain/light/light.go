// Package light is what a client checks who trusts nothing but the genesis file:
// that an account had a balance at a height. Look at [Trust] and [Trust.Verify].
//
// A [Proof] joins a state certificate, signed by a quorum of the validators of its
// epoch, with a Merkle proof under the state root that it names. Who validates is
// known from the genesis for the first epoch, and from one [End] an epoch for the
// others. The package does no I/O; cmd and the API carry proofs about.
package light

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/consensus"
	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/state"
	"github.com/starlingmesh/starling/chain/types"
)

// ErrProof is wrapped by every refusal of a proof.
var ErrProof = errors.New("the proof does not hold")

// MaxProof is the longest encoded proof in bytes.
const MaxProof = state.MaxProof + 4<<10

// Proof shows what an account held, or that it did not exist.
type Proof struct {
	_       struct{} `cbor:",toarray"`
	Address types.Address
	Account []byte // as the state holds it; empty if there is none
	Path    []byte // state.Proof, encoded
	Cert    types.StateCert
}

// Verified is what a proof shows.
type Verified struct {
	Address types.Address
	Exists  bool
	Account ledger.Account
	Height  types.Height
	Epoch   types.Epoch
	Signers []string // names of the validators that vouch for it
}

// Prove makes the proof for an account in the state that the certificate names.
// It returns the account too, nil if there is none.
func Prove(snapshot *state.Snapshot, a types.Address, cert *types.StateCert) ([]byte, *ledger.Account, error) {
	path, value, err := snapshot.Prove(types.AccountKey(a))
	if err != nil {
		return nil, nil, fmt.Errorf("prove account %s: %w", a, err)
	}
	p := Proof{Address: a, Account: value, Path: path.Encode(), Cert: *cert}
	if value == nil {
		p.Account = []byte{}
		raw, err := canon.Marshal(p)
		return raw, nil, err
	}
	account, err := ledger.DecodeAccount(value)
	if err != nil {
		return nil, nil, fmt.Errorf("prove account %s: %w", a, err)
	}
	raw, err := canon.Marshal(p)
	return raw, &account, err
}

// Decode reads an encoded proof without believing it.
func Decode(raw []byte) (*Proof, error) {
	if len(raw) > MaxProof {
		return nil, fmt.Errorf("%w: %d bytes, the longest has %d", ErrProof, len(raw), MaxProof)
	}
	p := &Proof{}
	if err := canon.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if p.Account == nil || p.Path == nil || p.Cert.Signers == nil || p.Cert.Signature == nil {
		return nil, fmt.Errorf("%w: a byte string is null", ErrProof) // would be a second form of empty
	}
	return p, nil
}

// Verify checks a proof and returns what it shows. It trusts neither the node that
// gave it nor the way it came; what it cannot show is that no newer state exists.
// The error wraps [ErrEpoch] if the proof is of an epoch after [Trust.Epoch].
func (t *Trust) Verify(p *Proof) (Verified, error) {
	out := Verified{Address: p.Address, Height: p.Cert.Height}
	authority, err := t.authority(p.Cert.Height)
	if err != nil {
		return out, err
	}
	out.Epoch = authority.Epoch
	if err := consensus.VerifyStateCert(t.chain, authority.Scheme, authority.Validators, &p.Cert); err != nil {
		return out, fmt.Errorf("%w: it is not signed by a quorum of the validators: %w", ErrProof, err)
	}
	path, err := state.DecodeProof(p.Path)
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrProof, err)
	}
	var value []byte
	if len(p.Account) > 0 {
		value = p.Account
	}
	if err := state.VerifyProof(p.Cert.Root, types.AccountKey(p.Address), value, path); err != nil {
		return out, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if out.Exists = value != nil; out.Exists {
		if out.Account, err = ledger.DecodeAccount(value); err != nil {
			return out, fmt.Errorf("%w: %w", ErrProof, err)
		}
	}
	for i := range p.Cert.Signers.All() {
		out.Signers = append(out.Signers, authority.Validators.At(types.ValidatorIndex(i)).Name)
	}
	return out, nil
}
