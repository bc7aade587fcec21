// Package transcript turns what a prover says into the challenges that a verifier would have
// drawn (Fiat and Shamir 1986).
//
// Look at [Transcript]. Whoever proves or verifies absorbs the whole statement first, then each
// message before the challenge that follows it: what is left out could be chosen after the
// challenge is known, which is how proofs have been forged ("Frozen Heart", 2022). The package
// imports nothing of the project but crypto/curve.
package transcript

import (
	"encoding/binary"

	"golang.org/x/crypto/blake2b"

	"github.com/starlingmesh/starling/crypto/curve"
)

// Transcript is what was said so far: a chain of BLAKE2b-512 digests. It is a value: a copy goes
// its own way. The zero value is not ready; use [New].
type Transcript struct{ state [blake2b.Size]byte }

// New begins a transcript of one protocol, which its name, with a version, tells from all others.
func New(protocol string) Transcript {
	var t Transcript
	t.Bytes("protocol", []byte(protocol))
	return t
}

// Bytes absorbs a message. Labels are constants, and say what it is.
func (t *Transcript) Bytes(label string, data []byte) {
	t.step('m', label, data)
}

// step hashes the state, a kind, and the label and data with their lengths.
func (t *Transcript) step(kind byte, label string, data []byte) {
	b := make([]byte, 0, len(t.state)+1+16+len(label)+len(data))
	b = append(append(b, t.state[:]...), kind)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(label))), label...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(data))), data...)
	t.state = blake2b.Sum512(b)
}

// Number absorbs a number.
func (t *Transcript) Number(label string, n uint64) {
	t.Bytes(label, binary.BigEndian.AppendUint64(nil, n))
}

// Points absorbs points, and how many they are. Infinity is absorbed as zeros.
func (t *Transcript) Points(label string, points ...curve.Point) {
	b := make([]byte, 0, len(points)*curve.PointSize)
	for _, p := range points {
		enc := p.Bytes()
		b = append(b, enc[:]...)
	}
	t.Bytes(label, b)
}

// Scalars absorbs scalars, and how many they are.
func (t *Transcript) Scalars(label string, scalars ...curve.Scalar) {
	b := make([]byte, 0, len(scalars)*curve.ScalarSize)
	for _, s := range scalars {
		enc := s.Bytes()
		b = append(b, enc[:]...)
	}
	t.Bytes(label, b)
}

// Challenge draws a scalar that is not zero. It is absorbed, so the next is another.
func (t *Transcript) Challenge(label string) curve.Scalar {
	for {
		t.step('c', label, nil)
		if s := curve.ReduceScalar(t.state[:]); !s.IsZero() {
			return s
		}
	}
}

// Weight draws a number of 128 bits that is not zero, in little-endian words.
func (t *Transcript) Weight(label string) [2]uint64 {
	t.step('c', label, nil)
	return [2]uint64{binary.BigEndian.Uint64(t.state[:]) | 1, binary.BigEndian.Uint64(t.state[8:])}
}
