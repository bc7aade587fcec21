package wallet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/starlingmesh/starling/chain/types"
	"github.com/starlingmesh/starling/crypto/keys"
)

// What follows the network's prefix in texts.
const (
	proposalMark  = "m"
	signatureMark = "s"
)

// Proposal is a transaction that members of a multi-key are asked to sign, each wherever their key
// is. It travels as a text, and so does each signature; who holds enough of them can hand the
// transaction in. It is not safe for concurrent use.
type Proposal struct {
	prefix     string    // of the network's addresses
	tx         *types.Tx // without a signature
	payload    []byte
	key        keys.PublicKey
	signatures map[keys.PublicKey][]byte // good ones of members
}

// NewProposal asks for signatures of an encoded transaction (types.Unsigned), of a network whose
// addresses begin with a prefix.
func NewProposal(payload []byte, prefix string) (*Proposal, error) {
	tx, err := types.DecodeUnsigned(payload)
	if err != nil {
		return nil, fmt.Errorf("proposal: %w", err)
	}
	key, err := keys.ParsePublicKey(tx.Key)
	if err != nil {
		return nil, fmt.Errorf("proposal: %w", err)
	}
	return &Proposal{prefix, tx, bytes.Clone(payload), key, map[keys.PublicKey][]byte{}}, nil
}

// Tx is the transaction, which nobody has signed as a whole.
func (p *Proposal) Tx() *types.Tx { return p.tx }

// Prefix is how addresses of the network begin.
func (p *Proposal) Prefix() string { return p.prefix }

// Members are those who may sign, how many must, and which have.
func (p *Proposal) Members() (threshold int, members []keys.PublicKey, signed []bool) {
	threshold, members = p.key.Members()
	for _, m := range members {
		_, has := p.signatures[m]
		signed = append(signed, has)
	}
	return threshold, members, signed
}

// Complete reports whether there are enough signatures.
func (p *Proposal) Complete() bool {
	threshold, _, _ := p.Members()
	return len(p.signatures) >= threshold
}

// Sign adds a member's signature, and returns it as it travels. The error is [ErrMember] for a key
// of nobody who may sign.
func (p *Proposal) Sign(key keys.PrivateKey) (text string, err error) {
	id := p.tx.ID()
	sig, err := key.Sign(id[:])
	if err != nil {
		return "", fmt.Errorf("sign transaction %s: %w", id.Short(), err)
	}
	if err := p.add(key.Public(), sig); err != nil {
		return "", err
	}
	raw := append(id[:len(id):len(id)], p.encode(key.Public(), sig)...)
	return FormatText(raw, p.prefix+signatureMark), nil
}

// Add takes up what others signed: a text of [Proposal.Sign], or a copy of the proposal
// ([Proposal.Text]) with signatures.
func (p *Proposal) Add(text string) error {
	if strings.HasPrefix(strings.ToLower(text), p.prefix+signatureMark+"1") {
		raw, err := ParseText(text, p.prefix+signatureMark)
		if err != nil {
			return fmt.Errorf("signature: %w", err)
		}
		id := p.tx.ID()
		rest, ok := bytes.CutPrefix(raw, id[:])
		if !ok {
			return fmt.Errorf("%w: the signature is of another transaction", ErrMember)
		}
		return p.decode(rest)
	}
	other, err := ParseProposal(text)
	if err != nil {
		return err
	}
	if other.tx.ID() != p.tx.ID() {
		return fmt.Errorf("%w: the copy is of another transaction", ErrMember)
	}
	maps.Copy(p.signatures, other.signatures)
	return nil
}

func (p *Proposal) add(member keys.PublicKey, sig []byte) error {
	_, members := p.key.Members()
	id := p.tx.ID()
	if !slices.Contains(members, member) {
		return fmt.Errorf("%w: %s", ErrMember, member)
	}
	if !member.Verify(id[:], sig) {
		return fmt.Errorf("%w: the signature of %s does not hold", ErrMember, member)
	}
	p.signatures[member] = sig
	return nil
}

// encode puts a member's place in front of the signature.
func (p *Proposal) encode(member keys.PublicKey, sig []byte) []byte {
	_, members := p.key.Members()
	return append([]byte{byte(slices.Index(members, member))}, sig...)
}

func (p *Proposal) decode(raw []byte) error {
	_, members := p.key.Members()
	if len(raw) < 1 || int(raw[0]) >= len(members) {
		return fmt.Errorf("%w: a signature of no member", ErrMember)
	}
	return p.add(members[raw[0]], bytes.Clone(raw[1:]))
}

// Text is the proposal with the signatures that it has, in one line. See [ParseProposal].
func (p *Proposal) Text() string {
	raw := binary.AppendUvarint(nil, uint64(len(p.payload)))
	raw = append(raw, p.payload...)
	_, members := p.key.Members()
	for _, m := range members {
		if sig, has := p.signatures[m]; has {
			entry := p.encode(m, sig)
			raw = append(binary.AppendUvarint(raw, uint64(len(entry))), entry...)
		}
	}
	return FormatText(raw, p.prefix+proposalMark)
}

// ParseProposal reads what [Proposal.Text] writes and verifies the signatures in it. Errors are
// [ErrText], types.ErrTx and [ErrMember].
func ParseProposal(text string) (*Proposal, error) {
	mark, raw, err := splitText(text)
	if err != nil {
		return nil, fmt.Errorf("proposal: %w", err)
	}
	prefix, ok := strings.CutSuffix(mark, proposalMark)
	if !ok || !types.ValidPrefix(prefix) {
		return nil, fmt.Errorf("proposal: %w: it begins with %q, which no proposal does", ErrText, mark)
	}
	payload, rest, ok := cut(raw)
	if !ok {
		return nil, fmt.Errorf("proposal: %w: it is cut off", ErrText)
	}
	p, err := NewProposal(payload, prefix)
	if err != nil {
		return nil, err
	}
	for len(rest) > 0 {
		var entry []byte
		if entry, rest, ok = cut(rest); !ok {
			return nil, fmt.Errorf("proposal: %w: it is cut off", ErrText)
		}
		if err := p.decode(entry); err != nil {
			return nil, fmt.Errorf("proposal: %w", err)
		}
	}
	return p, nil
}

// cut takes what a length announces off the front.
func cut(b []byte) (field, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size : size+int(n)], b[size+int(n):], true
}

// Signed is the transaction with its signatures. The error is keys.ErrSignatures as long as there
// are not enough.
func (p *Proposal) Signed() (*types.Tx, error) {
	id := p.tx.ID()
	sig, err := keys.JoinSignatures(p.key, id[:], p.signatures)
	if err != nil {
		return nil, fmt.Errorf("transaction %s: %w are there (`starling wallet multi show` tells whose are missing)", id.Short(), err)
	}
	return types.Seal(p.payload, sig)
}
