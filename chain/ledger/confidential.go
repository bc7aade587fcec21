package ledger

import (
	"fmt"
	"math"

	"github.com/starlingmesh/starling/canon"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/pedersen"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// RingAge is how many blocks an output must be old to be in a ring: younger ones could vanish
// where blocks are not final at once, and are spent sooner than any decoy would be.
const RingAge = 10

var (
	shieldedKey = []byte("m/shielded")
	outputsKey  = []byte("m/outputs")
)

// Output is a confidential output as the state holds it.
type Output struct {
	_                          struct{} `cbor:",toarray"`
	Height                     types.Height
	Context                    hash.Hash // with Number its [stealth.Place]
	Number                     uint32
	Ephemeral, Key, Commitment curve.Point
	Tag                        uint8
	Sealed                     []byte
	// Images are the key images that the transaction showed; with its first output alone. Who
	// reads all outputs in their order so learns what was spent, without asking for it.
	Images []curve.Point
}

// Stealth is the output as its sender made it, and where it is.
func (o *Output) Stealth() (stealth.Output, stealth.Place) {
	return stealth.Output{Ephemeral: o.Ephemeral, Key: o.Key, Commitment: o.Commitment, Tag: o.Tag, Sealed: [stealth.SealedSize]byte(o.Sealed)},
		stealth.Place{Context: o.Context, Number: o.Number}
}

// Sighting is of an output what a wallet needs that looks for its own. Of its three
// points none is decoded.
type Sighting struct {
	stealth.Candidate
	Height types.Height
	Images [][]byte // encoded key images of the transaction; with its first output alone
}

// DecodeSighting reads an output of the state. Of what it leaves out nothing is checked. It returns
// [ErrEncoding].
func DecodeSighting(raw []byte) (s Sighting, err error) {
	r := canon.Read(raw)
	r.Struct(9)
	s.Height = types.Height(r.Uint())
	context, number, ephemeral := r.Bytes(), r.Uint(), r.Bytes()
	r.Bytes() // key
	r.Bytes() // commitment
	s.Tag = uint8(r.Uint())
	r.Bytes() // sealed
	s.Images = r.List()
	if err = r.Done(); err == nil && (len(context) != hash.Size || number > math.MaxUint32) {
		err = ErrEncoding
	}
	if err == nil && len(ephemeral) != curve.PointSize {
		err = ErrEncoding
	}
	if err == nil {
		s.Place = stealth.Place{Context: hash.Hash(context), Number: uint32(number)}
		s.Ephemeral = [curve.PointSize]byte(ephemeral)
	}
	if err != nil {
		return Sighting{}, fmt.Errorf("output: %w: %w", ErrEncoding, err)
	}
	return s, nil
}

// DecodeOutput reads an output of the state. It returns [ErrEncoding].
func DecodeOutput(raw []byte) (*Output, error) {
	o := new(Output)
	if err := canon.Unmarshal(raw, o); err != nil {
		return nil, fmt.Errorf("output: %w: %w", ErrEncoding, err)
	}
	if len(o.Sealed) != stealth.SealedSize {
		return nil, fmt.Errorf("output: %w", ErrEncoding)
	}
	return o, nil
}

// outputsOf are the outputs that a transaction makes in a block.
func outputsOf(tx *types.Tx, body types.Confidential, h types.Height) []Output {
	context := types.OutputContext(tx.Header, body)
	created := body.Creates()
	out := make([]Output, len(created))
	for i := range created {
		c := &created[i]
		out[i] = Output{
			Height: h, Context: context, Number: uint32(i),
			Ephemeral: c.Ephemeral, Key: c.Key, Commitment: c.Commitment, Tag: c.Tag, Sealed: c.Sealed, Images: []curve.Point{},
		}
	}
	if a, ok := body.(types.Anonymous); ok {
		for _, in := range a.Spends() {
			out[0].Images = append(out[0].Images, in.Image)
		}
	}
	return out
}

// ReadOutput reads an output by its number; nil if there is none.
func ReadOutput(r Reader, number uint64) (*Output, error) {
	raw, err := r.Get(types.OutputKey(number))
	if raw == nil || err != nil {
		return nil, err
	}
	o, err := DecodeOutput(raw)
	if err != nil {
		return nil, fmt.Errorf("output %d: %w: %w", number, ErrCorrupt, err)
	}
	return o, nil
}

// Pool is the sum of what confidential outputs hold, and how many outputs there ever were.
type Pool struct {
	Shielded types.Drops
	Outputs  uint64
}

// ReadPool reads the pool. It is empty before the first output.
func ReadPool(r Reader) (p Pool, err error) {
	for _, total := range []struct {
		key []byte
		to  *uint64
	}{{shieldedKey, (*uint64)(&p.Shielded)}, {outputsKey, &p.Outputs}} {
		raw, err := r.Get(total.key)
		if err != nil {
			return Pool{}, fmt.Errorf("read state %q: %w", total.key, err)
		}
		if raw == nil {
			continue
		}
		d, ok := decodeDrops(raw)
		if !ok {
			return Pool{}, fmt.Errorf("%s: %w", total.key, ErrCorrupt)
		}
		*total.to = uint64(d)
	}
	return p, nil
}

// ImageSpent reports whether a key image was shown.
func ImageSpent(r Reader, image curve.Point) (bool, error) {
	raw, err := r.Get(types.ImageKey(image))
	return raw != nil, err
}

// Statements are what the ring signatures of a transaction in the block of height h must say. It
// returns [ErrRing].
func Statements(r Reader, tx *types.Tx, body types.Anonymous, h types.Height) ([]ring.Statement, error) {
	message, err := types.SpendMessage(tx.Header, body)
	if err != nil {
		return nil, err
	}
	inputs := body.Spends()
	out := make([]ring.Statement, len(inputs))
	for i := range inputs {
		in := &inputs[i]
		s := ring.Statement{Ring: make([]ring.Member, len(in.Ring)), Image: in.Image, Pseudo: in.Pseudo, Message: message}
		for j, number := range in.Ring {
			o, err := ReadOutput(r, number)
			if err != nil {
				return nil, err
			}
			if o == nil || o.Height+RingAge > h {
				return nil, fmt.Errorf("%w (output %d)", ErrRing, number)
			}
			s.Ring[j] = ring.Member{Key: o.Key, Commitment: o.Commitment}
		}
		out[i] = s
	}
	return out, nil
}

// Balanced reports whether a transaction makes no coins: what its outputs hold, and what leaves,
// is what it spends.
func Balanced(tx *types.Tx, body types.Confidential) bool {
	var in, out []curve.Point
	for i := range body.Creates() {
		out = append(out, body.Creates()[i].Commitment)
	}
	switch b := body.(type) {
	case types.Anonymous:
		for i := range b.Spends() {
			in = append(in, b.Spends()[i].Pseudo)
		}
		if b.PaysOut() > types.MaxSupply || tx.Fee > types.MaxSupply {
			return false
		}
		return pedersen.Balanced(in, out, uint64(b.PaysOut()+tx.Fee), curve.Scalar{})
	case *types.Shield:
		return pedersen.Balanced(out, nil, uint64(b.Amount), b.Excess)
	}
	return false
}

// anonymousAccount stands for the account of a transaction that has none. It pays any fee: that
// what is spent does is proved.
var anonymousAccount = Account{Balance: types.MaxSupply}

// AccountOf is the account that a transaction's sequence and fee are checked with: its sender's,
// or one that pays any fee where there is no sender. Errors are [ErrNoAccount] and
// [ErrImageSpent].
func AccountOf(r Reader, tx *types.Tx) (Account, error) {
	body, anonymous := tx.Body.(types.Anonymous)
	if !anonymous {
		return ReadAccount(r, tx.Sender())
	}
	for _, in := range body.Spends() {
		spent, err := ImageSpent(r, in.Image)
		if err != nil {
			return Account{}, err
		}
		if spent {
			return Account{}, ErrImageSpent
		}
	}
	return anonymousAccount, nil
}

// shield moves coins of the sender's account into the pool. That the outputs hold as much was
// verified before.
type shield struct{ reserve types.Drops }

func (s shield) apply(v *view, tx *types.Tx) Code {
	if !v.proven {
		return BadProof
	}
	from, _ := v.account(tx.Sender())
	had := from.Balance + tx.Fee
	if s.outlay(tx, had) == 0 {
		return Underfunded
	}
	body := tx.Body.(*types.Shield)
	from.Balance -= body.Amount
	v.setAccount(tx.Sender(), from)
	v.poolIn = body.Amount
	v.outputs = outputsOf(tx, body, v.height)
	return Applied
}

func (s shield) outlay(tx *types.Tx, balance types.Drops) types.Drops {
	amount := tx.Body.(*types.Shield).Amount
	if balance < amount || balance-amount < max(s.reserve, tx.Fee) {
		return 0
	}
	return amount
}

// spend is what transfers and unshields do after their proofs were verified: the pool loses what
// is paid out and the fee.
type spend struct{ reserve types.Drops }

func (s spend) apply(v *view, tx *types.Tx) Code {
	body := tx.Body.(types.Anonymous)
	for _, in := range body.Spends() {
		key := types.ImageKey(in.Image)
		if v.get(key) != nil {
			return ImageWasSpent
		}
		v.put(key, encodeDrops(types.Drops(v.height)))
	}
	if u, ok := body.(*types.Unshield); ok {
		to, exists := v.account(u.To)
		if !exists && u.Amount < s.reserve {
			return UnshieldBelowReserve
		}
		to.Balance += u.Amount
		v.setAccount(u.To, to)
	}
	v.poolOut = body.PaysOut() + tx.Fee
	if v.poolOut > v.block.pool.Shielded {
		return PoolEmpty // proofs that hold cannot come here, unless they are broken: nobody loses but who shielded
	}
	v.outputs = outputsOf(tx, body, v.height)
	v.fee = tx.Fee
	v.burn(tx.Fee)
	return Applied
}

func (spend) outlay(*types.Tx, types.Drops) types.Drops { return 0 }

// admitAnonymous is [Ledger.admit] for transactions without a sender.
func (l *Ledger) admitAnonymous(tx *types.Tx, proven bool, h types.Height) Code {
	code := l.admit(tx, anonymousAccount, true, h)
	if code == Applied && !proven {
		return ProofInvalid
	}
	return code
}

// transactAnonymous runs a transaction without a sender: whole, or not at all.
func (l *Ledger) transactAnonymous(block *overlay, in Block, tx *types.Tx) (outcome, error) {
	if code := l.admitAnonymous(tx, in.Proven(tx), in.Height); code != Applied {
		return outcome{code: code}, nil
	}
	v := newView(block, in, tx)
	code := l.transactors[tx.Body.Kind()].apply(v, tx)
	if v.err != nil {
		return outcome{}, v.err
	}
	if v.refused != nil {
		code = ImageWasSpent // cannot be: the body declares all that it touches
	}
	if code != Applied {
		return outcome{code: code}, nil
	}
	if err := l.verify(v, tx, code); err != nil {
		return outcome{code: FeeInvariantBroken, defects: []error{err}}, v.err
	}
	v.commit()
	return outcome{code: code, fee: v.fee, burned: v.burned}, v.err
}

// closePool writes the outputs of a block, and the pool's totals.
func closePool(block *overlay) error {
	if len(block.outputs) == 0 {
		return nil
	}
	for i := range block.outputs {
		raw, err := canon.Marshal(&block.outputs[i])
		if err != nil {
			return fmt.Errorf("encode an output: %w", err)
		}
		block.set(types.OutputKey(block.pool.Outputs), raw)
		block.pool.Outputs++
	}
	block.set(shieldedKey, encodeDrops(block.pool.Shielded))
	block.set(outputsKey, encodeDrops(types.Drops(block.pool.Outputs)))
	return block.failed
}
