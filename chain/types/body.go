package types

import (
	"fmt"

	"github.com/starlingmesh/starling/canon"
)

// Kind says what a transaction does. Values are part of the encoding and are
// never reused.
type Kind uint16

// KindPayment moves native coins.
const KindPayment Kind = 1

// String returns the kind's name as the API shows it.
func (k Kind) String() string {
	switch k {
	case KindPayment:
		return "payment"
	case KindBond:
		return "bond"
	case KindUnbond:
		return "unbond"
	case KindRotate:
		return "rotate"
	case KindUnjail:
		return "unjail"
	case KindData:
		return "data"
	case KindShield:
		return "shield"
	case KindTransfer:
		return "private-transfer"
	case KindUnshield:
		return "unshield"
	case KindSetSigners:
		return "set-signers"
	}
	return fmt.Sprintf("kind-%d", uint16(k))
}

// Body is what one kind of transaction carries. Every body declares, before it
// runs, the state it may touch: the ledger refuses any other access, and
// parallel execution rests on the declaration.
type Body interface {
	Kind() Kind
	// Check refuses what is wrong whatever the ledger holds.
	Check() error
	// Access lists the state keys that the body may read and write, beyond
	// the sender's own account, which every transaction writes.
	Access() Access
}

// Access is a declared set of state keys.
type Access struct {
	Reads  [][]byte
	Writes [][]byte // may be read too
	// The sender's own stake too, and who signs for it.
	Stake, Signers bool
}

// AccountKey is the state key of an account.
func AccountKey(a Address) []byte {
	return append([]byte("a/"), a[:]...)
}

// Payment moves Amount from the sender to To. A payment to an address that has
// no account creates it, if the amount reaches the reserve.
type Payment struct {
	_      struct{} `cbor:",toarray"`
	To     Address
	Amount Drops
}

// Kind implements [Body].
func (*Payment) Kind() Kind { return KindPayment }

// Check implements [Body].
func (p *Payment) Check() error {
	if p.Amount == 0 || p.Amount > MaxSupply {
		return fmt.Errorf("payment of %s: the amount must be more than 0 and at most %s", p.Amount, MaxSupply)
	}
	return nil
}

// Access implements [Body].
func (p *Payment) Access() Access { return Access{Writes: [][]byte{AccountKey(p.To)}} }

func decodeBody(k Kind, raw []byte) (Body, error) {
	if k == KindData {
		return readData(raw)
	}
	var body Body
	switch k {
	case KindPayment:
		body = new(Payment)
	case KindBond:
		body = new(Bond)
	case KindUnbond:
		body = new(Unbond)
	case KindRotate:
		body = new(Rotate)
	case KindUnjail:
		body = new(Unjail)
	case KindShield:
		body = new(Shield)
	case KindTransfer:
		body = new(Transfer)
	case KindUnshield:
		body = new(Unshield)
	case KindSetSigners:
		body = new(SetSigners)
	default:
		return nil, fmt.Errorf("kind %d is not known here (is this node up to date?)", uint16(k))
	}
	if err := canon.Unmarshal(raw, body); err != nil {
		return nil, err
	}
	return body, body.Check()
}
