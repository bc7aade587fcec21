package types

import (
	"fmt"

	"github.com/starlingmesh/starling/canon"
)

// KindData publishes bytes.
const KindData Kind = 6

// MaxContent is the most bytes that one transaction publishes.
const MaxContent = 56 << 10

// Data publishes bytes: they are ordered and kept with the block that holds them, and no
// state but the sender's account changes. Its least fee grows with its size.
type Data struct {
	_       struct{} `cbor:",toarray"`
	Content []byte
}

// readData decodes a body without copying it.
func readData(raw []byte) (*Data, error) {
	r := canon.Read(raw)
	r.Struct(1)
	d := &Data{Content: r.Bytes()}
	if err := r.Done(); err != nil {
		return nil, err
	}
	return d, d.Check()
}

// Kind implements [Body].
func (*Data) Kind() Kind { return KindData }

// Check implements [Body].
func (d *Data) Check() error {
	if len(d.Content) == 0 || len(d.Content) > MaxContent {
		return fmt.Errorf("data of %d bytes: want 1 to %d", len(d.Content), MaxContent)
	}
	return nil
}

// Access implements [Body].
func (*Data) Access() Access { return Access{} }

// LeastFee is the least fee of a transaction with a body that a typed key signs, none if there is no
// sender: MinFee for each signature that its members make, once more for each KiB of data
// that has begun, and of one with proofs once more for each signature that could be verified
// meanwhile, about: see [ProofWork].
func (p Params) LeastFee(body Body, key []byte) Drops {
	times := signatures(key)
	switch b := body.(type) {
	case *Data:
		times += kibibytes(len(b.Content))
	case Confidential:
		times += Drops(ProofWork(b))
	}
	if p.MinFee > MaxSupply/times {
		return MaxSupply
	}
	return p.MinFee * times
}

func kibibytes(n int) Drops { return (Drops(n) + 1023) / 1024 }
