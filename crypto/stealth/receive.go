package stealth

import (
	"crypto/subtle"
	"encoding/binary"

	"github.com/starlingmesh/starling/crypto/curve"
)

// Received is an output that is one's own.
type Received struct {
	Address uint32 // the number of the address it was paid to
	Amount  uint64
	Memo    []byte
	Offset  curve.Scalar // k: with the spend secret it makes the one-time key's
	Mask    curve.Scalar // the commitment's blinding factor
}

// Scanner finds one's own outputs. It is safe for concurrent use.
type Scanner struct {
	keys  *ViewKeys
	known map[curve.Point]uint32 // spend keys of the addresses
}

// NewScanner looks for payments to the addresses with the numbers below n.
func NewScanner(keys *ViewKeys, n uint32) *Scanner {
	s := &Scanner{keys, make(map[curve.Point]uint32, n)}
	for i := range max(n, 1) {
		s.known[keys.Address(i).Spend] = i
	}
	return s
}

// Candidate is of an output what must be looked at to see that it is somebody else's.
type Candidate struct {
	Place
	Ephemeral [curve.PointSize]byte // R, encoded. Whether it is a point need not be known
	Tag       byte
}

// Scan looks at many outputs at once, which takes less than looking at each alone. It asks for
// all of an output, by its number in the list, only where the view tag is right: one of 256 times,
// and always of one's own. The result is as long as the list, and nil where an output is not one's
// own, or not as it must be: its amount is not what it says, or its halves are of two addresses.
// An error is that of whole.
func (s *Scanner) Scan(all []Candidate, whole func(i int) (Output, error)) ([]*Received, error) {
	ephemerals := make([][curve.PointSize]byte, len(all))
	for i := range all {
		ephemerals[i] = all[i].Ephemeral
	}
	out := make([]*Received, len(all))
	for i, x := range curve.MulXAllVarTime(s.keys.view, ephemerals) {
		sec := shared(x, all[i].Ephemeral, all[i].Place)
		if sec.tag() != all[i].Tag {
			continue
		}
		o, err := whole(i)
		if err != nil {
			return nil, err
		}
		out[i] = s.open(sec, &o, all[i].Place)
	}
	return out, nil
}

// open reads an output whose view tag is right.
func (s *Scanner) open(sec secret, o *Output, at Place) *Received {
	r := &Received{Offset: sec.offset(), Mask: sec.mask()}
	number, mine := s.known[o.Key.Sub(curve.BaseMulVarTime(r.Offset))]
	if !mine {
		return nil
	}
	r.Address = number
	pad := sec.pad()
	var plain [SealedSize]byte
	subtle.XORBytes(plain[:], o.Sealed[:], pad[:])
	r.Amount = binary.BigEndian.Uint64(plain[:])
	anchor := [AnchorSize]byte(plain[8:])
	memo := plain[8+AnchorSize+1:]
	length := int(plain[8+AnchorSize])
	if length > MemoSize {
		return nil
	}
	r.Memo = append([]byte{}, memo[:length]...)
	to := s.keys.Address(number)
	if again := pay(anchor, at, Payment{To: to, Amount: r.Amount, Memo: r.Memo}); again.Output != *o {
		// The commitment is to another amount, the halves are of two addresses, or something is in
		// the padding.
		return nil
	}
	return r
}
