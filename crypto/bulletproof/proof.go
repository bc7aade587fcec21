package bulletproof

import (
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/pedersen"
	"github.com/starlingmesh/starling/crypto/transcript"
)

const (
	// Bits is how many bits an amount has.
	Bits   = 64
	rounds = 6 // log2 of Bits
	// Size is the length of an encoded proof in bytes.
	Size = (3+2*rounds)*curve.PointSize + 3*curve.ScalarSize
)

// ErrProof means that bytes are not a proof, whatever they would prove.
var ErrProof = errors.New("not an encoded range proof")

// Proof says that a commitment, which is not part of it, holds less than 2^64.
type Proof struct {
	A, A1, B curve.Point
	L, R     [rounds]curve.Point
	// R1, S1 and D1 are the paper's r', s' and delta'.
	R1, S1, D1 curve.Scalar
}

// points lists the proof's points, in the order of the encoding.
func (p *Proof) points() []*curve.Point {
	out := []*curve.Point{&p.A, &p.A1, &p.B}
	for i := range rounds {
		out = append(out, &p.L[i], &p.R[i])
	}
	return out
}

func (p *Proof) scalars() []*curve.Scalar { return []*curve.Scalar{&p.R1, &p.S1, &p.D1} }

// Bytes encodes a proof: its points, compressed, and its scalars, big-endian.
func (p *Proof) Bytes() []byte {
	out := make([]byte, 0, Size)
	for _, q := range p.points() {
		b := q.Bytes()
		out = append(out, b[:]...)
	}
	for _, s := range p.scalars() {
		b := s.Bytes()
		out = append(out, b[:]...)
	}
	return out
}

// Parse reads what [Proof.Bytes] writes, and nothing else. It returns [ErrProof].
func Parse(b []byte) (*Proof, error) {
	if len(b) != Size {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrProof, len(b), Size)
	}
	p := new(Proof)
	for _, q := range p.points() {
		if err := q.UnmarshalBinary(b[:curve.PointSize]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProof, err)
		}
		b = b[curve.PointSize:]
	}
	for _, s := range p.scalars() {
		if err := s.UnmarshalBinary(b[:curve.ScalarSize]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProof, err)
		}
		b = b[curve.ScalarSize:]
	}
	return p, nil
}

// challenges are what the transcript gives.
type challenges struct {
	y, z, e curve.Scalar
	round   [rounds]curve.Scalar
	inverse [rounds + 1]curve.Scalar // of the rounds' and of y, for who verifies
}

// begin absorbs the statement: the protocol, with all its generators by name, and the
// commitment.
func begin(commitment curve.Point) transcript.Transcript {
	t := transcript.New(protocol)
	t.Number("bits", Bits)
	t.Bytes("generators", []byte(generatorTag))
	t.Bytes("amount base", []byte(pedersen.HTag+"/"+pedersen.HMessage))
	t.Points("commitment", commitment)
	return t
}

// first absorbs A and draws y and z.
func (c *challenges) first(t *transcript.Transcript, a curve.Point) {
	t.Points("A", a)
	c.y, c.z = t.Challenge("y"), t.Challenge("z")
}

// next absorbs a round's points and draws its challenge.
func (c *challenges) next(t *transcript.Transcript, i int, l, r curve.Point) {
	t.Points("L, R", l, r)
	c.round[i] = t.Challenge("e")
}

// last absorbs the last points and draws the last challenge.
func (c *challenges) last(t *transcript.Transcript, a1, b curve.Point) {
	t.Points("A, B", a1, b)
	c.e = t.Challenge("last e")
}

// replayAll draws the challenges of claims, with one inversion for all.
func replayAll(claims []Claim) []challenges {
	out := make([]challenges, len(claims))
	inverses := make([]curve.Scalar, 0, len(claims)*(rounds+1))
	for i, in := range claims {
		out[i] = in.Proof.replay(in.Commitment)
		inverses = append(append(inverses, out[i].round[:]...), out[i].y)
	}
	curve.InvertAll(inverses)
	for i := range out {
		out[i].inverse = [rounds + 1]curve.Scalar(inverses[i*(rounds+1):])
	}
	return out
}

// replay draws a proof's challenges.
func (p *Proof) replay(commitment curve.Point) (c challenges) {
	t := begin(commitment)
	c.first(&t, p.A)
	for i := range rounds {
		c.next(&t, i, p.L[i], p.R[i])
	}
	c.last(&t, p.A1, p.B)
	return c
}
