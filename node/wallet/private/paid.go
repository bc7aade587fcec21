package private

import (
	"slices"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/hash"
	"github.com/starlingmesh/starling/crypto/stealth"
)

// maxPaid bounds what is remembered of payments; the oldest are forgotten.
const maxPaid = 1 << 16

// Paid is a payment that this wallet made. The chain does not tell it to anybody but the recipient:
// a wallet that is restored does not know what it paid.
type Paid struct {
	Tx      hash.Hash   `json:"tx"`
	To      []byte      `json:"to"` // stealth.Address
	Amount  types.Drops `json:"amount"`
	Memo    []byte      `json:"memo,omitempty"`
	Output  uint64      `json:"output,omitempty"` // its number, once it is on the chain
	Height  uint64      `json:"height,omitempty"` // 0 as long as it is not
	Through string      `json:"through"`          // the output's ephemeral key, in hexadecimal
}

// Payment is what was paid.
func (p *Paid) Payment() (stealth.Payment, error) {
	to, err := stealth.ParseAddress(p.To)
	return stealth.Payment{To: to, Amount: uint64(p.Amount), Memo: p.Memo}, err
}

// Paid lists the payments that this wallet remembers, in the order in which they were made.
func (w *Wallet) Paid() []Paid { return slices.Clone(w.known.Paid) }

// remember finds among a transaction's outputs those that make the payments, and keeps them.
func (w *Wallet) remember(tx *types.Tx, payments []stealth.Payment) {
	body := tx.Body.(types.Confidential)
	context := types.OutputContext(tx.Header, body)
	taken := map[int]bool{}
	for _, p := range payments {
		for i := range body.Creates() {
			c := &body.Creates()[i]
			out := stealth.Output{Ephemeral: c.Ephemeral, Key: c.Key, Commitment: c.Commitment, Tag: c.Tag, Sealed: [stealth.SealedSize]byte(c.Sealed)}
			_, err := stealth.Prove(w.proofs, out, stealth.Place{Context: context, Number: uint32(i)}, p, nil)
			if err != nil || taken[i] {
				continue // another's, or the change
			}
			taken[i] = true
			w.known.Paid = append(w.known.Paid, Paid{
				Tx: tx.ID(), To: p.To.Bytes(), Amount: types.Drops(p.Amount), Memo: p.Memo, Through: out.Ephemeral.String(),
			})
			break
		}
	}
	w.known.Paid = w.known.Paid[max(0, len(w.known.Paid)-maxPaid):]
}

// forget drops the payments of a transaction that nobody has.
func (w *Wallet) forget(tx *types.Tx) {
	w.known.Paid = slices.DeleteFunc(w.known.Paid, func(p Paid) bool { return p.Tx == tx.ID() })
}

// unseen has payments from an output on looked for again.
func unseen(paid []Paid, from uint64) []Paid {
	for i := range paid {
		if p := &paid[i]; p.Output >= from {
			p.Output, p.Height = 0, 0
		}
	}
	return paid
}
