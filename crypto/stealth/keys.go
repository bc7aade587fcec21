package stealth

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
)

// ErrKeys means that bytes are not keys of this package.
var ErrKeys = errors.New("not private payment keys")

// Keys are all of a wallet's: they see and spend.
type Keys struct {
	ViewKeys
	spend curve.Scalar
}

// ViewKeys see what comes in.
type ViewKeys struct {
	view  curve.Scalar
	Spend curve.Point // public
}

// NewKeys makes keys of two secrets, neither of which is 0.
func NewKeys(view, spend curve.Scalar) (*Keys, error) {
	if view.IsZero() || spend.IsZero() {
		return nil, fmt.Errorf("%w: a secret is zero", ErrKeys)
	}
	return &Keys{ViewKeys{view, curve.BaseMulVarTime(spend)}, spend}, nil
}

// DeriveKeys makes keys, and a seed for payment proofs, of a secret that is as hard to guess as a
// key: for wallets that have no words.
func DeriveKeys(secret []byte) (*Keys, hash.Hash, error) {
	k, err := NewKeys(scalarOf("wallet/view", secret), scalarOf("wallet/spend", secret))
	return k, hash.Sum("starling/stealth/wallet/proofs", secret), err
}

// viewKeysSize is the length of encoded view keys.
const viewKeysSize = curve.ScalarSize + curve.PointSize

// ViewBytes encodes view keys: the view secret, the public spend key.
func (v *ViewKeys) ViewBytes() []byte {
	a, b := v.view.Bytes(), v.Spend.Bytes()
	return append(a[:], b[:]...)
}

// ParseViewKeys reads what [ViewKeys.ViewBytes] writes. It returns [ErrKeys].
func ParseViewKeys(raw []byte) (*ViewKeys, error) {
	if len(raw) != viewKeysSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrKeys, len(raw), viewKeysSize)
	}
	a, err := curve.ParseScalar(raw[:curve.ScalarSize])
	if err != nil || a.IsZero() {
		return nil, fmt.Errorf("%w: no view secret", ErrKeys)
	}
	b, err := curve.ParsePoint(raw[curve.ScalarSize:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return &ViewKeys{a, b}, nil
}

// Address is what one pays to.
type Address struct {
	Spend, View curve.Point
	Sub         bool // a subaddress: what is sent along is made otherwise
}

// AddressSize is the length of an encoded address in bytes.
const AddressSize = 1 + 2*curve.PointSize

// Bytes encodes an address: 1 for a subaddress or 0, the spend key, the view key.
func (a Address) Bytes() []byte {
	s, v := a.Spend.Bytes(), a.View.Bytes()
	out := make([]byte, 1, AddressSize)
	if a.Sub {
		out[0] = 1
	}
	return append(append(out, s[:]...), v[:]...)
}

// ParseAddress reads what [Address.Bytes] writes. It returns [ErrKeys].
func ParseAddress(raw []byte) (a Address, err error) {
	if len(raw) != AddressSize || raw[0] > 1 {
		return Address{}, fmt.Errorf("%w: not an address", ErrKeys)
	}
	a.Sub = raw[0] == 1
	if a.Spend, err = curve.ParsePoint(raw[1 : 1+curve.PointSize]); err == nil {
		a.View, err = curve.ParsePoint(raw[1+curve.PointSize:])
	}
	if err != nil {
		return Address{}, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	return a, nil
}

// Address is the wallet's address of a number: 0 is its main one, others are subaddresses, which
// nobody can tell to be of the same wallet.
func (v *ViewKeys) Address(n uint32) Address {
	if n == 0 {
		return Address{Spend: v.Spend, View: curve.BaseMulVarTime(v.view)}
	}
	spend := v.Spend.Add(curve.BaseMulVarTime(v.shift(n)))
	return Address{Spend: spend, View: curve.MulVarTime(v.view, spend), Sub: true}
}

// shift is what a subaddress's spend secret is more than the main one's.
func (v *ViewKeys) shift(n uint32) curve.Scalar {
	if n == 0 {
		return curve.Scalar{}
	}
	a := v.view.Bytes()
	return scalarOf("subaddress", a[:], binary.BigEndian.AppendUint32(nil, n))
}

// Secret is the secret of a received output's one-time key.
func (k *Keys) Secret(r Received) curve.Scalar {
	return k.spend.Add(k.shift(r.Address)).Add(r.Offset)
}

// scalarOf hashes to a scalar: of 512 bits, so that it is uniform. It is not 0, except with
// probability 2^-256.
func scalarOf(label string, parts ...[]byte) curve.Scalar {
	wide := make([]byte, 0, 2*hash.Size)
	for _, half := range []string{"/high", "/low"} {
		sum := hash.Sum("starling/stealth/"+label+half, parts...)
		wide = append(wide, sum[:]...)
	}
	return curve.ReduceScalar(wide)
}
