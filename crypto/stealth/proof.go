package stealth

import (
	"errors"

	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/keys"
)

// ErrPaymentProof means that a payment proof does not hold.
var ErrPaymentProof = errors.New("the payment proof does not hold")

// PaymentProof shows a third party that an output paid an address, and that who shows it is the
// sender: the message, which the third party should choose, is signed.
type PaymentProof struct {
	Payment
	Prover    []byte // typed public key that the output's anchor is the hash of
	Signature []byte
}

// proverKey is derived for each output from the sender's seed.
func proverKey(seed hash.Hash, at Place, to Address) (keys.PrivateKey, error) {
	derived := hash.Sum("starling/stealth/prover", seed[:], at.bytes(), to.Bytes())
	return keys.FromSeed(keys.Secp256k1, derived[:])
}

func anchorOf(prover keys.PublicKey, at Place) (a [AnchorSize]byte) {
	sum := hash.Sum("starling/stealth/anchor", prover.Bytes(), at.bytes())
	copy(a[:], sum[:])
	return a
}

func proofMessage(at Place, message []byte) []byte {
	sum := hash.Sum("starling/stealth/payment proof", at.bytes(), message)
	return sum[:]
}

// Prove proves a payment that was made with a seed. It returns [ErrPaymentProof] if the output at
// the place is not that payment, or of another seed.
func Prove(seed hash.Hash, out Output, at Place, paid Payment, message []byte) (*PaymentProof, error) {
	prover, err := proverKey(seed, at, paid.To)
	if err != nil {
		return nil, err
	}
	p := &PaymentProof{Payment: paid, Prover: prover.Public().Bytes()}
	if p.Signature, err = prover.Sign(proofMessage(at, message)); err != nil {
		return nil, err
	}
	return p, p.Verify(out, at, message)
}

// Verify returns [ErrPaymentProof] unless the output at the place is the payment, and who made it
// signed the message.
func (p *PaymentProof) Verify(out Output, at Place, message []byte) error {
	prover, err := keys.ParsePublicKey(p.Prover)
	if err != nil || len(p.Memo) > MemoSize || !prover.Verify(proofMessage(at, message), p.Signature) {
		return ErrPaymentProof
	}
	if pay(anchorOf(prover, at), at, p.Payment).Output != out {
		return ErrPaymentProof
	}
	return nil
}
