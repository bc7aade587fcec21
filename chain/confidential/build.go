package confidential

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/bits"
	"slices"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/bulletproof"
	"github.com/starlingmesh/starling/crypto/curve"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/pedersen"
	"github.com/starlingmesh/starling/crypto/ring"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// ErrBuild means that a transaction cannot be made of what was given.
var ErrBuild = errors.New("cannot make the confidential transaction")

// Coin is an output that one can spend.
type Coin struct {
	Number uint64 // of the output
	Amount types.Drops
	Mask   curve.Scalar // the commitment's blinding factor
	Secret curve.Scalar // of the one-time key
}

// Input is a coin and the ring that it hides in.
type Input struct {
	Coin
	Ring    []uint64      // ascending, with the coin's number
	Members []ring.Member // the outputs of these numbers
}

// Plan says what a transaction is to do.
type Plan struct {
	Header types.Header // chain, fee, expiry; for a shield the account's key and sequence
	// Seed is the wallet's, by which payments are proved.
	Seed     hash.Hash
	Payments []stealth.Payment
	// Change is where the rest goes, which may be nothing: there is always such an output.
	Change stealth.Address
	Rand   io.Reader
}

// Shield makes the body that turns an amount of the header's account into outputs. What the
// payments leave is change.
func Shield(p Plan, amount types.Drops) (*types.Shield, error) {
	payments, err := p.complete(uint64(amount))
	if err != nil {
		return nil, err
	}
	body := &types.Shield{Version: types.Confidential1, Amount: amount}
	outputs, masks, err := p.outputs(types.OutputContext(p.Header, body), payments)
	if err != nil {
		return nil, err
	}
	body.Outputs = outputs
	for _, m := range masks {
		body.Excess = body.Excess.Add(m)
	}
	return body, body.Check()
}

// Transfer makes a transaction that spends inputs. What the payments and the fee leave is change.
func Transfer(p Plan, inputs []Input) (*types.Tx, error) {
	return spend(p, inputs, 0, func(in []types.ConfidentialInput, out []types.ConfidentialOutput) types.Anonymous {
		return &types.Transfer{Version: types.Confidential1, Inputs: in, Outputs: out}
	})
}

// Unshield makes a transaction that spends inputs and pays an amount of them to an account.
func Unshield(p Plan, inputs []Input, to types.Address, amount types.Drops) (*types.Tx, error) {
	return spend(p, inputs, amount, func(in []types.ConfidentialInput, out []types.ConfidentialOutput) types.Anonymous {
		return &types.Unshield{Version: types.Confidential1, To: to, Amount: amount, Inputs: in, Outputs: out}
	})
}

func spend(p Plan, inputs []Input, leaves types.Drops, make func([]types.ConfidentialInput, []types.ConfidentialOutput) types.Anonymous) (*types.Tx, error) {
	p.Header.Key, p.Header.Sequence, p.Header.Memo = nil, 0, nil
	have, err := total(inputs)
	if err != nil {
		return nil, err
	}
	public := uint64(leaves + p.Header.Fee)
	if leaves > types.MaxSupply || p.Header.Fee > types.MaxSupply || have < public {
		return nil, fmt.Errorf("%w: the inputs hold %s, less than %s", ErrBuild, types.Drops(have), types.Drops(public))
	}
	payments, err := p.complete(have - public)
	if err != nil {
		return nil, err
	}
	signers, images := sortByImage(inputs)
	outputs, masks, err := p.outputs(types.ImagesContext(p.Header.Chain, images), payments)
	if err != nil {
		return nil, err
	}
	wire, pseudos, err := p.pseudo(signers, images, masks)
	if err != nil {
		return nil, err
	}
	body := make(wire, outputs)
	if err := p.sign(body, signers, pseudos); err != nil {
		return nil, err
	}
	return types.NewAnonymousTx(p.Header, body)
}

func total(inputs []Input) (sum uint64, err error) {
	for _, in := range inputs {
		var carry uint64
		if sum, carry = bits.Add64(sum, uint64(in.Amount), 0); carry != 0 {
			return 0, fmt.Errorf("%w: the inputs hold more than there is", ErrBuild)
		}
	}
	return sum, nil
}

// complete adds the change, and an output of nothing if there is no other.
func (p *Plan) complete(have uint64) ([]stealth.Payment, error) {
	all := slices.Clone(p.Payments)
	for _, pay := range all {
		if pay.Amount > have {
			return nil, fmt.Errorf("%w: the payments are more than what is there", ErrBuild)
		}
		have -= pay.Amount
	}
	all = append(all, stealth.Payment{To: p.Change, Amount: have})
	for len(all) < types.MinOutputs {
		all = append(all, stealth.Payment{To: p.Change})
	}
	if len(all) > types.MaxOutputs {
		return nil, fmt.Errorf("%w: %d payments, at most %d fit with the change", ErrBuild, len(p.Payments), types.MaxOutputs-1)
	}
	return all, p.shuffle(all)
}

// shuffle hides which output is the change.
func (p *Plan) shuffle(all []stealth.Payment) error {
	for i := len(all) - 1; i > 0; i-- {
		j, err := rand.Int(p.Rand, big.NewInt(int64(i+1)))
		if err != nil {
			return fmt.Errorf("shuffle outputs: %w", err)
		}
		all[i], all[j.Int64()] = all[j.Int64()], all[i]
	}
	return nil
}

// outputs makes outputs with their range proofs, and returns their blinding factors.
func (p *Plan) outputs(context hash.Hash, payments []stealth.Payment) (out []types.ConfidentialOutput, masks []curve.Scalar, err error) {
	for i, pay := range payments {
		o, err := stealth.Pay(p.Seed, stealth.Place{Context: context, Number: uint32(i)}, pay)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrBuild, err)
		}
		proof, err := bulletproof.Prove(p.Rand, pay.Amount, o.Mask)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrBuild, err)
		}
		out = append(out, types.ConfidentialOutput{
			Ephemeral: o.Ephemeral, Key: o.Key, Commitment: o.Commitment, Tag: o.Tag, Sealed: slices.Clone(o.Sealed[:]), Proof: proof.Bytes(),
		})
		masks = append(masks, o.Mask)
	}
	return out, masks, nil
}

// sortByImage brings inputs into the order of their key images.
func sortByImage(inputs []Input) ([]Input, []curve.Point) {
	type pair struct {
		in    Input
		image curve.Point
		enc   [curve.PointSize]byte
	}
	pairs := make([]pair, len(inputs))
	for i, in := range inputs {
		image := ring.Image(in.Secret)
		pairs[i] = pair{in, image, image.Bytes()}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return bytes.Compare(a.enc[:], b.enc[:]) })
	sorted, images := make([]Input, len(inputs)), make([]curve.Point, len(inputs))
	for i, p := range pairs {
		sorted[i], images[i] = p.in, p.image
	}
	return sorted, images
}

// pseudo commits to the inputs' amounts anew: with random blinding factors, but for the last,
// which makes their sum that of the outputs.
func (p *Plan) pseudo(inputs []Input, images []curve.Point, masks []curve.Scalar) (wire []types.ConfidentialInput, pseudos []curve.Scalar, err error) {
	var rest curve.Scalar
	for _, m := range masks {
		rest = rest.Add(m)
	}
	for i, in := range inputs {
		b := rest
		if i < len(inputs)-1 {
			if b, err = curve.RandomScalar(p.Rand); err != nil {
				return nil, nil, fmt.Errorf("%w: %w", ErrBuild, err)
			}
			rest = rest.Sub(b)
		}
		pseudos = append(pseudos, b)
		wire = append(wire, types.ConfidentialInput{Ring: in.Ring, Image: images[i], Pseudo: pedersen.Commit(uint64(in.Amount), b), Signature: []byte{}})
	}
	return wire, pseudos, nil
}

// sign makes the ring signatures.
func (p *Plan) sign(body types.Anonymous, inputs []Input, pseudos []curve.Scalar) error {
	message, err := types.SpendMessage(p.Header, body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBuild, err)
	}
	wire := body.Spends()
	for i, in := range inputs {
		at, found := slices.BinarySearch(in.Ring, in.Number)
		if !found || len(in.Members) != len(in.Ring) {
			return fmt.Errorf("%w: output %d is not in its ring", ErrBuild, in.Number)
		}
		s := ring.Statement{Ring: in.Members, Image: wire[i].Image, Pseudo: wire[i].Pseudo, Message: message}
		sig, err := ring.Sign(p.Rand, s, at, in.Secret, in.Mask.Sub(pseudos[i]))
		if err != nil {
			return fmt.Errorf("%w: output %d: %w", ErrBuild, in.Number, err)
		}
		wire[i].Signature = sig.Bytes()
	}
	return nil
}
