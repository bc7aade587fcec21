package ring

import (
	"fmt"
	"io"
	"slices"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/transcript"
)

// Member is one who may have signed: a key, and the commitment that it may spend.
type Member struct{ Key, Commitment curve.Point }

// Statement is what a signature is about.
type Statement struct {
	Ring []Member
	// Image is the key image of the member that signed.
	Image curve.Point
	// Pseudo is a commitment to the amount of that member's, with another blinding factor.
	Pseudo curve.Point
	// Message stands for everything else that the signer agrees to.
	Message hash.Hash
}

// Signature is a CLSAG.
type Signature struct {
	D         curve.Point  // as the key image, of the commitments' difference
	First     curve.Scalar // challenge of the first member
	Responses []curve.Scalar
}

// SizeOf is the length in bytes of an encoded signature for a ring.
func SizeOf(members int) int { return curve.PointSize + (1+members)*curve.ScalarSize }

// Bytes encodes a signature; the ring says how many responses there are.
func (s *Signature) Bytes() []byte {
	d := s.D.Bytes()
	out := append(make([]byte, 0, SizeOf(len(s.Responses))), d[:]...)
	return appendScalars(out, s.First, s.Responses)
}

func appendScalars(out []byte, first curve.Scalar, responses []curve.Scalar) []byte {
	for _, r := range append([]curve.Scalar{first}, responses...) {
		b := r.Bytes()
		out = append(out, b[:]...)
	}
	return out
}

// Parse reads the signature of a ring of so many members. It returns [ErrEncoding].
func Parse(b []byte, members int) (*Signature, error) {
	if members < MinSize || members > MaxSize || len(b) != SizeOf(members) {
		return nil, fmt.Errorf("%w: %d bytes for %d members", ErrEncoding, len(b), members)
	}
	s := new(Signature)
	var err error
	if s.D, err = curve.ParsePoint(b[:curve.PointSize]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	s.First, s.Responses, err = parseScalars(b[curve.PointSize:])
	return s, err
}

func parseScalars(b []byte) (first curve.Scalar, responses []curve.Scalar, err error) {
	all := make([]curve.Scalar, len(b)/curve.ScalarSize)
	for i := range all {
		if all[i], err = curve.ParseScalar(b[i*curve.ScalarSize : (i+1)*curve.ScalarSize]); err != nil {
			return first, nil, fmt.Errorf("%w: %w", ErrEncoding, err)
		}
	}
	return all[0], all[1:], nil
}

// Sign signs as the member at a place of the ring: secret is its key's, and difference that of
// its commitment's blinding factor less the pseudo-output's. It reads 32 bytes of rand. Errors
// are [ErrRing], and [ErrSecret] if the secrets are not the member's. Variable time; see
// crypto/curve.
func Sign(rand io.Reader, in Statement, at int, secret, difference curve.Scalar) (*Signature, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if at < 0 || at >= len(in.Ring) || curve.BaseMulVarTime(secret) != in.Ring[at].Key ||
		curve.BaseMulVarTime(difference) != in.Ring[at].Commitment.Sub(in.Pseudo) || Image(secret) != in.Image {
		return nil, ErrSecret
	}
	s := &Signature{D: curve.MulVarTime(difference, Base(in.Ring[at].Key))}
	if s.D.IsInfinity() {
		return nil, fmt.Errorf("%w: the pseudo-output is the commitment itself", ErrSecret)
	}
	l, muKey, muAmount := in.loop(s.D)
	nonces, err := newNonces(rand, l.transcript, secret, difference)
	if err != nil {
		return nil, err
	}
	s.First, s.Responses = l.close(&nonces, at, muKey.Mul(secret).Add(muAmount.Mul(difference)))
	return s, nil
}

// Verify returns [ErrRing] for a statement that nobody can sign, and [ErrSignature] unless one
// of the ring's members signed it.
func (s *Signature) Verify(in Statement) error {
	if err := in.check(); err != nil {
		return err
	}
	if s.D.IsInfinity() || len(s.Responses) != len(in.Ring) {
		return ErrSignature
	}
	if l, _, _ := in.loop(s.D); !l.holds(s.First, s.Responses) {
		return ErrSignature
	}
	return nil
}

func (in *Statement) keys() []curve.Point {
	keys := make([]curve.Point, len(in.Ring))
	for i, m := range in.Ring {
		keys[i] = m.Key
	}
	return keys
}

func (in *Statement) check() error {
	if in.Image.IsInfinity() || in.Pseudo.IsInfinity() {
		return fmt.Errorf("%w: the key image or the pseudo-output is infinity", ErrRing)
	}
	return checkKeys(in.keys())
}

// transcript absorbs all of the statement, and D.
func (in *Statement) transcript(d curve.Point) transcript.Transcript {
	commitments := make([]curve.Point, len(in.Ring))
	for i, m := range in.Ring {
		commitments[i] = m.Commitment
	}
	t := transcript.New("starling/clsag/v1")
	t.Points("keys", in.keys()...)
	t.Points("commitments", commitments...)
	t.Points("pseudo-output", in.Pseudo)
	t.Points("key image", in.Image)
	t.Points("D", d)
	t.Bytes("message", in.Message[:])
	return t
}

// weighedImage is what the right side has the challenge times.
func (in *Statement) weighedImage(d curve.Point, muKey, muAmount curve.Scalar) curve.Point {
	tables := curve.Tables(in.Image, d)
	return curve.FewVarTime(curve.Scalar{}, curve.Term{K: muKey, P: tables[0]}, curve.Term{K: muAmount, P: tables[1]})
}

// loop prepares the circle, with the weights of the key and of the amount.
func (in *Statement) loop(d curve.Point) (l *loop, muKey, muAmount curve.Scalar) {
	n := len(in.Ring)
	t := in.transcript(d)
	muKey, muAmount = t.Challenge("weight of the key"), t.Challenge("weight of the amount")
	commitments, pseudos := make([]curve.Point, n), make([]curve.Point, n)
	for i, m := range in.Ring {
		commitments[i], pseudos[i] = m.Commitment, in.Pseudo.Neg()
	}
	keys := in.keys()
	points := append(append(slices.Clone(keys), curve.AddAll(commitments, pseudos)...), in.weighedImage(d, muKey, muAmount))
	tables := curve.Tables(points...)
	return &loop{
		transcript: t, bases: bases(keys), image: tables[2*n],
		left: func(i int, c curve.Scalar) []curve.Term {
			return []curve.Term{{K: c.Mul(muKey), P: tables[i]}, {K: c.Mul(muAmount), P: tables[n+i]}}
		},
	}, muKey, muAmount
}
