package private

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/starlingmesh/starling/chain/ledger"
	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// PaymentProof shows that an output paid an address, and that who shows it made the payment; see
// stealth.PaymentProof.
type PaymentProof struct {
	Output    uint64         `json:"output"` // its number
	To        string         `json:"to"`     // private address
	Amount    types.Drops    `json:"amount_drops"`
	Memo      string         `json:"memo,omitempty"`
	Message   string         `json:"message"`
	Prover    types.HexBytes `json:"prover"`
	Signature types.HexBytes `json:"signature"`
}

// Prove proves a payment that this wallet made, to who chose the message. Errors are
// stealth.ErrPaymentProof if the output is not that payment, or not this wallet's.
func (w *Wallet) Prove(ctx context.Context, node Node, output uint64, paid stealth.Payment, message, prefix string) (*PaymentProof, error) {
	o, at, err := whole(ctx, node, output)
	if err != nil {
		return nil, err
	}
	p, err := stealth.Prove(w.proofs, o, at, paid, []byte(message))
	if err != nil {
		return nil, fmt.Errorf("output %d: %w", output, err)
	}
	return &PaymentProof{
		Output: output, To: FormatAddress(paid.To, prefix), Amount: types.Drops(paid.Amount), Memo: string(paid.Memo), Message: message,
		Prover: p.Prover, Signature: p.Signature,
	}, nil
}

// ParsePaymentProof reads the JSON form.
func ParsePaymentProof(raw []byte) (*PaymentProof, error) {
	p := new(PaymentProof)
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("read a payment proof: %w", err)
	}
	return p, nil
}

// Verify returns stealth.ErrPaymentProof unless the payment is on the chain as the proof says.
func (p *PaymentProof) Verify(ctx context.Context, node Node, prefix string) error {
	to, err := ParseAddress(p.To, prefix)
	if err != nil {
		return err
	}
	o, at, err := whole(ctx, node, p.Output)
	if err != nil {
		return err
	}
	proof := stealth.PaymentProof{Payment: stealth.Payment{To: to, Amount: uint64(p.Amount), Memo: []byte(p.Memo)}, Prover: p.Prover, Signature: p.Signature}
	return proof.Verify(o, at, []byte(p.Message))
}

// whole reads an output, and where it is.
func whole(ctx context.Context, node Node, output uint64) (stealth.Output, stealth.Place, error) {
	page, err := node.OutputsAt(ctx, []uint64{output})
	if err == nil && len(page.Outputs) != 1 {
		err = errors.New("the node gave none")
	}
	var o *ledger.Output
	if err == nil {
		o, err = ledger.DecodeOutput(page.Outputs[0])
	}
	if err != nil {
		return stealth.Output{}, stealth.Place{}, fmt.Errorf("read output %d: %w", output, err)
	}
	out, at := o.Stealth()
	return out, at, nil
}
