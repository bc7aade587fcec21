package types

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/crypto/bulletproof"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// Confidential transactions: amounts are in commitments, recipients are one-time keys, and who
// spends is hidden in a ring. See docs/CONFIDENTIAL.md.
const (
	KindShield   Kind = 7 // coins of an account become confidential outputs
	KindTransfer Kind = 8 // outputs become others; nobody signs as an account
	KindUnshield Kind = 9 // outputs become others, and coins of an account
)

// Bounds of confidential transactions.
const (
	MaxInputs  = 16
	MinOutputs = 2 // always a second one, so that it is not seen whether there is change
	MaxOutputs = 16
	// Confidential1 is the version of the proofs: Bulletproofs+ for each output, CLSAG for each
	// input.
	Confidential1 = 1
)

// ConfidentialOutput is a payment that only its recipient can read.
type ConfidentialOutput struct {
	_                          struct{} `cbor:",toarray"`
	Ephemeral, Key, Commitment curve.Point
	Tag                        uint8
	Sealed                     []byte // stealth.SealedSize
	Proof                      []byte // bulletproof.Size: the commitment holds 64 bits
}

func (o *ConfidentialOutput) check() error {
	if len(o.Sealed) != stealth.SealedSize || len(o.Proof) != bulletproof.Size {
		return errors.New("an output with parts of a wrong size")
	}
	return nil
}

// ConfidentialInput spends one of the outputs of a ring.
type ConfidentialInput struct {
	_         struct{}    `cbor:",toarray"`
	Ring      []uint64    // numbers of outputs, ascending
	Image     curve.Point // key image: shown once for each output that is spent
	Pseudo    curve.Point // commitment to the amount of the one that is spent
	Signature []byte      // ring.SizeOf
}

func (in *ConfidentialInput) check() error {
	if len(in.Ring) < ring.MinSize || len(in.Ring) > ring.MaxSize {
		return fmt.Errorf("a ring of %d outputs: want %d to %d", len(in.Ring), ring.MinSize, ring.MaxSize)
	}
	for i := 1; i < len(in.Ring); i++ {
		if in.Ring[i] <= in.Ring[i-1] {
			return errors.New("a ring out of order, or with an output twice")
		}
	}
	if len(in.Signature) != ring.SizeOf(len(in.Ring)) {
		return errors.New("a ring signature of a wrong size")
	}
	return nil
}

// Confidential is a body that makes confidential outputs.
type Confidential interface {
	Body
	Creates() []ConfidentialOutput
}

// Anonymous is a body that spends confidential outputs. Its transaction has no sender: no key,
// sequence, memo or signature. What it spends pays the fee.
type Anonymous interface {
	Confidential
	Spends() []ConfidentialInput
	// PaysOut is what leaves for an account.
	PaysOut() Drops
	// unsigned is the body without its ring signatures.
	unsigned() Body
}

// MaxProofWork is how much [ProofWork] a block, or a lane's batch, may take: less than two
// seconds of one core.
const MaxProofWork = 16_384

// ProofWork is what it takes to verify a body's proofs: 1 for each member of a ring, 10 for each
// output; none for other bodies. It is about one ECDSA verification each.
func ProofWork(body Body) (work int) {
	c, ok := body.(Confidential)
	if !ok {
		return 0
	}
	work = 10 * len(c.Creates())
	if a, ok := c.(Anonymous); ok {
		for _, in := range a.Spends() {
			work += len(in.Ring)
		}
	}
	return work
}

// Shield turns coins of the sender's account into outputs.
type Shield struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Amount  Drops // what the outputs hold together
	// Excess is the sum of the outputs' blinding factors: with it everybody sees that they hold
	// the amount, and not what each holds.
	Excess  curve.Scalar
	Outputs []ConfidentialOutput
}

// Kind implements [Body].
func (*Shield) Kind() Kind { return KindShield }

// Access implements [Body].
func (*Shield) Access() Access { return Access{} }

// Creates implements [Confidential].
func (s *Shield) Creates() []ConfidentialOutput { return s.Outputs }

// Check implements [Body].
func (s *Shield) Check() error {
	if s.Amount == 0 || s.Amount > MaxSupply {
		return fmt.Errorf("shield of %s: the amount must be more than 0 and at most %s", s.Amount, MaxSupply)
	}
	return checkOutputs(s.Version, s.Outputs)
}

func checkOutputs(version uint8, outputs []ConfidentialOutput) error {
	if version != Confidential1 {
		return fmt.Errorf("proofs of version %d are not known here (is this node up to date?)", version)
	}
	if len(outputs) < MinOutputs || len(outputs) > MaxOutputs {
		return fmt.Errorf("%d confidential outputs: want %d to %d", len(outputs), MinOutputs, MaxOutputs)
	}
	for i := range outputs {
		if err := outputs[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// Transfer turns outputs into others.
type Transfer struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Inputs  []ConfidentialInput // ascending by key image
	Outputs []ConfidentialOutput
}

// Kind implements [Body].
func (*Transfer) Kind() Kind { return KindTransfer }

// Access implements [Body].
func (t *Transfer) Access() Access { return spendAccess(t.Inputs) }

// Creates implements [Confidential].
func (t *Transfer) Creates() []ConfidentialOutput { return t.Outputs }

// Spends implements [Anonymous].
func (t *Transfer) Spends() []ConfidentialInput { return t.Inputs }

// PaysOut implements [Anonymous].
func (*Transfer) PaysOut() Drops { return 0 }

func (t *Transfer) unsigned() Body {
	u := *t
	u.Inputs = withoutSignatures(t.Inputs)
	return &u
}

// Check implements [Body].
func (t *Transfer) Check() error {
	return errors.Join(checkOutputs(t.Version, t.Outputs), checkInputs(t.Inputs))
}

// Unshield turns outputs into others, and into coins of an account.
type Unshield struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	To      Address
	Amount  Drops
	Inputs  []ConfidentialInput // ascending by key image
	Outputs []ConfidentialOutput
}

// Kind implements [Body].
func (*Unshield) Kind() Kind { return KindUnshield }

// Access implements [Body].
func (u *Unshield) Access() Access {
	a := spendAccess(u.Inputs)
	a.Writes = append(a.Writes, AccountKey(u.To))
	return a
}

// Creates implements [Confidential].
func (u *Unshield) Creates() []ConfidentialOutput { return u.Outputs }

// Spends implements [Anonymous].
func (u *Unshield) Spends() []ConfidentialInput { return u.Inputs }

// PaysOut implements [Anonymous].
func (u *Unshield) PaysOut() Drops { return u.Amount }

func (u *Unshield) unsigned() Body {
	out := *u
	out.Inputs = withoutSignatures(u.Inputs)
	return &out
}

// Check implements [Body].
func (u *Unshield) Check() error {
	if u.Amount == 0 || u.Amount > MaxSupply {
		return fmt.Errorf("unshield of %s: the amount must be more than 0 and at most %s", u.Amount, MaxSupply)
	}
	return errors.Join(checkOutputs(u.Version, u.Outputs), checkInputs(u.Inputs))
}

func checkInputs(inputs []ConfidentialInput) error {
	if len(inputs) == 0 || len(inputs) > MaxInputs {
		return fmt.Errorf("%d confidential inputs: want 1 to %d", len(inputs), MaxInputs)
	}
	var last [curve.PointSize]byte
	for i := range inputs {
		if err := inputs[i].check(); err != nil {
			return err
		}
		image := inputs[i].Image.Bytes()
		if bytes.Compare(image[:], last[:]) <= 0 {
			return errors.New("key images out of order, or one of them twice")
		}
		last = image
	}
	return nil
}

func withoutSignatures(inputs []ConfidentialInput) []ConfidentialInput {
	out := append([]ConfidentialInput{}, inputs...)
	for i := range out {
		out[i].Signature = []byte{}
	}
	return out
}

// ImageKey is the state key that says that a key image was shown.
func ImageKey(image curve.Point) []byte {
	enc := image.Bytes()
	return append([]byte("i/"), enc[:]...)
}

// OutputKey is the state key of a confidential output, by its number.
func OutputKey(number uint64) []byte { return binary.BigEndian.AppendUint64([]byte("o/"), number) }

func spendAccess(inputs []ConfidentialInput) (a Access) {
	for i := range inputs {
		a.Writes = append(a.Writes, ImageKey(inputs[i].Image))
	}
	return a
}

// SpendMessage is what ring signatures sign: all of a transaction but themselves.
func SpendMessage(h Header, body Anonymous) (hash.Hash, error) {
	payloadBytes, _, err := Unsigned(h, body.unsigned())
	if err != nil {
		return hash.Hash{}, err
	}
	return hash.Sum("starling/confidential/spend", payloadBytes), nil
}

// OutputContext is what makes the outputs of a transaction unique: its key images, or the
// account that shields and its sequence.
func OutputContext(h Header, body Confidential) hash.Hash {
	if a, ok := body.(Anonymous); ok {
		images := make([]curve.Point, len(a.Spends()))
		for i, in := range a.Spends() {
			images[i] = in.Image
		}
		return ImagesContext(h.Chain, images)
	}
	sender := h.Sender()
	return hash.Sum("starling/confidential/shield", h.Chain[:], sender[:], binary.BigEndian.AppendUint64(nil, h.Sequence))
}

// ImagesContext is [OutputContext] for who makes a transaction: its key images, ascending.
func ImagesContext(chain hash.Hash, images []curve.Point) hash.Hash {
	all := slices.Clone(chain[:])
	for _, image := range images {
		enc := image.Bytes()
		all = append(all, enc[:]...)
	}
	return hash.Sum("starling/confidential/images", all)
}

// anonymousSender stands for the sender of a transaction that has none: two that spend one
// output have the same if that is the first of both, so that they wait in one place.
func anonymousSender(a Anonymous) Address {
	image := a.Spends()[0].Image.Bytes()
	return Address(hash.Sum("starling/confidential/sender", image[:]))
}

// NewAnonymousTx encodes a transaction whose ring signatures are made. Of the header it takes
// the chain, the fee and the expiry.
func NewAnonymousTx(h Header, body Anonymous) (*Tx, error) {
	p, _, err := Unsigned(Header{Chain: h.Chain, Fee: h.Fee, Expiry: h.Expiry}, body)
	if err != nil {
		return nil, err
	}
	raw, err := canon.Marshal(envelope{Payload: p, Signature: []byte{}})
	if err != nil {
		return nil, err
	}
	return DecodeTx(raw)
}

// checkAnonymous refuses what would tell transactions without a sender from each other.
func checkAnonymous(p *payload) error {
	if len(p.Key) != 0 || len(p.Account) != 0 || p.Sequence != 0 || len(p.Memo) != 0 {
		return errors.New("a transaction that spends confidential outputs has no key, account, sequence or memo")
	}
	return nil
}
