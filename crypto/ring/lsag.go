package ring

import (
	"fmt"
	"io"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/transcript"
)

// KeySignature is an LSAG: by one of some keys, of a message.
type KeySignature struct {
	Image     curve.Point // of the key that signed: equal in all its signatures
	First     curve.Scalar
	Responses []curve.Scalar
}

// Bytes encodes a signature; the ring says how many responses there are.
func (s *KeySignature) Bytes() []byte {
	image := s.Image.Bytes()
	return appendScalars(append(make([]byte, 0, SizeOf(len(s.Responses))), image[:]...), s.First, s.Responses)
}

// ParseKeySignature reads the signature of a ring of so many keys. It returns [ErrEncoding].
func ParseKeySignature(b []byte, members int) (*KeySignature, error) {
	s, err := Parse(b, members) // the same layout
	if err != nil {
		return nil, err
	}
	return &KeySignature{Image: s.D, First: s.First, Responses: s.Responses}, nil
}

// SignKey signs a message with the key at a place of the ring. It reads 32 bytes of rand. Errors
// are [ErrRing] and [ErrSecret]. Variable time; see crypto/curve.
func SignKey(rand io.Reader, keys []curve.Point, message hash.Hash, at int, secret curve.Scalar) (*KeySignature, error) {
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	if at < 0 || at >= len(keys) || curve.BaseMulVarTime(secret) != keys[at] {
		return nil, ErrSecret
	}
	s := &KeySignature{Image: Image(secret)}
	l := keyLoop(keys, s.Image, message)
	nonces, err := newNonces(rand, l.transcript, secret)
	if err != nil {
		return nil, err
	}
	s.First, s.Responses = l.close(&nonces, at, secret)
	return s, nil
}

// Verify returns [ErrRing] for keys that nobody can sign for, and [ErrSignature] unless one of
// them signed the message.
func (s *KeySignature) Verify(keys []curve.Point, message hash.Hash) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	if s.Image.IsInfinity() {
		return fmt.Errorf("%w: the key image is infinity", ErrRing)
	}
	if len(s.Responses) != len(keys) || !keyLoop(keys, s.Image, message).holds(s.First, s.Responses) {
		return ErrSignature
	}
	return nil
}

func keyLoop(keys []curve.Point, image curve.Point, message hash.Hash) *loop {
	t := transcript.New("starling/lsag/v1")
	t.Points("keys", keys...)
	t.Points("key image", image)
	t.Bytes("message", message[:])
	tables := curve.Tables(append(append([]curve.Point{}, keys...), image)...)
	return &loop{
		transcript: t, bases: bases(keys), image: tables[len(keys)],
		left: func(i int, c curve.Scalar) []curve.Term { return []curve.Term{{K: c, P: tables[i]}} },
	}
}
