package ring

import (
	"errors"
	"fmt"
	"io"

	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/transcript"
)

// How many members rings have.
const (
	MinSize     = 2
	MaxSize     = 128
	DefaultSize = 16
)

var (
	// ErrRing means that a ring cannot be signed for: its size is out of range, a key is in it
	// twice, or a point is infinity.
	ErrRing = errors.New("not a ring to sign for")
	// ErrSignature means that a signature is not of what it is claimed to be.
	ErrSignature = errors.New("the ring signature does not hold")
	// ErrEncoding means that bytes are not a signature.
	ErrEncoding = errors.New("not an encoded ring signature")
	// ErrSecret means that the signer's secrets do not belong to the member.
	ErrSecret = errors.New("the secrets do not belong to the ring's member")
)

const baseTag = "starling/ring/key image/secp256k1_XMD:SHA-256_SSWU_RO_/v1"

// Base is Hp(P), the point of which a key's image is a multiple: the BLAKE2b digest of the key,
// hashed to the curve (RFC 9380). Nobody knows its logarithm, or key images would tell the key.
func Base(key curve.Point) curve.Point { return allBases([]curve.Point{key})[0] }

func allBases(keys []curve.Point) []curve.Point {
	digests := make([][]byte, len(keys))
	for i, k := range keys {
		enc := k.Bytes()
		digest := hash.Sum("starling/ring/key image", enc[:])
		digests[i] = digest[:]
	}
	return curve.HashToPoints(baseTag, digests...)
}

// Image is the key image of a secret key.
func Image(secret curve.Scalar) curve.Point {
	return curve.MulVarTime(secret, Base(curve.BaseMulVarTime(secret)))
}

// loop is the circle of challenges that both kinds of signature go round.
type loop struct {
	transcript transcript.Transcript // of the whole statement
	bases      []*curve.Table        // Hp of the members
	image      *curve.Table          // what the right side has c times
	left       func(i int, c curve.Scalar) []curve.Term
}

// step is the challenge after the member i.
func (l *loop) step(i int, c, s curve.Scalar) curve.Scalar {
	left, right := curve.TwoVarTime(s, l.left(i, c), curve.Scalar{}, []curve.Term{{K: s, P: l.bases[i]}, {K: c, P: l.image}})
	return l.challenge(left, right)
}

func (l *loop) challenge(left, right curve.Point) curve.Scalar {
	t := l.transcript
	t.Points("L, R", left, right)
	return t.Challenge("c")
}

// holds reports whether the circle closes.
func (l *loop) holds(first curve.Scalar, responses []curve.Scalar) bool {
	c := first
	for i, s := range responses {
		c = l.step(i, c, s)
	}
	return c == first
}

// close makes the responses: at the signer's place with the secret, everywhere else at random.
func (l *loop) close(nonces *transcript.Transcript, at int, secret curve.Scalar) (first curve.Scalar, responses []curve.Scalar) {
	n := len(l.bases)
	responses = make([]curve.Scalar, n)
	alpha := nonces.Challenge("alpha")
	c := l.challenge(curve.BaseMulVarTime(alpha), curve.FewVarTime(curve.Scalar{}, curve.Term{K: alpha, P: l.bases[at]}))
	for step := 1; step < n; step++ {
		i := (at + step) % n
		if i == 0 {
			first = c
		}
		responses[i] = nonces.Challenge("response")
		c = l.step(i, c, responses[i])
	}
	if at == 0 {
		first = c
	}
	responses[at] = alpha.Sub(c.Mul(secret))
	return first, responses
}

// newNonces begins a stream of secret scalars. The secrets and the statement are mixed in, so
// that with a rand that repeats itself no two statements share one.
func newNonces(rand io.Reader, statement transcript.Transcript, secrets ...curve.Scalar) (transcript.Transcript, error) {
	var seed [32]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return transcript.Transcript{}, fmt.Errorf("draw the nonces of a ring signature: %w", err)
	}
	statement.Bytes("seed", seed[:])
	statement.Scalars("secrets", secrets...)
	return statement, nil
}

// bases are Hp of the keys.
func bases(keys []curve.Point) []*curve.Table { return curve.Tables(allBases(keys)...) }

// checkKeys returns an [ErrRing].
func checkKeys(keys []curve.Point) error {
	if len(keys) < MinSize || len(keys) > MaxSize {
		return fmt.Errorf("%w: %d members, want %d to %d", ErrRing, len(keys), MinSize, MaxSize)
	}
	seen := make(map[curve.Point]bool, len(keys))
	for _, k := range keys {
		if k.IsInfinity() || seen[k] {
			return fmt.Errorf("%w: a key is infinity, or in it twice", ErrRing)
		}
		seen[k] = true
	}
	return nil
}
