package stealth

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/blake2b"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/pedersen"
)

const (
	// AnchorSize is the length of what the sender's secret is derived from, in bytes.
	AnchorSize = 16
	// MemoSize is the most bytes of a memo, and what each takes.
	MemoSize = 64
	// SealedSize is the length of an output's encrypted part.
	SealedSize = 8 + AnchorSize + 1 + MemoSize
)

// ErrMemo means that a memo is too long.
var ErrMemo = errors.New("the memo is too long")

// Output is a payment as everybody sees it.
type Output struct {
	Ephemeral  curve.Point // R
	Key        curve.Point // P, used once
	Commitment curve.Point // C
	Tag        byte
	Sealed     [SealedSize]byte // amount, anchor, memo
}

// Place is where an output is: what makes it unique, and its number there.
type Place struct {
	Context hash.Hash
	Number  uint32
}

// Payment is what is to be paid.
type Payment struct {
	To     Address
	Amount uint64
	Memo   []byte // up to MemoSize bytes, for the recipient alone
}

// Opened is an output with what its sender knows of it.
type Opened struct {
	Output
	Mask curve.Scalar // the commitment's blinding factor
}

// Pay makes an output. The seed is the sender's: with it the payment can be proved later
// ([Prove]). Errors are [ErrMemo].
func Pay(seed hash.Hash, at Place, p Payment) (Opened, error) {
	if len(p.Memo) > MemoSize {
		return Opened{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMemo, len(p.Memo), MemoSize)
	}
	prover, err := proverKey(seed, at, p.To)
	if err != nil {
		return Opened{}, err
	}
	return pay(anchorOf(prover.Public(), at), at, p), nil
}

func pay(anchor [AnchorSize]byte, at Place, p Payment) Opened {
	r := ephemeral(anchor, at, p)
	base := curve.Generator
	if p.To.Sub {
		base = p.To.Spend
	}
	out := Opened{Output: Output{Ephemeral: curve.MulVarTime(r, base)}}
	s := shared(curve.MulVarTime(r, p.To.View).X(), out.Ephemeral.Bytes(), at)
	out.Key = p.To.Spend.Add(curve.BaseMulVarTime(s.offset()))
	out.Mask = s.mask()
	out.Commitment = pedersen.Commit(p.Amount, out.Mask)
	out.Tag = s.tag()
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, SealedSize), p.Amount)
	plain = append(append(plain, anchor[:]...), byte(len(p.Memo)))
	plain = append(append(plain, p.Memo...), make([]byte, MemoSize-len(p.Memo))...)
	pad := s.pad()
	subtle.XORBytes(out.Sealed[:], plain, pad[:])
	return out
}

// ephemeral is r. It depends on all of the payment, so that none of it can be changed.
func ephemeral(anchor [AnchorSize]byte, at Place, p Payment) curve.Scalar {
	return scalarOf("ephemeral", anchor[:], at.bytes(), p.To.Bytes(), binary.BigEndian.AppendUint64(nil, p.Amount), p.Memo)
}

func (p Place) bytes() []byte { return binary.BigEndian.AppendUint32(p.Context[:], p.Number) }

// secret is what sender and recipient of an output share.
type secret hash.Hash

// shared takes the x coordinate of the point that both can compute, and R.
func shared(x [32]byte, ephemeral [curve.PointSize]byte, at Place) secret {
	return secret(hash.Sum("starling/stealth/shared", x[:], ephemeral[:], at.bytes()))
}

func (s secret) tag() byte            { return hash.Sum("starling/stealth/tag", s[:])[0] }
func (s secret) offset() curve.Scalar { return scalarOf("one-time key", s[:]) }
func (s secret) mask() curve.Scalar   { return scalarOf("mask", s[:]) }

// pad is the keystream. It is used for one message.
func (s secret) pad() (out [SealedSize]byte) {
	x, err := blake2b.NewXOF(SealedSize, s[:])
	if err == nil {
		_, err = x.Write([]byte("starling/stealth/pad"))
	}
	if err == nil {
		_, err = x.Read(out[:])
	}
	if err != nil {
		panic(err) // the sizes are constants that it takes
	}
	return out
}
