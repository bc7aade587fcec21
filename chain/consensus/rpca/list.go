package rpca

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bls"
	"github.com/starlingmesh/starling/crypto/hash"
)

// MinOverlap is the least part of two trusted lists, in percent of the longer
// one, that they must share: the worst-case bound for a quorum of 80% and 20% of
// liars (Chase and MacBrough, Analysis of the XRP Ledger Consensus Protocol,
// arXiv 1802.07242, 2018).
const MinOverlap = 90

// ErrOverlap is wrapped by every [OverlapError].
var ErrOverlap = errors.New("trusted lists overlap too little")

// TrustedList is a validator's published list: whom it trusts not to collude.
type TrustedList struct {
	_         struct{} `cbor:",toarray"`
	Validator types.ValidatorIndex
	Version   uint64     // a later list replaces an earlier one
	Members   bls.Bitmap // over the genesis validators
	Signature []byte     // by the vote key over Message
}

// Message is what a published list signs.
func (l TrustedList) Message(chain hash.Hash) hash.Hash {
	return hash.Sum("starling/rpca/list", chain[:], be(l.Version), l.Members)
}

// Encode returns the canonical encoding.
func (l TrustedList) Encode() ([]byte, error) { return canon.Marshal(l) }

// MaxList is the most bytes that an encoded [TrustedList] takes.
const MaxList = types.MaxValidators/8 + MaxMessage

// DecodeTrustedList decodes what [TrustedList.Encode] wrote; n is the number of
// known validators. It does not check the signature.
func DecodeTrustedList(data []byte, n int) (TrustedList, error) {
	var l TrustedList
	if err := decode(data, MaxList, &l); err != nil {
		return TrustedList{}, fmt.Errorf("trusted list: %w", err)
	}
	if err := l.Members.Validate(n); err != nil {
		return TrustedList{}, fmt.Errorf("trusted list: %w: %w", ErrMessage, err)
	}
	if l.Members.Count() == 0 || len(l.Signature) > maxSignature {
		return TrustedList{}, fmt.Errorf("trusted list: %w: a field is out of range", ErrMessage)
	}
	return l, nil
}

// Everyone is the list of all n known validators.
func Everyone(n int) bls.Bitmap {
	b := bls.NewBitmap(n)
	for i := range n {
		b.Set(i)
	}
	return b
}

// Overlap is how much two lists share.
type Overlap struct {
	With   types.ValidatorIndex // whose list the other one is
	Shared int                  // validators on both
	Of     int                  // length of the longer one
}

// Enough says that the overlap reaches [MinOverlap].
func (o Overlap) Enough() bool { return o.Shared*100 >= o.Of*MinOverlap }

// OverlapOf compares a list with a published one.
func OverlapOf(own bls.Bitmap, other TrustedList) Overlap {
	o := Overlap{With: other.Validator, Of: max(own.Count(), other.Members.Count())}
	for i := range own.All() {
		if other.Members.Has(i) {
			o.Shared++
		}
	}
	return o
}

// OverlapError says with whom a list shares too little.
type OverlapError struct{ Short []Overlap }

// Error implements error.
func (e *OverlapError) Error() string {
	parts := make([]string, len(e.Short))
	for i, o := range e.Short {
		parts[i] = fmt.Sprintf("validator %d (%d of %d)", o.With, o.Shared, o.Of)
	}
	return fmt.Sprintf("%v: %s; at least %d%% is needed to rule out a fork: agree on a common list, or allow it explicitly and accept the risk",
		ErrOverlap, strings.Join(parts, ", "), MinOverlap)
}

// Unwrap makes the error match [ErrOverlap].
func (e *OverlapError) Unwrap() error { return ErrOverlap }

// CheckOverlap compares a trusted list with the published lists of others. It
// returns an [OverlapError] that names every list that shares less than
// [MinOverlap] percent.
func CheckOverlap(own bls.Bitmap, others []TrustedList) error {
	var short []Overlap
	for _, other := range others {
		if o := OverlapOf(own, other); !o.Enough() {
			short = append(short, o)
		}
	}
	if len(short) == 0 {
		return nil
	}
	slices.SortFunc(short, func(a, b Overlap) int { return int(a.With) - int(b.With) })
	return &OverlapError{Short: short}
}

// percentOf is the least whole number that is at least p percent of n.
func percentOf(p, n int) int { return (p*n + 99) / 100 }
